"""Items in memory: the live objects themselves, so that readers see a running session as it is."""

import json
from collections.abc import Callable, Iterable
from threading import RLock

from nbgraph.services.item_storage.item_storage_base import Item, ItemStorageBase


class ItemStorageMemory(ItemStorageBase[Item]):
    """Keeps items in a dictionary."""

    def __init__(self, item_class: type[Item]) -> None:
        super().__init__(item_class)
        self._items: dict[str, Item] = {}
        self._stock: Callable[[], Iterable[Item]] | None = None
        self._stocking = RLock()

    def stock(self, make: Callable[[], Iterable[Item]]) -> None:
        """Fill an empty storage when it is first used: most studios never look at their library."""
        if not self._items:
            self._stock = make

    def _kept(self) -> dict[str, Item]:
        if self._stock is not None:
            with self._stocking:
                if (make := self._stock) is not None:
                    self._items = {item.id: item for item in make()}
                    self._stock = None  # last: an interrupt before it leaves all to be made
        return self._items

    def _get(self, item_id: str) -> Item | None:
        return self._kept().get(item_id)

    def _put(self, item: Item) -> None:
        self._kept()[item.id] = item

    def _drop(self, item_id: str) -> bool:
        return self._kept().pop(item_id, None) is not None

    def _rows(self, text: str, offset: int, limit: int) -> tuple[Iterable[Item], int]:
        items = list(self._kept().values())
        if text:
            # the same text that a folder stores, so that both find the same items
            items = [item for item in items if text in json.dumps(item.to_dict(), ensure_ascii=False)]
        return items[offset : offset + limit], len(items)
