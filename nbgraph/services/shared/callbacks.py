"""Lists of callbacks for things that change or go away."""

from collections.abc import Callable
from typing import Generic, TypeVar

Told = TypeVar("Told")


class Callbacks(Generic[Told]):
    """Callbacks in the order they were added; adding one gives the function that takes it away again."""

    def __init__(self) -> None:
        self._callbacks: tuple[Callable[[Told], None], ...] = ()

    def add(self, callback: Callable[[Told], None]) -> Callable[[], None]:
        self._callbacks = (*self._callbacks, callback)

        def remove() -> None:
            self._callbacks = tuple(each for each in self._callbacks if each is not callback)

        return remove

    def __call__(self, told: Told) -> None:
        for callback in self._callbacks:
            callback(told)
