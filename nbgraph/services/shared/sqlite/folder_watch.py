"""Notice that another kernel has written into a folder, for displays that are open in this one.

SQLite counts the commits of other connections (`PRAGMA data_version`), so a look reads no table. One thread per open
folder looks once a second, as long as somebody listens.
"""

import weakref
from collections.abc import Callable
from threading import Event, Lock, Thread
from typing import Protocol

from nbgraph.errors import StoreError
from nbgraph.services.shared.callbacks import Callbacks
from nbgraph.services.shared.interrupts import defer_interrupt

LOOK_SECONDS = 1.0


class Readable(Protocol):
    """A database that answers queries."""

    def rows(self, sql: str, /) -> list[tuple[int, ...]]: ...


class FolderWatch:
    """Call callbacks after another kernel has committed to the folder of `database`.

    The thread refers to neither the database nor the callbacks, so that a studio that nobody holds is collected.
    """

    def __init__(self, database: Readable) -> None:
        self._database = weakref.ref(database)
        self._callbacks: Callbacks[None] = Callbacks()
        self._lock = Lock()
        self._ended: Event | None = None
        self._version = 0

    def add(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback()`, on a thread of its own, at most once a second.

        Returns
        -------
        Callable
            A function that unsubscribes.
        """
        remove = self._callbacks.add(lambda _: callback())
        # an interrupt between the start of the thread and the note of it would start a second one
        with defer_interrupt(), self._lock:
            if self._ended is None:
                self._version = self._read()
                self._ended = Event()
                Thread(target=_watch, args=(weakref.ref(self), self._ended), name="folder watch", daemon=True).start()

        def end() -> None:
            remove()
            with self._lock:
                self._end_if_idle()

        return end

    def look(self) -> bool:
        """Call the callbacks if another kernel has committed since the last look; return whether to look again."""
        with self._lock:
            if self._end_if_idle():
                return False
            try:
                version = self._read()
            except StoreError:  # closed, or unreadable: whoever reads it for a person says so
                self._ended = None
                return False
        if version != self._version:
            self._version = version
            # not under the lock: a callback may subscribe or unsubscribe
            self._callbacks(None)
        return True

    def _end_if_idle(self) -> bool:
        if self._ended is not None and not self._callbacks.callbacks:
            self._ended.set()
            self._ended = None
        return self._ended is None

    def _read(self) -> int:
        database = self._database()
        return 0 if database is None else database.rows("PRAGMA data_version")[0][0]


def _watch(watch: "weakref.ref[FolderWatch]", ended: Event) -> None:
    while not ended.wait(LOOK_SECONDS):
        found = watch()
        if found is None or not found.look():
            return
        del found  # while it waits, this thread keeps nothing alive
