"""The write-ahead log is emptied by work that nobody waits for, and never grows without end."""

import pytest

from nbgraph.services.shared.sqlite import sqlite_database
from nbgraph.services.shared.sqlite.migrations import Formats
from nbgraph.services.shared.sqlite.sqlite_database import SqliteDatabase
from nbgraph.services.shared.sqlite.store_folder import StoreFolder

MB = 2**20


@pytest.fixture
def database(folder):
    database = SqliteDatabase(StoreFolder(folder), Formats("CREATE TABLE one (a);"))
    yield database
    database.close()


def write(database: SqliteDatabase, megabytes: int, awaited: bool, durable: bool = False) -> float:
    """Write so much; returns how long the log is then, in MB."""
    with database.transaction(durable=durable, awaited=awaited) as connection:
        connection.execute("DELETE FROM one")
        connection.executemany("INSERT INTO one VALUES (zeroblob(?))", [(MB,)] * megabytes)
    return database.folder.database.with_suffix(".db-wal").stat().st_size / MB


def test_what_somebody_waits_for_does_not_wait_for_upkeep(database):
    assert write(database, 17, awaited=True) > 17
    assert write(database, 1, awaited=True, durable=True) > 18
    assert write(database, 1, awaited=False) == 0
    assert database.rows("SELECT count(*) FROM one") == [(1,)]


def test_a_log_that_is_short_is_left_alone(database):
    assert write(database, 1, awaited=False) > 1
    assert write(database, 1, awaited=False) > 2


def test_a_log_that_is_too_long_is_emptied_by_anybody(database, monkeypatch):
    monkeypatch.setattr(sqlite_database, "HARD_LIMIT", 18 * MB)
    assert write(database, 17, awaited=True) > 17
    assert write(database, 2, awaited=True) == 0


def test_what_the_log_holds_is_there_when_the_folder_is_opened_again(database, folder):
    write(database, 3, awaited=True)
    other = SqliteDatabase(StoreFolder(folder), database.formats)
    assert other.rows("SELECT count(*) FROM one") == [(3,)]
    other.close()
