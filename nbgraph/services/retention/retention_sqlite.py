"""Retention for a studio in a folder, which others may have open too."""

import logging

from nbgraph.errors import StoreError
from nbgraph.services.retention.retention_base import RetentionBase
from nbgraph.services.retention.retention_common import DAY, Limits
from nbgraph.services.shared.sqlite.sqlite_database import SqliteDatabase

logger = logging.getLogger("nbgraph")
_CACHE_BYTES = "SELECT coalesce(sum(length(output) + length(material)), 0) FROM cache_entries"


class RetentionSqlite(RetentionBase):
    """Tidies the folder when it is opened."""

    def __init__(self, database: SqliteDatabase, limits: Limits) -> None:
        super().__init__(limits)
        self._database = database

    def _begin(self) -> None:
        try:
            self.tidy(DAY)
        except StoreError as error:
            logger.warning("what is not needed any more stays until later: %s", error)

    def _others_live(self) -> bool:
        return self._database.has_others

    def _cache_bytes(self) -> int:
        ((size,),) = self._database.rows(_CACHE_BYTES)
        return size
