"""Sessions as items: which of them somebody holds, what they take, and which resources they name."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

from nbgraph.services.item_storage.item_storage_base import ItemStorageBase
from nbgraph.services.shared.graph.execution_state import GraphExecutionState

NAMES = ("id", "type", "edges")
"""The parts of a node in JSON that are names, not values that a person typed."""


class SessionStorageBase(ItemStorageBase[GraphExecutionState]):
    """A session that has ended is kept apart from the live object, which whoever ran it may hold."""

    @abstractmethod
    def live(self) -> list[GraphExecutionState]:
        """The sessions that wait, run, or are held by somebody in this process."""

    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """The bytes of each session that is stored, about, by id, the oldest first."""

    @abstractmethod
    def names_in(self, session_ids: Iterable[str]) -> set[str]:
        """The names of resources in these sessions as they are stored, and maybe other ids in them."""

    @abstractmethod
    def with_value(self, text: str) -> set[str]:
        """Return the ids of the sessions whose graph has a value that contains `text`, in capitals or not.

        Prompts, numbers, model names and choices are values; ids, types and names of inputs are not.
        """

    @abstractmethod
    def __len__(self) -> int:
        """How many sessions are stored."""


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
