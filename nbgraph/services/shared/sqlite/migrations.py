"""The format of the database, `PRAGMA user_version`: a new database gets the newest tables, an old one is migrated.

Before an old one is changed it is copied into `backups/`; `restore_backup` puts the copy back.

The tables are defined beside the services that read them, the steps in `format_steps.py`; the container joins both.
"""

import os
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import strftime

from nbgraph.errors import StoreCorruptError, StoreError, StoreTooNewError
from nbgraph.services.shared.sqlite.store_errors import corrupt_error
from nbgraph.services.shared.sqlite.store_folder import StoreFolder, sync_folder

APPLICATION_ID = 0x6E626772
"""`nbgr`: marks the file as a database of nbgraph."""
KEPT = 3
"""Backups that are kept."""


@dataclass(frozen=True)
class Formats:
    """The formats of a database, numbered from 1.

    Attributes
    ----------
    tables
        The script that creates the newest format.
    steps
        `steps[n - 1]` migrates format n to n + 1. A released step never changes.
    marks
        Formats that were released under number 1, before formats were counted: format -> (table, column) that older
        formats do not have.
    """

    tables: str
    steps: Sequence[str] = ()
    marks: Mapping[int, tuple[str, str]] = field(default_factory=dict[int, tuple[str, str]])

    @property
    def newest(self) -> int:
        """The number of the newest format."""
        return len(self.steps) + 1

    def found_in(self, connection: sqlite3.Connection) -> int:
        """Return the format of a database, 0 for a new one."""
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found == 1:
            for number, (table, column) in self.marks.items():
                if connection.execute("SELECT 1 FROM pragma_table_info(?) WHERE name = ?", (table, column)).fetchone():
                    found = max(found, number)
        return found


def check_format(connection: sqlite3.Connection, formats: Formats, folder: StoreFolder) -> int:
    """Return the format of a database that can be migrated, or raise before anything in it is changed.

    Raises
    ------
    StoreTooNewError
        It was written by a newer nbgraph.
    StoreCorruptError
        It belongs to another program, or has lost its format number.
    """
    found = formats.found_in(connection)
    if found > formats.newest:
        raise StoreTooNewError(folder.database, found, formats.newest)
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if application != APPLICATION_ID and tables:
        raise StoreCorruptError(f"{folder.database} is a database of another program; open another folder")
    if found < 1 and tables:
        raise corrupt_error(folder.database, f"it has tables, and no format number ({found})")
    return found


def migrate(connection: sqlite3.Connection, formats: Formats, folder: StoreFolder) -> None:
    """Migrate the database to the newest format, all steps or none, after a backup."""
    found = check_format(connection, formats, folder)
    if found == formats.newest:
        return
    if found:
        # outside of the transaction, in which VACUUM cannot run
        back_up(connection, folder)
    # tables are dropped and renamed, which would cascade; the pragma has no effect inside a transaction
    connection.execute("PRAGMA foreign_keys=OFF")
    try:
        connection.execute("BEGIN IMMEDIATE")
        for script in formats.steps[found - 1 :] if found else [formats.tables]:
            for statement in statements(script):
                connection.execute(statement)
        broken = connection.execute("PRAGMA foreign_key_check").fetchall()
        if broken:
            raise StoreCorruptError(f"{folder.database}: rows refer to rows that do not exist: {broken[:5]}")
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={formats.newest}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    finally:
        connection.execute("PRAGMA foreign_keys=ON")


def statements(script: str) -> list[str]:
    """Return the statements of a script, one by one: `executescript` would commit before it."""
    found: list[str] = []
    text = ""
    for line in script.splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            found.append(text)
            text = ""
    return found


def back_up(connection: sqlite3.Connection, folder: StoreFolder) -> Path:
    """Copy the database in one step into `backups/`, where the newest three are kept; return the path of the copy."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    path = folder.backups / f"nbgraph-{strftime('%Y%m%d-%H%M%S')}-{version}.db"
    temporary = path.with_suffix(".part")
    temporary.unlink(missing_ok=True)
    connection.execute("VACUUM INTO ?", (str(temporary),))
    descriptor = os.open(temporary, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    # renamed when it is complete, so that a crash leaves no half backup that looks whole
    temporary.replace(path)
    sync_folder(folder.backups)
    for old in sorted(folder.backups.glob("*.db"))[:-KEPT]:
        old.unlink()
    return path


def restore_backup(root: str | os.PathLike[str]) -> Path:
    """Put the newest backup in the place of the database, which is renamed to `.damaged-<time>`.

    No kernel may have the folder open.

    Returns
    -------
    Path
        The new path of the damaged database.

    Raises
    ------
    StoreError
        There is no backup.
    """
    folder = StoreFolder(root)
    backups = sorted(folder.backups.glob("*.db"))
    if not backups:
        raise StoreError(f"there is no backup in {folder.backups}; open another folder")
    aside = folder.database.with_suffix(f".damaged-{strftime('%Y%m%d-%H%M%S')}")
    # the log too, or SQLite would apply that of the damaged database to the backup
    for ending in ("", "-wal", "-shm"):
        part = Path(f"{folder.database}{ending}")
        if part.exists():
            part.rename(f"{aside}{ending}")
    part = folder.database.with_suffix(".part")
    part.write_bytes(backups[-1].read_bytes())
    part.rename(folder.database)
    return aside
