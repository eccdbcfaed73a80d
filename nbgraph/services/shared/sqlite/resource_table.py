"""Resources of one kind: files, each with a record in a table whose columns are the fields of a dataclass."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from sqlite3 import Connection
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_origin

from nbgraph.services.shared.names import Unless
from nbgraph.services.shared.sqlite.damaged_rows import readable
from nbgraph.services.shared.sqlite.resource_files import ResourceFiles
from nbgraph.services.shared.sqlite.sqlite_database import SqliteDatabase, SqlRow, SqlValue
from nbgraph.services.shared.sqlite.store_folder import FileKind

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Record = TypeVar("Record", bound="DataclassInstance")
_Reader = Callable[[Any], object]
_FROM_COLUMN: dict[object, _Reader] = {datetime: datetime.fromisoformat, dict: json.loads, bool: bool, int: int}


class ResourceTable(Generic[Record]):
    """Records of a frozen dataclass; its first field is the name of the resource, and is the key.

    The table has a column for each field, `file_bytes` and `sha256` for the file, and columns that the service adds.
    Times are stored as ISO text, dicts as JSON.
    """

    def __init__(self, database: SqliteDatabase, table: FileKind, record_class: type[Record]) -> None:
        self._database, self._table, self._class = database, table, record_class
        self._files = ResourceFiles(database, table)
        found = fields(record_class)
        self._fields = [field.name for field in found]
        # one reader per column, chosen once: a list of images reads thousands of rows
        self._readers = [_FROM_COLUMN.get(get_origin(field.type) or field.type, _unchanged) for field in found]
        self._key = self._fields[0]
        self._select = f"SELECT {', '.join(self._fields)} FROM {table} "  # noqa: S608

    def save(self, record: Record, data: bytes, **more: SqlValue) -> None:
        """Write the file, then the record; `more` are the columns that the service adds."""
        values = self._columns(record) | more

        def insert(connection: Connection, size: int, digest: str) -> None:
            columns = {**values, "file_bytes": size, "sha256": digest}
            places = ", ".join(f":{name}" for name in columns)
            connection.execute(f"INSERT INTO {self._table} ({', '.join(columns)}) VALUES ({places})", columns)  # noqa: S608

        self._files.save(getattr(record, self._key), data, insert)

    def change(self, record: Record, **more: SqlValue) -> None:
        """Replace the record of the same name."""
        values = self._columns(record) | more
        changes = ", ".join(f"{name}=:{name}" for name in values)
        with self._database.transaction(durable=True) as connection:
            connection.execute(f"UPDATE {self._table} SET {changes} WHERE {self._key}=:{self._key}", values)  # noqa: S608

    def get(self, name: str) -> Record | None:
        """Return the record of that name, or None; None also for one that cannot be read."""
        row = self._database.row(f"{self._select} WHERE {self._key}=?", (name,))
        return None if row is None else next(self._readable([row]), None)

    def read(self, name: str) -> bytes:
        """Return the bytes of a record's file, after checking them.

        Raises
        ------
        ResourceFileMissingError, ResourceFileCorruptError
            The file does not exist, or is not what was saved.
        """
        size, digest = self._facts(name) or (0, "")
        return self._files.read(name, size, digest)

    def is_intact(self, name: str) -> bool:
        """Return whether the record exists and its file is what was saved."""
        facts = self._facts(name)
        return facts is not None and self._files.is_intact(name, *facts)

    def drop(self, names: Sequence[str], unless: Unless | None = None) -> list[str]:
        """Delete records, then their files; return the names that existed. Deletes nothing if `unless()` is True."""
        forget = f"DELETE FROM {self._table} WHERE {self._key}=?"  # noqa: S608
        return self._files.drop(
            names, lambda connection, name: connection.execute(forget, (name,)).rowcount > 0, unless
        )

    def page(
        self, where: str, wanted: Mapping[str, SqlValue], offset: int, limit: int | None, order: str = "number DESC"
    ) -> tuple[list[Record], int]:
        """Return a page of matching records, by default newest first, and the number of all that match.

        Parameters
        ----------
        where
            The condition in SQL, with named parameters.
        wanted
            The values of the parameters.
        offset, limit
            The page; a limit of None is no limit.
        order
            The columns to order by, in SQL; never text from a person.
        """
        ((total,),) = self._database.rows(f"SELECT count(*) FROM {self._table} WHERE {where}", wanted)  # noqa: S608
        query = f"{self._select} WHERE {where} ORDER BY {order} LIMIT :limit OFFSET :offset"
        rows = self._database.rows(query, {**wanted, "limit": -1 if limit is None else limit, "offset": offset})
        return list(self._readable(rows)), total

    def _columns(self, record: Record) -> dict[str, SqlValue]:
        return {name: _to_column(getattr(record, name)) for name in self._fields}

    def _facts(self, name: str) -> SqlRow | None:
        return self._database.row(f"SELECT file_bytes, sha256 FROM {self._table} WHERE {self._key}=?", (name,))  # noqa: S608

    def _readable(self, rows: Iterable[SqlRow]) -> Iterator[Record]:
        return readable(rows, self._record, f"the record in {self._table} of")

    def _record(self, row: SqlRow) -> Record:
        return self._class(*[read(value) for read, value in zip(self._readers, row)])


def _unchanged(value: object) -> object:
    return value


def _to_column(value: "datetime | dict[str, object] | SqlValue") -> SqlValue:
    if isinstance(value, datetime):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value
