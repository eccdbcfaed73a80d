"""The file of the database: newer, older, damaged, foreign, replaced, used after a fork. Never lost, never replaced."""

import os
import signal
import sqlite3
import threading
from hashlib import sha256
from pathlib import Path

import pytest
from PIL import Image

from nbgraph.errors import ForkedStoreError, StoreCorruptError, StoreGoneError, StoreTooNewError
from nbgraph.services.invocation_services import FORMATS, InvocationServices
from nbgraph.services.shared.sqlite.migrations import Formats, restore_backup
from nbgraph.services.shared.sqlite.sqlite_database import SqliteDatabase
from nbgraph.services.shared.sqlite.store_folder import StoreFolder

PICTURE = Image.linear_gradient("L")


@pytest.fixture
def filled(folder: Path) -> Path:
    """A folder with a picture in it, closed."""
    services = InvocationServices.sqlite(folder)
    services.images.save(PICTURE)
    services.close()
    return folder


def test_a_newer_database_is_refused_and_not_touched(filled):
    path = filled / "nbgraph.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = sha256(path.read_bytes()).hexdigest()
    with pytest.raises(StoreTooNewError, match="format 99.*upgrade nbgraph") as caught:
        InvocationServices.sqlite(filled)
    assert (caught.value.found, caught.value.supported) == (99, FORMATS.newest)
    assert sha256(path.read_bytes()).hexdigest() == before


@pytest.mark.parametrize("damage", ["text", "header", "middle"])
def test_a_damaged_database_is_never_replaced(filled, damage):
    path = filled / "nbgraph.db"
    data = bytearray(path.read_bytes())
    if damage == "text":
        data = bytearray(b"not a database at all " * 100)
    elif damage == "header":
        data[:32] = bytes(32)
    else:
        data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(bytes(data))
    (filled / "locks" / ("0" * 32 + ".lock")).touch()
    with pytest.raises(StoreCorruptError, match="restore_backup|another program"):
        InvocationServices.sqlite(filled)
    assert path.read_bytes() == bytes(data)
    assert len(list(filled.glob("images/*/*.png"))) == 1


def test_a_database_of_another_program_is_left_alone(folder):
    folder.mkdir()
    with sqlite3.connect(folder / "nbgraph.db") as connection:
        connection.execute("CREATE TABLE notes (text)")
    connection.close()
    with pytest.raises(StoreCorruptError, match="another program"):
        InvocationServices.sqlite(folder)


def test_an_older_database_is_backed_up_and_brought_forward(folder):
    first = Formats("CREATE TABLE one (a);")
    SqliteDatabase(StoreFolder(folder), first).close()
    step = "CREATE TABLE two (b);\nINSERT INTO two VALUES (1);"
    database = SqliteDatabase(StoreFolder(folder), Formats(first.tables + "CREATE TABLE two (b);", [step]))
    assert database.rows("SELECT b FROM two") == [(1,)]
    database.close()
    assert len(list(folder.glob("backups/*-1.db"))) == 1
    aside = restore_backup(folder)
    assert aside.exists()
    again = SqliteDatabase(StoreFolder(folder), first)
    assert again.rows("SELECT * FROM one") == []
    again.close()


def test_a_step_that_fails_changes_nothing(folder):
    first = Formats("CREATE TABLE one (a);")
    SqliteDatabase(StoreFolder(folder), first).close()
    step = "CREATE TABLE two (b);\nCREATE TABLE one (c);"
    with pytest.raises(sqlite3.OperationalError):
        SqliteDatabase(StoreFolder(folder), Formats(first.tables, [step]))
    database = SqliteDatabase(StoreFolder(folder), first)
    assert [name for (name,) in database.rows("SELECT name FROM sqlite_schema WHERE type='table'")] == ["one"]
    database.close()


def test_what_is_raised_inside_a_transaction_rolls_it_back(folder):
    database = SqliteDatabase(StoreFolder(folder), Formats("CREATE TABLE one (a);"))
    for error in (ValueError, KeyboardInterrupt, SystemExit):
        with pytest.raises(error), database.transaction() as connection, database.transaction():  # noqa: PT012
            connection.execute("INSERT INTO one VALUES (1)")
            raise error
    assert database.rows("SELECT a FROM one") == []
    database.close()


def test_a_database_replaced_while_it_is_open_is_noticed(open_folder, folder):
    services = open_folder().services
    path = folder / "nbgraph.db"
    path.rename(folder / "elsewhere.db")
    with pytest.raises(StoreGoneError, match="deleted or replaced"):
        services.images.save(PICTURE)
    path.write_bytes(b"")
    with pytest.raises(StoreGoneError):
        services.queue.put("a")
    (folder / "elsewhere.db").replace(path)
    assert services.images.save(PICTURE).width == 256


def test_a_connection_is_not_used_after_a_fork(open_folder):
    services = open_folder().services
    child = os.fork()
    if child == 0:
        try:
            services.images.list()
        except ForkedStoreError:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_a_fork_while_another_thread_writes_is_told_so_too(open_folder):
    """The lock of that thread stays held in the forked process, where the thread is not."""
    services = open_folder().services
    writes, may_end = threading.Event(), threading.Event()

    def write() -> None:
        with services.database.transaction():
            writes.set()
            may_end.wait()

    thread = threading.Thread(target=write)
    thread.start()
    writes.wait()
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # ends a process that waits for ever
        refused = 0
        for use in (services.images.list, lambda: services.queue.put("a")):
            try:
                use()
            except ForkedStoreError:
                refused += 1
        os._exit(refused)
    may_end.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
