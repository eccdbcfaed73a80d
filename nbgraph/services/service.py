"""A service: something with a life, started and stopped with the invoker that owns it, which knows its neighbours."""

from typing import Protocol

from nbgraph.errors import NbgraphError
from nbgraph.services.neighbours import Services

CLOSED = "this studio or invoker is closed; open another, such as nb.Studio(folder)"


class InvokerLike(Protocol):
    """The invoker, as services see it: the way to their neighbours."""

    @property
    def services(self) -> Services: ...


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
    def services(self) -> Services:
        """The container this service was started in.

        Raises
        ------
        NbgraphError : The service is not started.
        """
        if self._invoker is None:
            raise NbgraphError(CLOSED)
        return self._invoker.services
