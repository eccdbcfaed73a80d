"""Files of resources: written before their records, checked against them, and removed after them.

In this order a crash leaves a file without a record, which can be found and removed, never a record without a file.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256
from itertools import chain
from sqlite3 import Connection

from nbgraph.errors import ResourceFileCorruptError, ResourceFileMissingError, StoreFullError
from nbgraph.services.shared.interrupts import defer_interrupt
from nbgraph.services.shared.names import Unless
from nbgraph.services.shared.sqlite.sqlite_database import SqliteDatabase
from nbgraph.services.shared.sqlite.store_folder import FileKind

TABLES = """
CREATE TABLE trash (kind TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID;
CREATE TABLE orphans (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    seen REAL NOT NULL,
    PRIMARY KEY (kind, name)
) WITHOUT ROWID;
"""


class ResourceFiles:
    """The files of one kind. A record has the size and the SHA-256 of its file; each read checks them.

    The size is checked always, the hash once for each state (size and time of change) in which a file is found.
    """

    def __init__(self, database: SqliteDatabase, kind: FileKind) -> None:
        self._database, self._folder = database, database.folder
        self._kind: FileKind = kind
        self._checked: dict[str, tuple[int, int]] = {}

    def save(self, name: str, data: bytes, record: Callable[[Connection, int, str], None]) -> None:
        """Write the file, then its record in one durable transaction.

        If the record cannot be written, the file stays as an orphan, which is removed later.

        Parameters
        ----------
        name
            The name of the resource.
        data
            The bytes of the file.
        record
            `record(connection, size, sha256)` writes the record.
        """
        with defer_interrupt():
            # until the record is written the file looks like an orphan to a thread that removes those
            self._database.being_saved.add(name)
            try:
                self._folder.write(self._kind, name, data, self._database.kernel)
                with self._database.transaction(durable=True) as connection:
                    record(connection, len(data), sha256(data).hexdigest())
            finally:
                self._database.being_saved.discard(name)

    def read(self, name: str, size: int, digest: str) -> bytes:
        """Return the bytes that were saved.

        Raises
        ------
        ResourceFileMissingError
            The file does not exist.
        ResourceFileCorruptError
            Its size or hash is not that of the record.
        """
        state = self._folder.state(self._kind, name)
        data = self._folder.read(self._kind, name)
        path = self._folder.path(self._kind, name)
        if data is None or state is None:
            raise ResourceFileMissingError(f"{path} is missing; restore it from a backup, or run again to compute it")
        if len(data) != size or (self._checked.get(name) != state and sha256(data).hexdigest() != digest):
            text = f"{path} is not what was saved ({len(data):,} bytes, {size:,} were saved; or other bytes)"
            raise ResourceFileCorruptError(f"{text}; restore it from a backup, or run again to compute it")
        # hashing a large file takes longer than reading it, so each state is hashed once
        self._checked[name] = state
        return data

    def is_intact(self, name: str, size: int, digest: str) -> bool:
        """Return whether the file is what was saved."""
        state = self._folder.state(self._kind, name)
        if state is None or state[0] != size:
            return False
        if self._checked.get(name) == state:
            return True
        data = self._folder.read(self._kind, name)
        if data is None or len(data) != size or sha256(data).hexdigest() != digest:
            return False
        self._checked[name] = state
        return True

    def drop(
        self, names: Sequence[str], forget: Callable[[Connection, str], bool], unless: Unless | None = None
    ) -> list[str]:
        """Delete records, then their files.

        In between the files are recorded as trash, so that a later start finishes a deletion that a crash interrupted.

        Parameters
        ----------
        names
            The resources.
        forget
            `forget(connection, name)` deletes a record, and returns whether there was one.
        unless
            Called in the transaction; if it returns True, nothing is deleted.

        Returns
        -------
        list of str
            The names that had a record.
        """

        def delete(names: Sequence[str]) -> list[str]:
            with self._database.transaction(durable=True) as connection:
                if unless is not None and unless():
                    return []
                gone = [name for name in names if forget(connection, name)]
                rows = [(self._kind, name) for name in gone]
                connection.executemany("INSERT OR IGNORE INTO trash VALUES (?, ?)", rows)
            # after the commit, since a rollback must still find the files
            for name in gone:
                self._folder.remove(self._kind, name)
                self._checked.pop(name, None)
            # what stays in the trash is removed at the next start
            with suppress(StoreFullError), self._database.transaction() as connection:
                connection.executemany("DELETE FROM trash WHERE kind = ? AND name = ?", rows)
            return gone

        if not names:
            return []
        with defer_interrupt():
            return list(chain.from_iterable(self._database.free(names, delete)))
