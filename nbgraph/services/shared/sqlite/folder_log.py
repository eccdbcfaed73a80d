"""The log in a studio's folder: when it was opened, how each run ended, warnings, and errors with tracebacks.

Inputs of nodes, such as prompts, are never written; the texts of exceptions are. A file holds 1 MiB; three older ones
are kept.
"""

import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path

MAX_BYTES, KEPT = 2**20, 3
FORMAT = "%(asctime)s %(process)d %(levelname)s %(message)s"
logger = logging.getLogger("nbgraph")


class FolderLog:
    """Writes the records of `nbgraph` and of every logger below it into `nbgraph.log`, while the folder is open."""

    def __init__(self, path: Path) -> None:
        self._file = _QuietFile(
            # `delay`: the file is opened at the first record, so that a full disk does not keep a folder from opening
            path,
            maxBytes=MAX_BYTES,
            backupCount=KEPT,
            encoding="utf-8",
            errors="backslashreplace",
            delay=True,
        )
        self._file.setFormatter(logging.Formatter(FORMAT))
        _open_logs.add(self)

    def note(self, text: str, level: int = logging.INFO) -> None:
        """Write a line into this log only, not through the logger."""
        self.write(logging.LogRecord(logger.name, level, __file__, 0, text, None, None))

    def write(self, record: logging.LogRecord) -> None:
        """Write a record of a logger."""
        self._file.handle(record)

    def close(self) -> None:
        """Stop recording and close the file."""
        _open_logs.discard(self)
        self._file.close()


class _OpenLogs(logging.Handler):
    """One handler for all open folders; the package's logger has it only while a folder is open.

    A filter of the logger would not see the records of its child loggers. A handler does, but where logging is not
    configured it also keeps Python from printing warnings, so this one prints them as Python would.
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._logs: tuple[FolderLog, ...] = ()

    def add(self, log: FolderLog) -> None:
        """Send records to this log too."""
        self.acquire()
        try:
            self._logs = (*self._logs, log)
            logger.addHandler(self)
        finally:
            self.release()

    def discard(self, log: FolderLog) -> None:
        """Send no more records to this log."""
        self.acquire()
        try:
            self._logs = tuple(other for other in self._logs if other is not log)
            if not self._logs:
                logger.removeHandler(self)
        finally:
            self.release()

    def emit(self, record: logging.LogRecord) -> None:
        for log in self._logs:
            log.write(record)
        last_resort = logging.lastResort
        if last_resort is not None and record.levelno >= last_resort.level and self._is_alone(record.name):
            last_resort.handle(record)

    def _is_alone(self, name: str) -> bool:
        """Return whether no other handler would show a record of that logger."""
        found: logging.Logger | None = logging.getLogger(name)
        while found is not None:
            if any(handler is not self for handler in found.handlers):
                return False
            found = found.parent if found.propagate else None
        return True


class _QuietFile(RotatingFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Skip what cannot be written: on a full disk a run must not fail because of its log."""


_open_logs = _OpenLogs()
