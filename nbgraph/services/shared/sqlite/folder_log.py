"""The log in a studio's folder: when it was opened, what became of each run, warnings, and errors with tracebacks.

Inputs of nodes, prompts among them, are never written; what an exception says is. 1 MiB, and the three before.
"""

import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path

MAX_BYTES, KEPT = 2**20, 3
FORMAT = "%(asctime)s %(process)d %(levelname)s %(message)s"
logger = logging.getLogger("nbgraph")


class FolderLog:
    """Writes what nbgraph logs while a folder is open, and notes about the folder itself, into its `nbgraph.log`.

    It listens as a filter of the logger: a handler would keep Python from printing warnings where nobody sets logging.
    """

    def __init__(self, path: Path) -> None:
        self._handler = _QuietFile(
            path, maxBytes=MAX_BYTES, backupCount=KEPT, encoding="utf-8", errors="backslashreplace", delay=True
        )
        self._handler.setFormatter(logging.Formatter(FORMAT))
        logger.addFilter(self._take)

    def note(self, text: str, level: int = logging.INFO) -> None:
        """Write a note into this log alone."""
        self._handler.handle(logging.LogRecord(logger.name, level, __file__, 0, text, None, None))

    def close(self) -> None:
        """Stop listening, and close the file."""
        logger.removeFilter(self._take)
        self._handler.close()

    def _take(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.INFO:
            self._handler.handle(record)
        return True


class _QuietFile(RotatingFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Pass over what cannot be written: on a full disk a run must not fail for its log."""
