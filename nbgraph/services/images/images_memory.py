"""Images in memory, for a studio that ends with its kernel."""

from collections.abc import Callable, Iterable, Sequence

from PIL import Image

from nbgraph.services.images.images_base import ImageServiceBase
from nbgraph.services.images.images_common import ImageOrder, ImageQuery, ImageRecord, search_text
from nbgraph.services.shared.names import Unless

_BY: dict[ImageOrder, Callable[[ImageRecord], int]] = {
    "largest": lambda record: -record.width * record.height,
    "starred": lambda record: not record.starred,
}


class ImageServiceMemory(ImageServiceBase):
    """Stores PIL images in a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self._records: dict[str, ImageRecord] = {}
        self._images: dict[str, Image.Image] = {}

    def _put(self, record: ImageRecord, image: Image.Image) -> ImageRecord:
        # before the record, by which other threads find it
        self._images[record.image_name] = image
        self._records[record.image_name] = record
        return record

    def _load(self, record: ImageRecord) -> Image.Image:
        return self._images[record.image_name].copy()

    def _get(self, image_name: str) -> ImageRecord | None:
        return self._records.get(image_name)

    def _change(self, record: ImageRecord) -> None:
        self._records[record.image_name] = record

    def _drop(self, image_names: Sequence[str], unless: Unless | None = None) -> Sequence[str]:
        if unless is not None and unless():
            return []
        gone = [name for name in image_names if self._records.pop(name, None) is not None]
        for name in gone:
            self._images.pop(name, None)
        return gone

    def _rows(self, query: ImageQuery, offset: int, limit: int | None) -> tuple[Iterable[ImageRecord], int]:
        records = self._records.values()
        found = [
            record for record in (records if query.order == "oldest" else reversed(records)) if _matches(record, query)
        ]
        if by := _BY.get(query.order):
            found.sort(key=by)
        return found[offset : None if limit is None else offset + limit], len(found)


def _matches(record: ImageRecord, query: ImageQuery) -> bool:
    for name in ("category", "is_intermediate", "starred", "session_id"):
        wanted = getattr(query, name)
        if wanted is not None and getattr(record, name) != wanted:
            return False
    return not query.text or record.session_id in query.session_ids or query.text.casefold() in search_text(record)
