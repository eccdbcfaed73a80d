"""Waiting for what others hold: in short turns, so that Stop is heard, and no longer than was agreed."""

import random
import sqlite3
from collections.abc import Callable
from time import monotonic, sleep
from typing import TypeVar

from nbgraph.errors import StoreBusyError
from nbgraph.services.shared.interrupts import HeldStop
from nbgraph.services.shared.sqlite.kernel_lease import living_kernels
from nbgraph.services.shared.sqlite.store_errors import is_busy
from nbgraph.services.shared.sqlite.store_folder import StoreFolder

TURN_SECONDS = 0.05
Result = TypeVar("Result")


class Patience:
    """How long one waits for a folder that others use."""

    def __init__(self, folder: StoreFolder, seconds: float) -> None:
        self._folder, self._seconds = folder, seconds

    def until(self, acquire: Callable[[], bool], stop: HeldStop, turn: float = 0.0002) -> None:
        """Call `acquire` until it gives True; turns between calls grow from `turn` seconds to 10 ms.

        `StoreBusyError` names who has the folder open when the time is up, `KeyboardInterrupt` if Stop was pressed.
        """
        if acquire():
            return
        deadline = monotonic() + self._seconds
        while not acquire():
            self._give_up(deadline, stop)
            sleep(random.uniform(0, turn))
            turn = min(turn * 1.5, 0.01)

    def through(self, work: Callable[[], Result], stop: HeldStop) -> Result:
        """What `work` gives, called again while SQLite says that the database is busy."""
        deadline = monotonic() + self._seconds
        while True:
            try:
                return work()
            except sqlite3.Error as error:
                if not is_busy(error):
                    raise
                self._give_up(deadline, stop)
                sleep(random.uniform(0, 0.01))

    def _give_up(self, deadline: float, stop: HeldStop) -> None:
        if stop.requested:
            raise KeyboardInterrupt
        if monotonic() > deadline:
            text = f"{self._folder.database} was kept locked for {self._seconds:g} s; in use by: "
            raise StoreBusyError(text + living_kernels(self._folder) + "; try again, or close the other kernel")
