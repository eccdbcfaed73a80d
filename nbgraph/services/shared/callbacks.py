"""Lists of callbacks for things that change or go away."""

from collections.abc import Callable
from typing import Generic, TypeVar

Told = TypeVar("Told")


class Callbacks(Generic[Told]):
    """Callbacks in the order they were added; adding one gives the function that takes it away again."""

    def __init__(self) -> None:
        self.callbacks: tuple[Callable[[Told], None], ...] = ()

    def add(self, callback: Callable[[Told], None]) -> Callable[[], None]:
        """Add a callback; returns what takes it away."""
        self.callbacks = (*self.callbacks, callback)
        return lambda: self.remove(callback)

    def remove(self, callback: Callable[[Told], None]) -> None:
        """Take a callback away; one that is not there is no error."""
        self.callbacks = tuple(each for each in self.callbacks if each is not callback)

    def __call__(self, told: Told) -> None:
        for callback in self.callbacks:
            callback(told)
