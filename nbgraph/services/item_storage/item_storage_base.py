"""Item storage: objects with an id, stored as JSON: sessions (`graph_execution_manager`) and library graphs."""

from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Generic, Protocol, Self, TypeVar

from nbgraph.errors import GraphError, NbgraphError, NotFoundError, StoreError
from nbgraph.invocations.node_output import BaseInvocationOutput
from nbgraph.invocations.types import JsonObject
from nbgraph.services.neighbours import Condition
from nbgraph.services.service import Service
from nbgraph.services.shared.callbacks import Callbacks
from nbgraph.services.shared.graph.plan import Prepared
from nbgraph.services.shared.interrupts import defer_interrupt
from nbgraph.services.shared.pagination import Page, page_bounds


class Storable(Protocol):
    """An object that can be stored: it has an id and converts to and from JSON values."""

    id: str

    def to_dict(self) -> JsonObject: ...

    @classmethod
    def from_dict(cls, data: JsonObject) -> Self:
        """Return the object in JSON values.

        Raises
        ------
        NbgraphError, ValueError
            They are not those of such an object.
        """
        ...


Item = TypeVar("Item", bound=Storable)


class Journal(Protocol):
    """Records the results of a running session one by one, so that another kernel can continue it."""

    def completed(self, prepared: Prepared, output: BaseInvocationOutput) -> None:
        """Record the output of a prepared node.

        Raises
        ------
        StoreError
            Only later, from `flush`: rows that cannot be written now stay buffered.
        """
        ...

    def failed(self, prepared: Prepared, error: str) -> None:
        """Record the failure of a prepared node.

        Parameters
        ----------
        prepared
            The node.
        error
            The text of the error; a traceback would keep tensors alive.
        """
        ...

    def flush(self) -> None:
        """Write what is buffered."""
        ...


class ItemStorageBase(Service, Generic[Item]):
    """Stores items of one class by id. Setting an item replaces the one of the same id."""

    def __init__(self, item_class: type[Item]) -> None:
        self.item_class = item_class
        self._changed: Callbacks[Item] = Callbacks()
        self._deleted: Callbacks[str] = Callbacks()

    def on_changed(self, callback: Callable[[Item], None]) -> Callable[[], None]:
        """Call `callback(item)` after an item was set.

        Returns
        -------
        Callable
            A function that unsubscribes.
        """
        return self._changed.add(callback)

    def on_deleted(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call `callback(id)` after an item was deleted.

        Returns
        -------
        Callable
            A function that unsubscribes.
        """
        return self._deleted.add(callback)

    def stock(self, make: Callable[[], Iterable[Item]]) -> None:
        """Fill an empty storage; one with items is left as a person has changed it.

        Parameters
        ----------
        make
            Makes the items; it is called when they are needed.
        """
        if not self.list(per_page=1).total:
            for item in make():
                self.set(item)

    def get(self, item_id: str) -> Item:
        """Return an item.

        Raises
        ------
        NotFoundError
            No item has that id.
        GraphError, StoreError
            The item cannot be read.
        """
        item = self._get(item_id)
        if item is None:
            raise NotFoundError(f"there is no {self.item_class.__name__} {item_id!r}; it was deleted or never saved")
        return item

    def set(self, item: Item) -> None:
        """Store an item.

        Parameters
        ----------
        item
            It replaces the item of the same id.

        Raises
        ------
        StoreError
            It cannot be written.
        """
        self._put(item)
        self._changed(item)

    def delete(self, item_id: str) -> bool:
        """Delete an item.

        Returns
        -------
        bool
            False if there was none.
        """
        # an interrupt in between would leave listeners with an item that no longer exists
        with defer_interrupt():
            gone = self._drop(item_id)
            if gone:
                self._deleted(item_id)
        return gone

    def list(self, page: int = 0, per_page: int = 10) -> Page[Item]:
        """Return a page of items, in the order in which they were first set.

        Parameters
        ----------
        page, per_page
            The number of the page, from 0, and its size.
        """
        return self.search("", page, per_page)

    def search(self, text: str, page: int = 0, per_page: int = 10) -> Page[Item]:
        """Return a page of the items whose JSON contains a text.

        Parameters
        ----------
        text
            Searched literally, with regard to case; `%` and `_` are not wildcards.
        page, per_page
            The number of the page, from 0, and its size.
        """
        offset, limit = page_bounds(page, per_page)
        items, total = self._rows(text, offset, limit)
        return Page(list(items), page, per_page, total)

    def condition(self, item_id: str) -> Condition:
        """Return whether an item can be read now, once the cells that define its nodes have run, or never again.

        Raises
        ------
        StoreError
            The folder itself cannot be read.
        """
        try:
            return "missing" if self._get(item_id) is None else "readable"
        except GraphError as error:
            kinds = {problem.kind for problem in error.problems}
            return "waiting" if "unknown_type" in kinds else "missing"
        # the folder cannot be read, which says nothing about the item
        except StoreError:
            raise
        except (NbgraphError, ValueError):
            return "missing"

    def journal(self, item: Item) -> "Journal | None":
        """Return the journal of a running item.

        Parameters
        ----------
        item
            The live item.

        Returns
        -------
        Journal or None
            None where the live item itself is stored, so that nothing has to be recorded.
        """
        return None

    @abstractmethod
    def _get(self, item_id: str) -> Item | None:
        """Return the item, or None."""

    @abstractmethod
    def _put(self, item: Item) -> None:
        """Store an item in place of the one of the same id."""

    @abstractmethod
    def _drop(self, item_id: str) -> bool:
        """Delete an item; return False if there was none."""

    @abstractmethod
    def _rows(self, text: str, offset: int, limit: int) -> tuple[Iterable[Item], int]:
        """Return the items whose JSON contains the text, in the order they were first set, and the number of all."""
