"""Stats rows: one for each prepared node that ran, was cached, failed or was cancelled."""

from collections.abc import Iterator
from typing import NamedTuple

from msgspec import Struct


class NodeStats(NamedTuple):
    """The time and memory of one prepared node.

    `started` is UTC in seconds since 1970; `seconds` by a monotonic clock, the device synchronised. Memory in bytes:
    RAM is the resident set of the process (for nodes under a millisecond the last reading is used again), VRAM is
    None without a GPU. `batch` is how many nodes ran in the same call: each has an equal share of its seconds, and the
    first of them its model loads and hits. `seed` is the seed that was drawn for a node whose seed was left open.
    `worker` is the name of the cluster's worker that ran it, empty in this process; `device` is where its models are.
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
    batch: int
    seed: int | None
    error: str
    worker: str = ""
    device: str = ""


class Memory(Struct, gc=False, frozen=True):
    """The fields of a row from `ram_before` to `batch`; quick nodes share one object."""

    # gc=False: there may be one per node, and it cannot be part of a cycle
    ram_before: int
    ram_after: int
    ram_peak: int
    vram_before: int | None = None
    vram_peak: int | None = None
    vram_reserved: int | None = None
    model_loads: int = 0
    model_hits: int = 0
    batch: int = 1


class Measured(Struct, gc=False):
    """A row as it is measured: `began` by `perf_counter()`, other fields as in `NodeStats`."""

    node: str
    source: str
    type: str
    path: tuple[int, ...]
    status: str
    cached: bool
    began: float
    seconds: float
    memory: Memory
    seed: int | None
    error: str


class MeasuredRows:
    """Measured rows of one session, converted when they are read, because most never are.

    Parameters
    ----------
    session_id
        The session.
    zero
        The time, in seconds since 1970, at which `perf_counter()` was 0.
    measured
        The rows.
    worker, device
        Where all of them ran, as in `NodeStats`.
    """

    __slots__ = ("_device", "_measured", "_session_id", "_worker", "_zero")

    def __init__(
        self, session_id: str, zero: float, measured: list[Measured], worker: str = "", device: str = ""
    ) -> None:
        self._session_id, self._zero, self._measured = session_id, zero, measured
        self._worker, self._device = worker, device

    def __len__(self) -> int:
        return len(self._measured)

    def __iter__(self) -> Iterator[NodeStats]:
        for each in self._measured:
            memory = each.memory
            # by position, in the order of the fields: by name a row takes 2.4 us instead of 0.9
            yield NodeStats(
                self._session_id,
                each.node,
                each.source,
                each.type,
                each.path,
                each.status,
                each.cached,
                self._zero + each.began,
                each.seconds,
                memory.ram_before,
                memory.ram_after,
                memory.ram_peak,
                memory.vram_before,
                memory.vram_peak,
                memory.vram_reserved,
                memory.model_loads,
                memory.model_hits,
                memory.batch,
                each.seed,
                each.error,
                self._worker,
                self._device,
            )


COMPLETED, FAILED, CANCELLED = "completed", "failed", "cancelled"
