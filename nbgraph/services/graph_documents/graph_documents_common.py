"""Documents: graphs that a person draws, stored by name, and the versions of each."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from unicodedata import normalize

from nbgraph.errors import InvalidNameError
from nbgraph.invocations.types import JsonObject
from nbgraph.services.shared.graph.graph import Graph

MAX_VERSIONS = 50
MAX_NAME = 100
RECENT = 10
"""The newest versions, which are never dropped."""
FILE_ENDINGS = (".json", ".png", ".py")


@dataclass(frozen=True, slots=True)
class DocumentRecord:
    """A document as a list shows it: its newest version, and how many there are.

    `changed` is in seconds since 1970, UTC; `bytes` are those of all versions.
    """

    id: str
    name: str
    changed: float
    nodes: int
    newest: int
    versions: int
    bytes: int


@dataclass(frozen=True, slots=True)
class DocumentVersion:
    """One version of a document, numbered from 1, saved by `kernel` (empty where there is only one).

    `is_kept`: another author replaced it without having seen it, so it is dropped last.
    """

    number: int
    saved: float
    nodes: int
    bytes: int
    kernel: str
    is_kept: bool = False


@dataclass(frozen=True, slots=True)
class SavedDocument:
    """The result of a save: `is_new` unless the graph was the same; `replaced` is a version its author had not seen."""

    record: DocumentRecord
    is_new: bool
    replaced: DocumentVersion | None = None


def checked_document_name(name: object) -> str:
    """Return the name of a document without blanks around it.

    A name is a text of one line. It has no slash and does not end like a file, so that `studio.edit(name)` can tell a
    document from a path.

    Raises
    ------
    InvalidNameError
        A document cannot have that name; the text says why.
    """
    if not isinstance(name, str):
        raise InvalidNameError(f"the name of a document is a text, not {repr(name)[:80]}")
    # The same letters can be typed as different code points; a person sees one name.
    plain = normalize("NFC", name).strip()
    shown = repr(name[:MAX_NAME])
    if not plain:
        raise InvalidNameError("the name of a document is empty; give it one, such as 'portrait'")
    if len(plain) > MAX_NAME:
        raise InvalidNameError(f"the name {shown}... has {len(plain)} characters; use at most {MAX_NAME}")
    if not plain.isprintable():
        raise InvalidNameError(f"the name {shown} has characters that cannot be shown; use letters, digits and blanks")
    if looks_like_file(plain):
        endings = ", ".join(FILE_ENDINGS)
        raise InvalidNameError(f"the name {shown} reads like a file; leave out slashes and endings such as {endings}")
    return plain


def looks_like_file(name: str) -> bool:
    """Return whether a text looks like the path of a file."""
    return "/" in name or "\\" in name or name.strip().lower().endswith(FILE_ENDINGS)


def document_text(graph: Graph) -> str:
    """Return a graph as the JSON that is stored: without its id, which differs each time a document is opened."""
    data = {key: value for key, value in graph.to_dict().items() if key != "id"}
    return json.dumps(data, ensure_ascii=False, allow_nan=False)


def node_count(data: JsonObject) -> int:
    """Return the number of nodes in the JSON values of a graph, including those of types that are not defined here."""
    layout: JsonObject = data.get("layout", {})
    return len(data.get("nodes", {})) + len(layout.get("unknown", {}))


def versions_to_drop(versions: Sequence[DocumentVersion], limit: int = MAX_VERSIONS) -> list[int]:
    """Return the numbers of the versions to drop, so that `limit` are left.

    The first and the `RECENT` last ones are kept. Of the others, one by one, the version is dropped whose neighbours
    are closest to each other relative to its age: what is left are versions of the last minutes, hours and days.
    Versions that another author replaced unseen are dropped only when nothing else is left.
    """
    left = sorted(versions, key=lambda version: version.number)
    dropped: list[int] = []
    while len(left) > max(1, limit):
        # the first version is kept: it is what the document began as
        places = range(1, max(2, len(left) - RECENT))
        loose = [place for place in places if not left[place].is_kept] or list(places)
        now = left[-1].saved
        sparest = min(
            loose, key=lambda place: (left[place + 1].saved - left[place - 1].saved) / (1 + now - left[place].saved)
        )
        dropped.append(left.pop(sparest).number)
    return dropped
