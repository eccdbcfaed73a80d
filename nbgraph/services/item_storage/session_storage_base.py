"""Storage of sessions: besides storing items, it knows live sessions, sizes, and the resources that sessions name."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import cast

from nbgraph.invocations.types import JsonObject
from nbgraph.services.item_storage.item_storage_base import ItemStorageBase
from nbgraph.services.shared.graph.execution_state import GraphExecutionState

NAMES = ("id", "type", "edges")
"""The parts of a node in JSON that are names, not values that a person typed."""


class SessionStorageBase(ItemStorageBase[GraphExecutionState]):
    """Stores sessions. One that has ended is stored apart from the live object, which its caller may still hold."""

    @abstractmethod
    def live(self) -> list[GraphExecutionState]:
        """Return the sessions that wait, run, or are referenced in this process."""

    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """Return the approximate bytes of each stored session, by id, oldest first."""

    @abstractmethod
    def names_in(self, session_ids: Iterable[str]) -> set[str]:
        """Return the names of all resources in stored sessions.

        Parameters
        ----------
        session_ids
            Ids that no session has are ignored.

        Returns
        -------
        set of str
            The names; other ids of the same form may be among them.
        """

    @abstractmethod
    def with_value(self, text: str) -> set[str]:
        """Return the ids of the sessions whose graph has a value that contains a text.

        Parameters
        ----------
        text
            Searched in upper or lower case, in prompts, numbers, model names and choices; not in ids, types and names
            of inputs.
        """

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of stored sessions."""


def has_value(nodes: object, text: str) -> bool:
    """Return whether a value in the nodes of a graph contains a text, in upper or lower case.

    Parameters
    ----------
    nodes
        The nodes by id as JSON values; library graphs in them are searched too.
    text
        Searched in texts and numbers, not in names (`NAMES`).
    """
    wanted = text.casefold()
    # a list in place of recursion: values from a file may be nested to any depth
    waiting: list[object] = list(_object(nodes).values())
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            parts = _object(cast(object, value))
            waiting += [part for name, part in parts.items() if name not in NAMES and name != "library"]
            waiting += _object(_object(_object(parts.get("library")).get("graph")).get("nodes")).values()
        elif isinstance(value, list):
            waiting += cast(list[object], value)
        # flags are not searched: a search for "true" would find nearly every graph
        elif isinstance(value, str | int | float) and not isinstance(value, bool) and wanted in str(value).casefold():
            return True
    return False


def _object(value: object) -> JsonObject:
    """Return a JSON object as it is, and an empty one in place of other JSON values."""
    return cast(JsonObject, value) if isinstance(value, dict) else {}
