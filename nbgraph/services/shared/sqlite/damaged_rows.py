"""Rows that cannot be read: one of them costs itself, never the others, and a line in the log says which it is."""

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from nbgraph.errors import DamagedRecordError, NbgraphError

Read = TypeVar("Read")
DAMAGE = (NbgraphError, ValueError, TypeError, KeyError, AttributeError, IndexError)
"""What reading a row raises that does not hold what its writer put there."""
logger = logging.getLogger("nbgraph")


def readable(rows: Iterable[tuple[Any, ...]], read: Callable[[tuple[Any, ...]], Read], what: str) -> Iterator[Read]:
    """Read each row; one that cannot be read is left out, with a line in the log, and stays stored."""
    for row in rows:
        try:
            yield read(row)
        except DAMAGE as error:
            logger.warning("%s %.80r cannot be read, and is left out: %.200s", what, row[0], error)


def damaged(what: str, error: Exception) -> DamagedRecordError:
    """The error for a record that was asked for by name and cannot be read."""
    return DamagedRecordError(f"{what} cannot be read ({str(error)[:200]}); put the folder back from a backup")
