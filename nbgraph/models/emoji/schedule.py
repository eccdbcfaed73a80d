"""How long to train: a number of steps or of minutes, whichever was asked for, as one loop with its progress."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast


@dataclass
class Schedule:
    """Yields (step, progress), progress going from 0 to 1, until `steps` are done or `minutes` have passed.

    `step` is the step to begin with and then the current one, `spent` the seconds used so far, earlier runs included,
    by `clock`: `time.process_time` counts what this process got of a processor that other programs use too.
    `agree` lets several processes follow the clock of one: it takes a process's own progress, returns the common one.
    """

    steps: int | None = None
    minutes: float | None = None
    step: int = 0
    spent: float = 0.0
    clock: Callable[[], float] = time.monotonic
    agree: Callable[[float], float] = float

    def __iter__(self) -> Iterator[tuple[int, float]]:
        started = self.clock() - self.spent
        while True:
            self.spent = self.clock() - started
            progress = self.agree(
                self.step / self.steps if self.steps else self.spent / (60 * cast(float, self.minutes))
            )
            if progress >= 1:
                return
            yield self.step, progress
            self.step += 1

    @staticmethod
    def warmed(step: int, steps: int) -> float:
        """Return the factor of a linear warm-up over `steps`: 1 once it is over."""
        return min(1.0, (step + 1) / steps)
