"""Sessions as items: which of them somebody holds, what they take, and which resources they name."""

from abc import abstractmethod
from collections.abc import Iterable

from nbgraph.services.item_storage.item_storage_base import ItemStorageBase
from nbgraph.services.shared.graph.execution_state import GraphExecutionState


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
    def __len__(self) -> int:
        """How many sessions are stored."""
