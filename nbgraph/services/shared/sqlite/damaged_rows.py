"""Rows that cannot be read: each is skipped with a line in the log, so that it never hides the others."""

import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from nbgraph.errors import DamagedRecordError, NbgraphError

Row = TypeVar("Row", bound=tuple[object, ...])
Read = TypeVar("Read")
DAMAGE = (NbgraphError, ValueError, TypeError, KeyError, AttributeError, IndexError)
"""What reading a damaged row raises."""
logger = logging.getLogger("nbgraph")


def readable(rows: Iterable[Row], read: Callable[[Row], Read], what: str) -> Iterator[Read]:
    """Yield `read(row)` for each row. One that cannot be read is skipped, with a line in the log, and stays stored.

    Parameters
    ----------
    rows
        Rows whose first column identifies them in the log.
    read
        Converts a row; whatever of `DAMAGE` it raises marks the row as damaged.
    what
        What a row is, for the log.
    """
    for row in rows:
        try:
            yield read(row)
        except DAMAGE as error:
            logger.warning("%s %.80r cannot be read and is skipped: %.200s", what, row[0], error)


def damaged(what: str, error: Exception) -> DamagedRecordError:
    """Return the error for one record, requested by name, that cannot be read."""
    return DamagedRecordError(f"{what} cannot be read ({str(error)[:200]}); restore the folder from a backup")


def is_text_damage(error: sqlite3.Error) -> bool:
    """Return whether a text is not UTF-8. It fails the whole query, not only the row that it is in."""
    return "decode to UTF-8" in str(error)


def readable_text(data: bytes) -> str:
    """Return a text with a mark in place of what is not UTF-8: a `text_factory` for a query that damage failed."""
    return data.decode(errors="replace")
