"""Storage of sessions: besides storing items, it knows live sessions, sizes, and the resources that sessions name."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

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
        """Return the ids of the sessions whose graph has a value that contains `text`, in capitals or not.

        Prompts, numbers, model names and choices are values; ids, types and names of inputs are not.
        """

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of stored sessions."""


def has_value(nodes: Any, text: str) -> bool:
    """Return whether a value in the nodes of a graph, as JSON values, contains `text`, in capitals or not."""
    wanted = text.casefold()
    waiting = list(nodes.values()) if isinstance(nodes, dict) else []
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += [part for name, part in value.items() if name not in NAMES and name != "library"]
            library = value.get("library")
            if isinstance(library, dict):
                waiting += _nodes_of(library).values()
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str | int | float) and not isinstance(value, bool) and wanted in str(value).casefold():
            return True
    return False


def _nodes_of(library: dict[str, Any]) -> dict[str, Any]:
    graph = library.get("graph")
    nodes = graph.get("nodes") if isinstance(graph, dict) else None
    return nodes if isinstance(nodes, dict) else {}
