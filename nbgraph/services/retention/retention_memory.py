"""Retention for a studio in memory."""

from nbgraph.services.retention.retention_base import RetentionBase


class RetentionMemory(RetentionBase):
    """One kernel, and nothing from earlier ones."""

    def _others_live(self) -> bool:
        return False

    def _cache_bytes(self) -> int:
        cache = self.services.invocation_cache
        return sum(len(row.head) + len(row.inputs) for row in cache.entries())
