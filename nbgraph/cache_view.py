"""The invocation cache, as a person sees it: `studio.cache`."""

from time import time
from typing import TYPE_CHECKING

from nbgraph.frames import cache_frame
from nbgraph.invocations.base import BaseInvocation
from nbgraph.services.invocation_services import InvocationServices

if TYPE_CHECKING:
    import pandas as pd


class CacheView:
    """The invocation cache, as a person sees it."""

    def __init__(self, services: InvocationServices) -> None:
        self._services = services
        self._cache = services.invocation_cache

    @property
    def frame(self) -> "pd.DataFrame":
        """One row for each entry, the least recently used first."""
        return cache_frame(self._cache.entries(), time())

    def forget(
        self,
        node: "str | BaseInvocation | None" = None,
        *,
        type: str | None = None,
        resource: str | None = None,
        key: str | None = None,
    ) -> int:
        """Forget results by node, type, resource or key, and what was computed from them; returns how many."""
        name = node.id if isinstance(node, BaseInvocation) else node
        return self._cache.forget(node=name, type=type, resource=resource, key=bytes.fromhex(key) if key else None)

    def clear(self) -> int:
        """Forget everything."""
        return self._cache.clear()

    def off(self):
        """Neither read nor keep results inside the `with`."""
        return self._cache.off()

    def __len__(self) -> int:
        return self._cache.status().size

    def __repr__(self) -> str:
        status = self._cache.status()
        state = "" if status.enabled else ", off"
        size = f"{status.size} results, {status.bytes / 2**20:.1f} MB"
        return f"Cache({size}, {status.hits} hits, {status.misses} misses{state})"
