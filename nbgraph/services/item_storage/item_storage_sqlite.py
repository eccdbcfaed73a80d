"""Items in a studio's folder: their JSON, in the database."""

import json
import logging
from collections.abc import Iterable, Iterator, Sequence

from nbgraph.errors import NbgraphError
from nbgraph.services.item_storage.item_storage_base import Item, ItemStorageBase
from nbgraph.services.shared.sqlite.damaged_rows import DAMAGE, damaged, readable
from nbgraph.services.shared.sqlite.sqlite_database import SqliteDatabase

TABLES = """
CREATE TABLE items (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    class TEXT NOT NULL,
    id TEXT NOT NULL,
    data TEXT NOT NULL,
    UNIQUE (class, id)
);
"""
logger = logging.getLogger("nbgraph")


class ItemStorageSqlite(ItemStorageBase[Item]):
    """Each `get` parses the item from its JSON."""

    def __init__(self, item_class: type[Item], database: SqliteDatabase) -> None:
        super().__init__(item_class)
        self._database = database
        self._class = item_class.__name__

    def _get(self, item_id: str) -> Item | None:
        row = self._database.row("SELECT data FROM items WHERE class = ? AND id = ?", (self._class, item_id))
        return None if row is None else self._read(item_id, row[0])

    def _put(self, item: Item) -> None:
        with self._database.transaction(durable=True) as connection:
            # an update keeps the row's number, so the order of lists stays as it was
            connection.execute(
                "INSERT INTO items (class, id, data) VALUES (?, ?, ?)"
                " ON CONFLICT (class, id) DO UPDATE SET data = excluded.data",
                (self._class, item.id, json.dumps(item.to_dict(), ensure_ascii=False)),
            )

    def _drop(self, item_id: str) -> bool:
        def delete(ids: Sequence[str]) -> bool:
            rows = [(self._class, each) for each in ids]
            with self._database.transaction(durable=True) as connection:
                return connection.executemany("DELETE FROM items WHERE class = ? AND id = ?", rows).rowcount > 0

        # `free`, because a person must be able to delete on a full disk
        return any(self._database.free([item_id], delete))

    def _rows(self, text: str, offset: int, limit: int) -> tuple[Iterable[Item], int]:
        wanted = {"class": self._class, "text": text, "limit": limit, "offset": offset}
        where = "FROM items WHERE class = :class AND (:text = '' OR instr(data, :text)) "
        ((total,),) = self._database.rows("SELECT count(*) " + where, wanted)
        rows = self._database.rows("SELECT id, data " + where + "ORDER BY number LIMIT :limit OFFSET :offset", wanted)
        return list(self._readable(rows)), total

    def _readable(self, rows: Iterable[tuple[str, str]]) -> Iterator[Item]:
        """Yield the items; one that can no longer be read is skipped, with a line in the log, and stays stored."""
        return readable(rows, lambda row: self._read(*row), self._class)

    def _read(self, item_id: str, data: str) -> Item:
        try:
            return self.item_class.from_dict(json.loads(data))
        except NbgraphError:
            raise
        except DAMAGE as error:
            raise damaged(f"{self._class} {item_id!r}", error) from None
