"""The format of the database, by `PRAGMA user_version`: step number n makes format n of format n - 1.

The tables stand beside the services that read them; the container puts the steps together.
"""

import sqlite3
from collections.abc import Sequence

from nbgraph.errors import StoreCorruptError, StoreTooNewError
from nbgraph.services.shared.sqlite.backups import back_up
from nbgraph.services.shared.sqlite.store_folder import StoreFolder

APPLICATION_ID = 0x6E626772
"""`nbgr`: what marks the file as a database of nbgraph."""


def pending_steps(connection: sqlite3.Connection, steps: Sequence[str], folder: StoreFolder) -> int:
    """The format of the database, if it can be brought to the newest.

    `StoreTooNewError` for a newer one, `StoreCorruptError` for a database of something else; neither is touched.
    """
    found = format_of(connection)
    if found > len(steps):
        raise StoreTooNewError(folder.database, found, len(steps))
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if application != APPLICATION_ID and tables:
        raise StoreCorruptError(f"{folder.database} is a database of another program; open another folder")
    return found


def migrate(connection: sqlite3.Connection, steps: Sequence[str], folder: StoreFolder) -> None:
    """Bring the database to the newest format: all steps or none; a backup is made before an old one is changed."""
    found = pending_steps(connection, steps, folder)
    if found == len(steps):
        return
    if found:
        back_up(connection, folder)
    connection.execute("PRAGMA foreign_keys=OFF")
    try:
        connection.execute("BEGIN IMMEDIATE")
        for number in range(format_of(connection), len(steps)):
            for statement in statements(steps[number]):
                connection.execute(statement)
        broken = connection.execute("PRAGMA foreign_key_check").fetchall()
        if broken:
            raise StoreCorruptError(f"{folder.database}: rows refer to what is not there: {broken[:5]}")
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={len(steps)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    finally:
        connection.execute("PRAGMA foreign_keys=ON")


def format_of(connection: sqlite3.Connection) -> int:
    """The format number of a database; 0 for a new one."""
    return connection.execute("PRAGMA user_version").fetchone()[0]


def statements(script: str) -> list[str]:
    """The statements of a script, one by one: `executescript` would commit before it."""
    found, text = [], ""
    for line in script.splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            found.append(text)
            text = ""
    return found
