"""Retention for a studio in a folder, which other kernels may have open too."""

import logging
import weakref
from _thread import TIMEOUT_MAX, start_new_thread

from nbgraph.errors import NbgraphError, StoreError, StoreGoneError
from nbgraph.latch import Bell, Latch
from nbgraph.services.retention.retention_base import RetentionBase
from nbgraph.services.retention.retention_common import DAY, Limits
from nbgraph.services.shared.sqlite.sqlite_database import SqliteDatabase
from nbgraph.services.shared.sqlite.upkeep import remove_orphans

logger = logging.getLogger("nbgraph")
_CACHE_BYTES = """
SELECT coalesce(sum(length(output) + length(inputs)), 0) + (SELECT coalesce(sum(length(head)), 0) FROM cache_heads)
FROM cache_entries
"""
STOP_SECONDS = 5.0


class RetentionSqlite(RetentionBase):
    """Applies the limits when the folder is opened, then removes files that crashes left, on a thread of its own.

    The thread ends when it finds none. Otherwise it looks again after their grace period, so that they are removed
    while the studio is open; opening the folder later removes them as well.
    """

    def __init__(self, database: SqliteDatabase, limits: Limits) -> None:
        super().__init__(limits)
        self._database = database
        self._bell, self._ended = Bell(), Latch()
        self._ended.open()

    def stop(self) -> None:
        # wake the thread and wait for it: it must not use the database once that is closed
        self._bell.ring()
        self._ended.wait(STOP_SECONDS)
        super().stop()

    @property
    def orphan_seconds(self) -> float:
        """Seconds that a file without a record is kept, and between two searches for such files."""
        return self.limits.orphan_days * DAY

    def remove_orphans(self) -> bool:
        """Remove files that crashes left, except those that a save may be writing.

        Returns
        -------
        bool
            True if some must be looked at again later.
        """
        try:
            report = remove_orphans(self._database, self.orphan_seconds)
        except StoreGoneError:  # it was closed meanwhile
            return False
        except StoreError as error:
            logger.warning("files that a crash left are kept until the folder is opened again: %s", error)
            return False
        if report.orphans_removed:
            text = f"removed {report.orphans_removed} files that a crash left ({report.bytes_freed:,} bytes)"
            self._database.note(text)
        return report.orphans > report.orphans_removed

    def _begin(self) -> None:
        try:
            self.tidy(DAY)
        except StoreError as error:
            logger.warning("unneeded resources are kept for now: %s", error)
        bell = self._bell = Bell()
        self._ended = Latch()
        # weak, so that a studio which nobody closed can still be garbage collected
        own: weakref.ref[RetentionSqlite] = weakref.ref(self, lambda _: bell.ring())
        start_new_thread(_remove_orphans, (own, bell, self._ended))

    def _others_live(self) -> bool:
        return self._database.has_others

    def _cache_bytes(self) -> int:
        ((size,),) = self._database.rows(_CACHE_BYTES)
        return size


def _remove_orphans(own: "weakref.ref[RetentionSqlite]", bell: Bell, ended: Latch) -> None:
    """Look for files that crashes left until there are none. While waiting it keeps no reference to the studio."""
    try:
        while (retention := own()) is not None and retention.remove_orphans():
            # a lock cannot wait longer than TIMEOUT_MAX
            seconds = min(retention.orphan_seconds, TIMEOUT_MAX)
            del retention
            if bell.wait(seconds):
                return
    except NbgraphError:  # the studio was closed
        return
    finally:
        ended.open()
