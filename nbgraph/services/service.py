"""The base of services, which are started and stopped with the invoker that owns them."""

from typing import Protocol

from nbgraph.errors import NbgraphError
from nbgraph.services.neighbours import Services

CLOSED = "this studio or invoker is closed; open another, such as nb.Studio(folder)"


class InvokerLike(Protocol):
    """The invoker, as services see it: the way to the other services."""

    @property
    def services(self) -> Services: ...


class Service:
    """Starts and stops with the invoker, any number of times; reaches other services as `self.services.NAME`."""

    # a class attribute, so that implementations need not call `super().__init__()`
    _invoker: InvokerLike | None = None

    def start(self, invoker: InvokerLike) -> None:
        """Begin work; `invoker.services` are the other services."""
        self._invoker = invoker

    def stop(self) -> None:
        """End work and close what is open."""
        self._invoker = None

    @property
    def services(self) -> Services:
        """The container this service was started in.

        Raises
        ------
        NbgraphError
            The service is not started.
        """
        if self._invoker is None:
            raise NbgraphError(CLOSED)
        return self._invoker.services
