"""Rows that are inserted many by a statement: all of them arrive, in their order, and only new ones are counted."""

import sqlite3

import pytest

from nbgraph.services.shared.sqlite.batch import ROWS_OF_A_STATEMENT, insert_rows

INSERT, PLACES = "INSERT OR IGNORE INTO numbers (value, text)", "(?, ?)"
SIZE = ROWS_OF_A_STATEMENT


@pytest.fixture
def connection():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE numbers (number INTEGER PRIMARY KEY, value INTEGER UNIQUE, text TEXT)")
    yield connection
    connection.close()


@pytest.mark.parametrize("count", [0, 1, SIZE - 1, SIZE, SIZE + 1, 3 * SIZE, 3 * SIZE + 5])
def test_every_row_is_inserted_in_its_order(connection: sqlite3.Connection, count: int) -> None:
    rows = [(1000 - number, f"'{number}'; --") for number in range(count)]
    assert insert_rows(connection, INSERT, PLACES, rows) == count
    assert connection.execute("SELECT value, text FROM numbers ORDER BY number").fetchall() == rows


@pytest.mark.parametrize("known", [0, SIZE - 1, SIZE, 2 * SIZE + 2])
def test_rows_that_are_there_are_not_counted(connection: sqlite3.Connection, known: int) -> None:
    rows = [(number, "new") for number in range(2 * SIZE + 3)]
    insert_rows(connection, INSERT, PLACES, [(known, "old")])
    assert insert_rows(connection, INSERT, PLACES, rows) == len(rows) - 1
    assert connection.execute("SELECT value FROM numbers WHERE text = 'old'").fetchall() == [(known,)]
