"""Reports of a model cache: rows of its contents, events of loading, counters of both."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class LoadedComponent:
    """One row of what the cache holds. Bytes are of parameters and buffers; `last_used` is seconds since the epoch.

    `mode` says where the weights are while it computes, as `offloading` has it; `device` is where they are now.
    """

    model: str
    component: str
    bytes: int
    device: str
    dtype: str
    patches: int
    in_use: int
    uses: int
    last_used: float
    mode: str = "component"


@dataclass(frozen=True)
class LoadEvent:
    """A component is about to be loaded (`seconds` None) or was loaded."""

    model: str
    component: str
    bytes: int
    seconds: float | None


@dataclass(frozen=True)
class CacheCounters:
    """Counts of uses of components: found in the cache, loaded from files, evicted."""

    hits: int = 0
    loads: int = 0
    evictions: int = 0


@dataclass
class CacheUser:
    """One of several users of a model cache: the counters of its own uses, and a callback for what these load."""

    counters: CacheCounters = CacheCounters()
    on_load: Callable[[LoadEvent], None] | None = None
