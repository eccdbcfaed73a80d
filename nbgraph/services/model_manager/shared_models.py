"""One model cache for all studios of a process whose settings for models are equal: no component is loaded twice."""

from collections.abc import Hashable
from functools import cached_property
from threading import Lock
from typing import Any
from weakref import WeakSet, WeakValueDictionary

from nbgraph import diffusion
from nbgraph.services.shared.interrupts import defer_interrupt

_lock = Lock()
_shared: "WeakValueDictionary[Hashable, SharedModels]" = WeakValueDictionary()


class SharedModels:
    """What studios of equal `limits` (device, dtype, RAM and VRAM budgets) have in common; see `shared_models`.

    It is kept by those who joined. When the last of them has left, or was garbage collected, the models go.
    """

    def __init__(self, limits: dict[str, Any]) -> None:
        self._limits = limits
        self._members: WeakSet[Any] = WeakSet()

    @cached_property
    def cache(self) -> Any:
        """The model cache; making it imports torch."""
        return diffusion.ModelCache(**self._limits)

    @property
    def is_made(self) -> bool:
        """Whether anybody has used a model."""
        return "cache" in self.__dict__

    def leave(self, member: Any) -> None:
        """A member needs no models any more."""
        with defer_interrupt(), _lock:  # an interrupt on the way out would leave it locked for every studio
            self._members.discard(member)
            is_last = not self._members
        if is_last and self.is_made:
            self.cache.clear()

    def join(self, member: Any) -> None:
        """Count a member in; the models stay until the last one leaves. Called by `shared_models` only."""
        self._members.add(member)


def shared_models(limits: dict[str, Any], member: Any) -> SharedModels:
    """Join the studios of these limits; the first one makes what they share."""
    with defer_interrupt(), _lock:
        key = tuple(sorted(limits.items()))
        found = _shared.get(key)
        if found is None:
            found = _shared[key] = SharedModels(limits)
        found.join(member)
        return found
