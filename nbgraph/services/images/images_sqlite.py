"""Pictures in a studio's folder: PNG files, with records in the database."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from io import BytesIO
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from PIL import Image

from nbgraph.services.images.images_base import ImageServiceBase, thumbnail_of
from nbgraph.services.images.images_common import ImageQuery, ImageRecord, search_text
from nbgraph.services.shared.sqlite.resource_files import ResourceFiles
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
    sha256 TEXT NOT NULL
);
CREATE INDEX images_by_session ON images (session_id);
CREATE INDEX intermediate_images ON images (is_intermediate) WHERE is_intermediate;
"""
RECORDS = "SELECT image_name, bytes FROM images"
THUMBNAIL_RECORDS = "SELECT image_name, NULL FROM images"
_COLUMNS = (
    "image_name, width, height, mode, category, is_intermediate, starred, "
    "session_id, node_id, created, content, bytes, metadata"
)
_INSERT = f"INSERT INTO images ({_COLUMNS}, search_text, sha256) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
_UPDATE = "UPDATE images SET starred=?, category=?, is_intermediate=?, metadata=?, search_text=? WHERE image_name=?"
_SELECT = f"SELECT {_COLUMNS} FROM images "  # noqa: S608
_FACTS = "SELECT bytes, sha256 FROM images WHERE image_name = ?"
_WHERE = """
WHERE (:category IS NULL OR category = :category)
  AND (:is_intermediate IS NULL OR is_intermediate = :is_intermediate)
  AND (:starred IS NULL OR starred = :starred)
  AND (:session_id IS NULL OR session_id = :session_id)
  AND (:text = '' OR instr(search_text, :text))
"""
_COUNT = "SELECT count(*) FROM images " + _WHERE  # noqa: S608
_SELECTED_PAGE = _SELECT + _WHERE + "ORDER BY number DESC LIMIT :limit OFFSET :offset"


class ImageServiceSqlite(ImageServiceBase):
    """Saves the file first and the record after it; deletes the record first and the file after it.

    Loading raises `ResourceFileMissingError` or `ResourceFileCorruptError` for a file that is not what was saved.
    """

    def __init__(self, database: SqliteDatabase) -> None:
        super().__init__()
        self._database = database
        self._files = ResourceFiles(database, "images")

    def is_intact(self, image_name: str) -> bool:
        facts = self._database.row(_FACTS, (image_name,))
        return facts is not None and self._files.is_intact(image_name, *facts)

    def _put(self, record: ImageRecord, image: Image.Image) -> ImageRecord:
        file = BytesIO()
        image.save(file, "PNG", compress_level=4)
        record = replace(record, bytes=file.tell())
        self._files.save(record.image_name, file.getvalue(), partial(_insert, record))
        return record

    def _load(self, record: ImageRecord) -> Image.Image:
        size, digest = self._database.row(_FACTS, (record.image_name,)) or (record.bytes, "")
        image = Image.open(BytesIO(self._files.read(record.image_name, size, digest)), formats=("PNG",))
        image.load()
        return image

    def _path(self, record: ImageRecord) -> Path | None:
        return self._database.folder.path("images", record.image_name)

    def _thumbnail(self, record: ImageRecord) -> bytes:
        folder, name = self._database.folder, record.image_name
        kept = folder.read("thumbnails", name)
        if kept is None:
            kept = thumbnail_of(self._load(record))
            folder.write("thumbnails", name, kept, self._database.kernel, durable=False)
        return kept

    def _get(self, image_name: str) -> ImageRecord | None:
        row = self._database.row(_SELECT + "WHERE image_name = ?", (image_name,))
        return None if row is None else _record(row)

    def _change(self, record: ImageRecord) -> None:
        with self._database.transaction(durable=True) as connection:
            connection.execute(
                _UPDATE,
                (
                    record.starred,
                    record.category,
                    record.is_intermediate,
                    _json(record.metadata),
                    search_text(record),
                    record.image_name,
                ),
            )

    def _drop(self, image_names: Sequence[str]) -> Sequence[str]:
        gone = self._files.drop(image_names, _forget)
        for name in gone:
            self._database.folder.remove("thumbnails", name)
        return gone

    def _rows(self, query: ImageQuery, offset: int, limit: int | None) -> tuple[Iterable[ImageRecord], int]:
        wanted = {
            "category": query.category,
            "is_intermediate": query.is_intermediate,
            "starred": query.starred,
            "session_id": query.session_id,
            "text": query.text.casefold(),
        }
        ((total,),) = self._database.rows(_COUNT, wanted)
        page = {**wanted, "limit": -1 if limit is None else limit, "offset": offset}
        rows = self._database.rows(_SELECTED_PAGE, page)
        return [_record(row) for row in rows], total


def _insert(record: ImageRecord, connection: Connection, size: int, digest: str) -> None:
    values = (
        record.image_name,
        record.width,
        record.height,
        record.mode,
        record.category,
        record.is_intermediate,
        record.starred,
        record.session_id,
        record.node_id,
        record.created.isoformat(),
        record.content,
        size,
        _json(record.metadata),
        search_text(record),
        digest,
    )
    connection.execute(_INSERT, values)


def _forget(connection: Connection, image_name: str) -> bool:
    return connection.execute("DELETE FROM images WHERE image_name = ?", (image_name,)).rowcount > 0


def _record(row: tuple[Any, ...]) -> ImageRecord:
    (
        name,
        width,
        height,
        mode,
        category,
        intermediate,
        starred,
        session_id,
        node_id,
        created,
        content,
        size,
        metadata,
    ) = row
    return ImageRecord(
        image_name=name,
        width=width,
        height=height,
        mode=mode,
        category=category,
        is_intermediate=bool(intermediate),
        starred=bool(starred),
        session_id=session_id,
        node_id=node_id,
        created=datetime.fromisoformat(created),
        content=content,
        bytes=size,
        metadata=json.loads(metadata),
    )


def _json(metadata: dict[str, Any]) -> str:
    return json.dumps(metadata, ensure_ascii=False)
