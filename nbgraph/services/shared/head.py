"""Requests and reports of a service on a worker of a cluster to the kernel that it works for."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable


class HeadLike(Protocol):
    """The kernel that a worker works for, as the worker's services see it."""

    def ask(self, what: str, *arguments: Any) -> Any:
        """Return the head's answer, waiting for it.

        Parameters
        ----------
        what
            `entries`, `record` or `resource`.
        arguments
            Texts, numbers, bytes and lists of them.

        Raises
        ------
        CancelledError
            The session was cancelled, or the head is gone.
        """
        ...


@runtime_checkable
class FollowsHead(Protocol):
    """A cache on a worker that does not see the studio's folder: the head's cache decides what is cached."""

    def begin(self, keys: Sequence[bytes], base: int = 0) -> None:
        """Begin a session.

        Parameters
        ----------
        keys
            Those that the head has, in the order in which they were stored, after the first `base` ones.
        base
            How many of those that were given before are still there; 0 forgets them.
        """
        ...

    def take_fresh(self) -> list[Any]:
        """Return the entries that were made since the last time, for the head."""
        ...
