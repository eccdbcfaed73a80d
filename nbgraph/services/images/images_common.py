"""Records of images."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from nbgraph.invocations.fields import ImageCategory


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """The facts about an image, known without reading it: sizes in pixels and bytes, times in UTC."""

    image_name: str
    width: int
    height: int
    mode: str
    category: ImageCategory
    is_intermediate: bool
    starred: bool
    session_id: str
    node_id: str
    created: datetime
    content: str
    bytes: int
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])


ImageOrder = Literal["newest", "oldest", "largest", "starred"]
"""The order of pictures: by time, by the number of pixels, or those with a star first."""


@dataclass(frozen=True, slots=True)
class ImageQuery:
    """Which images to list, and in which order; None matches all.

    `text` is searched in names, nodes and metadata; images of the sessions in `session_ids` match without it.
    """

    category: ImageCategory | None = None
    is_intermediate: bool | None = None
    starred: bool | None = None
    session_id: str | None = None
    text: str = ""
    session_ids: frozenset[str] = frozenset()
    order: ImageOrder = "newest"


def search_text(record: ImageRecord) -> str:
    """Return the text that a search looks through: name, node and metadata, case folded."""
    # folded when it is saved: SQLite folds ASCII only
    return f"{record.image_name} {record.node_id} {json.dumps(record.metadata, ensure_ascii=False)}".casefold()
