"""Import large modules on threads of their own, so that an interrupt never leaves one half imported.

Python raises `KeyboardInterrupt` in the main thread between any two bytecodes, and a process in which that happened
during `import torch` cannot import torch again. Here the main thread only waits: if it is interrupted, the import goes
on, and the next caller finds the module or waits for it.

Nothing is imported before somebody needs it: while one thread imports a package, an `import` of a part of it on another
thread is given half of it (`import torch.nn`), or what was there before (diffusers, whose modules replace themselves).

A process may end, or fork, while an import runs. At the end the import is abandoned at its next module: a thread that
still runs C code while the interpreter is taken down may crash it. A fork waits for the import: the child would have a
copy of half a module, and of locks that nobody releases there.
"""

import atexit
import os
import sys
from _thread import allocate_lock, start_new_thread
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from threading import local
from types import ModuleType
from typing import Any
from weakref import WeakSet

from nbgraph.gc_pause import gc_pause, settle
from nbgraph.latch import Latch

LOOK_SECONDS = 0.1
END_SECONDS, FORK_SECONDS = 10.0, 60.0
"""The longest that the end of the process, and a fork, wait for one import."""
Look = Callable[[str], None]


class NotLoadedError(Exception):
    """A module would have to be waited for, inside `without_waiting()`."""


class _ProcessEndsError(BaseException):
    """Ends an import at the end of the process; no `except Exception` within a library takes it for its own."""


class _Import:
    """One import, running or done."""

    def __init__(self) -> None:
        self.ended = Latch()
        self.left = Latch()  # as `ended`, but also opened where the import was abandoned
        self.is_abandoned = False
        self.module: ModuleType | None = None
        self.error: BaseException | None = None


class _WithoutWaiting:
    """A block that is inside `without_waiting()` for as long as it exists, or until its end.

    An interrupt may come between the entry and the block, whose end is then never reached: were it a flag, nothing
    could be loaded on this thread any more.
    """

    def __enter__(self) -> None:
        _thread.without_waiting.add(self)

    def __exit__(self, *_: object) -> None:
        _thread.without_waiting.discard(self)


class _OfThread(local):
    under_way: _Import | None = None
    look: Look | None = None

    def __init__(self) -> None:  # called once by each thread
        self.without_waiting = WeakSet[_WithoutWaiting]()


_imports: dict[str, _Import] = {}
_started: list[_Import] = []
_registering = allocate_lock()
_thread = _OfThread()


def load(name: str, import_it: Callable[[str], ModuleType] = import_module) -> Any:
    """Return the module `name`, completely imported.

    Parameters
    ----------
    name
        The dotted name.
    import_it
        Imports it; what it raises is raised to everybody who waits.

    Raises
    ------
    NotLoadedError
        Inside `without_waiting()`, if it is not imported yet. Its import has been started then.
    """
    if (found := _found(name)) is not None:
        return found
    if _must_import_here():
        return import_it(name)  # to wait here, for a thread that waits for this import, would be for ever
    return _wait_for(name, import_it)


def load_library(name: str) -> Any:
    """Like `load`, for a module that never imports nbgraph. May be called while another module is being imported."""
    if (found := _found(name)) is not None:
        return found
    return import_module(name) if _thread.under_way is not None else _wait_for(name, import_module)


def _must_import_here() -> bool:
    """Return whether this thread imports already: another thread's import might wait for what this one holds."""
    return _thread.under_way is not None or _is_inside_an_import()


def _found(name: str) -> ModuleType | None:
    """Return the module if it is completely imported, by whomever, else None."""
    known = _imports.get(name)
    if known is not None:
        return known.module
    module = sys.modules.get(name)
    return None if getattr(getattr(module, "__spec__", None), "_initializing", False) else module


def _wait_for(name: str, import_it: Callable[[str], ModuleType]) -> Any:
    known = _begin(name, import_it)
    if not known.ended.is_open:
        if _thread.without_waiting:
            raise NotLoadedError(name)
        _wait(name, known.ended)
    if known.error is not None:
        raise known.error
    return known.module


def without_waiting() -> AbstractContextManager[None]:
    """Within the block, on this thread, `load` raises `NotLoadedError` instead of waiting."""
    return _WithoutWaiting()


@contextmanager
def looking_while_waiting(look: Look) -> Generator[None]:
    """Within the block, on this thread, call `look(name)` ten times a second while a module is waited for.

    `look("")` is called after the waiting.

    An exception of `look` ends the waiting, not the import.
    """
    before, _thread.look = _thread.look, look
    try:
        yield
    finally:
        _thread.look = before


def _begin(name: str, import_it: Callable[[str], ModuleType]) -> _Import:
    """Return the import of a module, started if nobody has, or if it failed before.

    An interrupt may come at any point of this, so it takes no lock: the thread it starts does, which has no interrupts.
    """
    known = _imports.get(name)
    if known is None or known.error is not None:
        known = _Import()
        start_new_thread(_run, (name, import_it, known))
    return known


def _run(name: str, import_it: Callable[[str], ModuleType], started: _Import) -> None:
    _thread.under_way = started
    _started.append(started)
    try:
        with _registering:  # this alone: the imports themselves may run beside each other
            known = _imports.get(name)
            if known is None or known.error is not None:
                known = _imports[name] = started
        if known is started:
            # what an import makes stays: without collections, torch and diffusers take a fifth less processor time
            with gc_pause():
                started.module = import_it(name)
                settle()
        else:
            known.left.wait()  # another thread was started for it at the same time
            started.module, started.error = known.module, known.error
    except BaseException as error:
        started.error = error
    finally:
        if not started.is_abandoned:  # else whoever still waits is a thread that ends with the process
            started.ended.open()
        started.left.open()
        _started.remove(started)


def _wait(name: str, ended: Latch) -> None:
    look = _thread.look
    if look is None:
        ended.wait()
        return
    look(name)
    while not ended.wait(LOOK_SECONDS):
        look(name)
    look("")


def _is_inside_an_import() -> bool:
    """Return whether this thread is importing a module, whose lock it then holds."""
    frame = sys._getframe()  # pyright: ignore[reportPrivateUsage] - CPython documents it
    while frame is not None:
        if frame.f_code.co_name == "_find_and_load" and frame.f_globals.get("__name__") == "importlib._bootstrap":
            return True
        frame = frame.f_back
    return False


class _AbandonedImports:
    """Ends abandoned imports: Python asks it where to find each module that is imported, and it raises in theirs."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if _thread.under_way is not None and _thread.under_way.is_abandoned:
            raise _ProcessEndsError(name)


def _abandon_running() -> None:
    running = list(_started)
    for each in running:
        each.is_abandoned = True
    for each in running:
        each.left.wait(END_SECONDS)


def _wait_for_running() -> None:
    if _thread.under_way is None:  # an import that forks cannot wait for itself
        for each in list(_started):
            each.left.wait(FORK_SECONDS)


# the first one asked, since a finder that knows a module is the last
sys.meta_path.insert(0, _AbandonedImports())  # type: ignore[arg-type]
atexit.register(_abandon_running)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_wait_for_running)
