"""Images in a studio's folder: PNG files, with records in the database."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from io import BytesIO
from pathlib import Path

from PIL import Image

from nbgraph.services.images.images_base import ImageServiceBase, thumbnail_of
from nbgraph.services.images.images_common import ImageOrder, ImageQuery, ImageRecord, search_text
from nbgraph.services.shared.names import Unless
from nbgraph.services.shared.sqlite.resource_table import ResourceTable
from nbgraph.services.shared.sqlite.sqlite_database import SqliteDatabase

TABLES = """
CREATE TABLE images (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    image_name TEXT NOT NULL UNIQUE,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    mode TEXT NOT NULL,
    category TEXT NOT NULL,
    is_intermediate INTEGER NOT NULL,
    starred INTEGER NOT NULL,
    session_id TEXT NOT NULL,
    node_id TEXT NOT NULL,
    created TEXT NOT NULL,
    content TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    metadata TEXT NOT NULL,
    search_text TEXT NOT NULL,
    file_bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL
);
CREATE INDEX images_by_session ON images (session_id);
CREATE INDEX intermediate_images ON images (is_intermediate) WHERE is_intermediate;
"""
RECORDS = "SELECT image_name, file_bytes FROM images"
THUMBNAIL_RECORDS = "SELECT image_name, NULL FROM images"
_MATCHES = """
(:category IS NULL OR category = :category)
  AND (:is_intermediate IS NULL OR is_intermediate = :is_intermediate)
  AND (:starred IS NULL OR starred = :starred)
  AND (:session_id IS NULL OR session_id = :session_id)
  AND (
    :text = '' OR instr(search_text, :text)
    OR session_id IN (SELECT value FROM json_each(:session_ids))
  )
"""
_ORDERS: dict[ImageOrder, str] = {
    "newest": "number DESC",
    "oldest": "number",
    "largest": "width * height DESC, number DESC",
    "starred": "starred DESC, number DESC",
}


class ImageServiceSqlite(ImageServiceBase):
    """Saves the file before the record, and deletes the record before the file; see `ResourceFiles`.

    Loading raises `ResourceFileMissingError` or `ResourceFileCorruptError` for a file that is not what was saved.
    """

    def __init__(self, database: SqliteDatabase) -> None:
        super().__init__()
        self._database, self._folder = database, database.folder
        self._pictures = ResourceTable(database, "images", ImageRecord)

    def is_intact(self, image_name: str) -> bool:
        return self._pictures.is_intact(image_name)

    def _put(self, record: ImageRecord, image: Image.Image) -> ImageRecord:
        file = BytesIO()
        image.save(file, "PNG", compress_level=4)
        # the size in the file, known only now, is what a person's disk is measured by
        record = replace(record, bytes=file.tell())
        self._pictures.save(record, file.getvalue(), search_text=search_text(record))
        return record

    def _load(self, record: ImageRecord) -> Image.Image:
        # only the format that is written here, whatever was put in the file's place
        image = Image.open(BytesIO(self._pictures.read(record.image_name)), formats=("PNG",))
        image.load()
        return image

    def _path(self, record: ImageRecord) -> Path | None:
        return self._folder.path("images", record.image_name)

    def _thumbnail(self, record: ImageRecord) -> bytes:
        # not durable and without a record: a lost thumbnail is made again
        kept = self._folder.read("thumbnails", record.image_name)
        if kept is None:
            kept = thumbnail_of(self._load(record))
            self._folder.write("thumbnails", record.image_name, kept, self._database.kernel, durable=False)
        return kept

    def _get(self, image_name: str) -> ImageRecord | None:
        return self._pictures.get(image_name)

    def _change(self, record: ImageRecord) -> None:
        self._pictures.change(record, search_text=search_text(record))

    def _drop(self, image_names: Sequence[str], unless: Unless | None = None) -> Sequence[str]:
        gone = self._pictures.drop(image_names, unless)
        # after the records, so that a crash leaves at most thumbnails without an image
        for name in gone:
            self._folder.remove("thumbnails", name)
        return gone

    def _rows(self, query: ImageQuery, offset: int, limit: int | None) -> tuple[Iterable[ImageRecord], int]:
        wanted = {**asdict(query), "text": query.text.casefold(), "session_ids": json.dumps(sorted(query.session_ids))}
        del wanted["order"]
        return self._pictures.page(_MATCHES, wanted, offset, limit, _ORDERS[query.order])
