"""Stats rows: one for each prepared node that ran, was cached, failed or was cancelled."""

from typing import NamedTuple


class NodeStats(NamedTuple):
    """What one prepared node took.

    `started` is UTC in seconds since 1970; `seconds` by a monotonic clock, the device synchronised. Memory in bytes:
    RAM is the resident set of the process (for nodes under a millisecond the last reading is used again), VRAM is
    None without a GPU. `seed` is the seed that was drawn for a node whose seed was left open.
    """

    session_id: str
    node: str
    source: str
    type: str
    path: tuple[int, ...]
    status: str
    cached: bool
    started: float
    seconds: float
    ram_before: int
    ram_after: int
    ram_peak: int
    vram_before: int | None
    vram_peak: int | None
    vram_reserved: int | None
    model_loads: int
    model_hits: int
    seed: int | None
    error: str


COMPLETED, FAILED, CANCELLED = "completed", "failed", "cancelled"
