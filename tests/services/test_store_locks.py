"""Several kernels and programs at one database: they wait for each other, and not for ever."""

import os
import sqlite3
import subprocess
import sys
import threading

import pytest

from nbgraph.errors import StoreBusyError, StoreError
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.shared.sqlite.migrations import Formats
from nbgraph.services.shared.sqlite.sqlite_database import SqliteDatabase
from nbgraph.services.shared.sqlite.store_folder import StoreFolder


def test_a_locked_database_is_waited_for_and_then_named(folder):
    database = SqliteDatabase(StoreFolder(folder), Formats("CREATE TABLE one (a);"), wait_seconds=0.3)
    other = SqliteDatabase(StoreFolder(folder), Formats("CREATE TABLE one (a);"))
    with other.transaction(), pytest.raises(StoreBusyError, match=f"process {os.getpid()}"), database.transaction():
        pass
    with database.transaction() as connection:
        connection.execute("INSERT INTO one VALUES (1)")
    assert other.rows("SELECT a FROM one") == [(1,)]
    database.close()
    other.close()


def test_a_program_that_knows_no_lock_files_is_waited_for_too(folder):
    database = SqliteDatabase(StoreFolder(folder), Formats("CREATE TABLE one (a);"))
    foreign = sqlite3.connect(folder / "nbgraph.db", isolation_level=None, check_same_thread=False)
    foreign.execute("BEGIN IMMEDIATE")
    threading.Timer(0.3, foreign.execute, ("COMMIT",)).start()
    with database.transaction() as connection:
        connection.execute("INSERT INTO one VALUES (1)")
    foreign.close()
    database.close()


def test_a_transaction_within_a_held_folder_leaves_it_held(folder):
    database = SqliteDatabase(StoreFolder(folder), Formats("CREATE TABLE one (a);"))
    other = SqliteDatabase(StoreFolder(folder), Formats("CREATE TABLE one (a);"), wait_seconds=0.05)
    with database.exclusive():
        with database.transaction() as connection:
            connection.execute("INSERT INTO one VALUES (1)")
        with pytest.raises(StoreBusyError), other.transaction():
            pass
    with other.transaction() as connection:
        connection.execute("INSERT INTO one VALUES (2)")
    assert database.rows("SELECT a FROM one") == [(1,), (2,)]
    database.close()
    other.close()


def test_the_folder_is_not_held_from_inside_a_transaction_which_stays_whole(folder):
    database = SqliteDatabase(StoreFolder(folder), Formats("CREATE TABLE one (a);"))
    other = SqliteDatabase(StoreFolder(folder), Formats("CREATE TABLE one (a);"), wait_seconds=0.05)
    with database.transaction() as connection:
        with pytest.raises(StoreError, match="in a transaction; end it"), database.exclusive():
            pass
        with pytest.raises(StoreBusyError, match="process"), other.transaction():
            pass
        connection.execute("INSERT INTO one VALUES (1)")
    assert other.rows("SELECT a FROM one") == [(1,)]
    database.close()
    other.close()


WRITER = """
import sys, time
from nbgraph.services.invocation_services import InvocationServices
services = InvocationServices.sqlite(sys.argv[1])
end, count = time.monotonic() + float(sys.argv[2]), 0
while time.monotonic() < end:
    services.queue.put(f"{sys.argv[3]} {count}")
    count += 1
services.close()
print(count)
"""


def test_two_processes_write_at_once_and_every_row_is_there(folder):
    seconds = "10" if os.environ.get("NBGRAPH_SOAK") == "1" else "1"
    command = [sys.executable, "-c", WRITER, str(folder), seconds]
    processes = [
        subprocess.Popen([*command, name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for name in "ab"
    ]
    ends = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ends
    counts = [int(out) for out, _ in ends]
    services = InvocationServices.sqlite(folder)
    rows = services.database.rows("SELECT substr(session_id, 1, 1), count(*) FROM queue GROUP BY 1 ORDER BY 1")
    assert rows == [("a", counts[0]), ("b", counts[1])]
    print("rows of each process:", counts)
    assert min(counts) > 0.05 * sum(counts)
    services.close()
