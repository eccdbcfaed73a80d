"""What every service is: something with a life, started and stopped with the invoker that owns it."""

import re
from collections.abc import Callable
from typing import Any, Protocol
from uuid import uuid4

from nbgraph.errors import InvalidNameError, NbgraphError

CLOSED = "this studio or invoker is closed; open another, such as nb.Studio(folder)"
_NAME = re.compile(r"[0-9a-f]{32}\Z")

Unless = Callable[[], bool]


class InvokerLike(Protocol):
    """The invoker, as services see it: the way to their neighbours."""

    @property
    def services(self) -> Any: ...


class Service:
    """Starts and stops with the invoker, both as often as one likes; reaches its neighbours as `self.services.NAME`."""

    _invoker: InvokerLike | None = None

    def start(self, invoker: InvokerLike) -> None:
        """Begin work; `invoker.services` are the neighbours."""
        self._invoker = invoker

    def stop(self) -> None:
        """End work and let go of what is held open."""
        self._invoker = None

    @property
    def services(self) -> Any:
        """The container this service was started in."""
        if self._invoker is None:
            raise NbgraphError(CLOSED)
        return self._invoker.services


def new_name() -> str:
    """A name for a resource: 32 hexadecimal digits, never made from what a person typed."""
    return uuid4().hex


def text_name(name: object) -> str:
    """The name, if it is a text; `InvalidNameError` otherwise. A text of another form names nothing that is there."""
    if not isinstance(name, str):
        raise InvalidNameError(f"a resource is named by a text, not by {repr(name)[:80]}")
    return name


def is_name(text: str) -> bool:
    """Return whether a text has the form of a generated name."""
    return _NAME.match(text) is not None


def checked_name(name: object) -> str:
    """The name, if it has the form of a generated one; `InvalidNameError` otherwise."""
    if not isinstance(name, str) or not is_name(name):
        raise InvalidNameError(f"{repr(name)[:80]} is no name of a resource; such names are 32 hexadecimal digits")
    return name
