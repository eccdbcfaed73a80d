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
    """Writes the records of `nbgraph` and of every logger below it into `nbgraph.log`, while the folder is open."""

    def __init__(self, path: Path) -> None:
        self._file = _QuietFile(
            path, maxBytes=MAX_BYTES, backupCount=KEPT, encoding="utf-8", errors="backslashreplace", delay=True
        )
        self._file.setFormatter(logging.Formatter(FORMAT))
        _open_logs.add(self)

    def note(self, text: str, level: int = logging.INFO) -> None:
        """Write a line into this log alone."""
        self.write(logging.LogRecord(logger.name, level, __file__, 0, text, None, None))

    def write(self, record: logging.LogRecord) -> None:
        """Write a record of a logger."""
        self._file.handle(record)

    def close(self) -> None:
        """Write no records of loggers any more, and close the file."""
        _open_logs.discard(self)
        self._file.close()


class _OpenLogs(logging.Handler):
    """One handler for all open folders; the package's logger has it only while there is one.

    A filter of the logger would not see the records of loggers below it. A handler does, but keeps Python from printing
    warnings where nobody has set logging up, so this one prints them as Python does.
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._logs: tuple[FolderLog, ...] = ()

    def add(self, log: FolderLog) -> None:
        """Write records into this log too."""
        self.acquire()
        try:
            self._logs = (*self._logs, log)
            logger.addHandler(self)
        finally:
            self.release()

    def discard(self, log: FolderLog) -> None:
        """Write nothing into this log any more."""
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
        """Pass over what cannot be written: on a full disk a run must not fail for its log."""


_open_logs = _OpenLogs()
