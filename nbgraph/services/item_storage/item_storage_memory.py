"""Items in memory: the live objects themselves, so that readers see a running session as it is."""

import json
from collections.abc import Iterable

from nbgraph.services.item_storage.item_storage_base import Item, ItemStorageBase


class ItemStorageMemory(ItemStorageBase[Item]):
    """Keeps items in a dictionary."""

    def __init__(self, item_class: type[Item]) -> None:
        super().__init__(item_class)
        self._items: dict[str, Item] = {}

    def _get(self, item_id: str) -> Item | None:
        return self._items.get(item_id)

    def _put(self, item: Item) -> None:
        self._items[item.id] = item

    def _drop(self, item_id: str) -> bool:
        return self._items.pop(item_id, None) is not None

    def _rows(self, text: str, offset: int, limit: int) -> tuple[Iterable[Item], int]:
        items = list(self._items.values())
        if text:
            # the same text that a folder stores, so that both find the same items
            items = [item for item in items if text in json.dumps(item.to_dict(), ensure_ascii=False)]
        return items[offset : offset + limit], len(items)
