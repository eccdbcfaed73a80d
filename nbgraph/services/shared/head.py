"""Requests and reports of a service on a worker of a cluster to the kernel that it works for."""

from typing import Protocol


class HeadLike(Protocol):
    """The kernel that a worker works for, as the worker's services see it."""

    def ask(self, what: str, *arguments: object) -> object:
        """Return the head's answer, waiting for it.

        Parameters
        ----------
        what
            `entries`, `record` or `resource`.
        arguments
            Texts, numbers, bytes and lists of them.

        Returns
        -------
        object
            To `entries` (a list of keys) a list of `EntryAnswer`; to `record` (kind and name) the fields of a record,
            to `resource` (kind and name) the bytes of a file; None for what the head has not.

        Raises
        ------
        CancelledError
            The session was cancelled, or the head is gone.
        """
        ...
