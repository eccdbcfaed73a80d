"""Import large modules on threads of their own, so that an interrupt never leaves one half imported.

Python raises `KeyboardInterrupt` in the main thread between any two bytecodes, and a process in which that happened
during `import torch` cannot import torch again. Here the main thread only waits: if it is interrupted, the import goes
on, and the next caller finds the module or waits for it.
"""

import sys
from _thread import allocate_lock, start_new_thread
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from threading import local
from types import ModuleType
from typing import Any

from nbgraph.latch import Latch

LOOK_SECONDS = 0.1
Look = Callable[[str], None]


class NotLoadedError(Exception):
    """A module would have to be waited for, inside `without_waiting()`."""


class _Import:
    """One import, running or done."""

    def __init__(self) -> None:
        self.ended = Latch()
        self.module: ModuleType | None = None
        self.error: BaseException | None = None


class _OfThread(local):
    is_importing = False
    may_wait = True
    look: Look | None = None


_imports: dict[str, _Import] = {}
_starting = allocate_lock()
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
    if _thread.is_importing or _is_inside_an_import():
        return import_it(name)  # to wait here, for a thread that waits for this import, would be for ever
    return _wait_for(name, import_it)


def load_library(name: str) -> Any:
    """Like `load`, for a module that never imports nbgraph. May be called while another module is being imported."""
    if (found := _found(name)) is not None:
        return found
    return import_module(name) if _thread.is_importing else _wait_for(name, import_module)


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
        if not _thread.may_wait:
            raise NotLoadedError(name)
        _wait(name, known.ended)
    if known.error is not None:
        raise known.error
    return known.module


@contextmanager
def without_waiting() -> Iterator[None]:
    """Within the block, on this thread, `load` raises `NotLoadedError` instead of waiting."""
    before, _thread.may_wait = _thread.may_wait, False
    try:
        yield
    finally:
        _thread.may_wait = before


@contextmanager
def looking_while_waiting(look: Look) -> Iterator[None]:
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
    """Return the import of a module, started if nobody has, or if it failed before."""
    known = _imports.get(name)
    if known is None or known.error is not None:
        started = _Import()
        with _starting:
            known = _imports.get(name)
            if known is None or known.error is not None:
                start_new_thread(_run, (name, import_it, started))
                _imports[name] = known = started
    return known


def _run(name: str, import_it: Callable[[str], ModuleType], under_way: _Import) -> None:
    _thread.is_importing = True
    try:
        under_way.module = import_it(name)
    except BaseException as error:
        under_way.error = error
    finally:
        under_way.ended.open()


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
    frame = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name == "_find_and_load" and frame.f_globals.get("__name__") == "importlib._bootstrap":
            return True
        frame = frame.f_back
    return False
