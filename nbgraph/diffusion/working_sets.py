"""Memory that a computation takes beside the weights, learnt from what earlier ones took.

Bytes are kept by task, model and precision, for each number of pixels of all images of a call. A call with no more
pixels than a known one is expected to take what that one took, and a larger one more in proportion.
"""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from nbgraph.diffusion.meters import DeviceMeter

Key = tuple[str, str, str]
"""Task, fingerprint of the model, precision."""
DENOISE, DECODE, ENCODE = "denoise", "decode", "encode"
"""Tasks."""
LARGEST_STEP = 4
"""How many times the pixels of a known call may be exceeded; beyond that a known call says too little."""
MOST_SIZES = 64


class WorkingSets:
    """The working memory of past calls on one device. Safe to use from several threads."""

    def __init__(self) -> None:
        self._taken: dict[Key, dict[int, int]] = {}
        self._lock = threading.Lock()

    def note(self, key: Key, pixels: int, taken: int) -> None:
        """Record that a call with so many pixels took `taken` bytes; of several, the most counts."""
        with self._lock:
            known = self._taken.setdefault(key, {})
            known[pixels] = max(taken, known.get(pixels, 0))
            if len(known) > MOST_SIZES:
                del known[min(known)]

    def estimate(self, key: Key, pixels: int) -> int | None:
        """Return the bytes that a call with so many pixels will take; None where no known call says it."""
        with self._lock:
            known = dict(self._taken.get(key, {}))
        if larger := [size for size in known if size >= pixels]:
            return known[min(larger)]
        nearest = max(known, default=0)
        if not nearest or pixels > LARGEST_STEP * nearest:
            return None
        return known[nearest] * pixels // nearest


@dataclass(frozen=True)
class Working:
    """The working sets of one model: what is known of them, and measuring more."""

    sets: WorkingSets
    device: torch.device
    model: str
    dtype: str

    def estimate(self, task: str, pixels: int) -> int | None:
        """Return the bytes that a task with so many pixels will take beside the weights; None where it is not known."""
        return self.sets.estimate((task, self.model, self.dtype), pixels)

    @contextmanager
    def watch(self, task: str, pixels: int) -> Generator[None]:
        """Measure the block, whose weights are in place, as one call of a task.

        Peaks are counted since the node began. A block that does not exceed the peak before it is not recorded, as its
        own is not known then. Nothing is measured on devices without counters.
        """
        meter = DeviceMeter(self.device)
        before = meter.read()
        yield
        after = meter.read()
        if before is not None and after is not None and after.peak_allocated > before.peak_allocated:
            taken = after.peak_allocated - before.allocated
            self.sets.note((task, self.model, self.dtype), pixels, taken)
