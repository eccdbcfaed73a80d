"""Retention for a studio in a folder, which others may have open too."""

import logging
import weakref
from _thread import TIMEOUT_MAX, start_new_thread

from nbgraph.errors import NbgraphError, StoreError, StoreGoneError
from nbgraph.latch import Bell, Latch
from nbgraph.services.retention.retention_base import RetentionBase
from nbgraph.services.retention.retention_common import DAY, Limits
from nbgraph.services.shared.sqlite.sqlite_database import SqliteDatabase

logger = logging.getLogger("nbgraph")
_CACHE_BYTES = """
SELECT coalesce(sum(length(output) + length(inputs)), 0) + (SELECT coalesce(sum(length(head)), 0) FROM cache_heads)
FROM cache_entries
"""
STOP_SECONDS = 5.0


class RetentionSqlite(RetentionBase):
    """Tidies the folder when it is opened; files that crashes left are then looked for on a thread of its own.

    The thread ends when it finds none. Else it looks again after the grace that these are given, which is how they go
    while the studio stays open; they go as well when another studio is opened later.
    """

    def __init__(self, database: SqliteDatabase, limits: Limits) -> None:
        super().__init__(limits)
        self._database = database
        self._bell, self._ended = Bell(), Latch()
        self._ended.open()

    def stop(self) -> None:
        self._bell.ring()
        self._ended.wait(STOP_SECONDS)
        super().stop()

    @property
    def orphan_seconds(self) -> float:
        """Seconds that a file without a record is left alone, and after which it is looked at again."""
        return self.limits.orphan_days * DAY

    def remove_orphans(self) -> bool:
        """Remove files that crashes left, of which a save cannot be under way; return whether some stay for now."""
        try:
            report = self._database.remove_orphans(self.orphan_seconds)
        except StoreGoneError:  # it was closed meanwhile
            return False
        except StoreError as error:
            logger.warning("files that a crash left stay until the folder is opened again: %s", error)
            return False
        if report.orphans_removed:
            text = f"{report.orphans_removed} files that a crash left removed ({report.bytes_freed:,} bytes)"
            self._database.note(text)
        return report.orphans > report.orphans_removed

    def _begin(self) -> None:
        try:
            self.tidy(DAY)
        except StoreError as error:
            logger.warning("what is not needed any more stays until later: %s", error)
        bell = self._bell = Bell()
        self._ended = Latch()
        own: weakref.ref[RetentionSqlite] = weakref.ref(self, lambda _: bell.ring())
        start_new_thread(_remove_orphans, (own, bell, self._ended))

    def _others_live(self) -> bool:
        return self._database.has_others

    def _cache_bytes(self) -> int:
        ((size,),) = self._database.rows(_CACHE_BYTES)
        return size


def _remove_orphans(own: "weakref.ref[RetentionSqlite]", bell: Bell, ended: Latch) -> None:
    """Look for files that crashes left until there are none. While it waits it keeps no studio alive."""
    try:
        while (retention := own()) is not None and retention.remove_orphans():
            seconds = min(retention.orphan_seconds, TIMEOUT_MAX)
            del retention
            if bell.wait(seconds):
                return
    except NbgraphError:  # the studio was closed
        return
    finally:
        ended.open()
