"""Sessions in memory."""

from collections.abc import Iterable
from copy import copy
from weakref import WeakValueDictionary

from pydantic_core import to_jsonable_python

from nbgraph.invocations.fields import resources_in
from nbgraph.invocations.types import JsonObject
from nbgraph.services.item_storage.item_storage_memory import ItemStorageMemory
from nbgraph.services.item_storage.session_storage_base import SessionStorageBase, has_value
from nbgraph.services.shared.graph.execution_state import GraphExecutionState

ENDED = ("completed", "failed", "cancelled")
BYTES, NODE_BYTES, RESULT_BYTES = 2000, 500, 300
"""Approximate bytes of a session, of each of its nodes, and of each result."""


class SessionStorageMemory(ItemStorageMemory[GraphExecutionState], SessionStorageBase):
    """Stores a session that has ended as a shallow copy: a weak reference then shows whether the live one is in use."""

    def __init__(self) -> None:
        super().__init__(GraphExecutionState)
        self._live: WeakValueDictionary[str, GraphExecutionState] = WeakValueDictionary()

    def live(self) -> list[GraphExecutionState]:
        # `valuerefs` is a copy made at once; `values` fails where another thread adds a session meanwhile
        return [session for held in self._live.valuerefs() if (session := held()) is not None]

    def sizes(self) -> dict[str, int]:
        return {
            item.id: BYTES + NODE_BYTES * len(item.plan.nodes) + RESULT_BYTES * len(item)
            for item in list(self._items.values())
        }

    def names_in(self, session_ids: Iterable[str]) -> set[str]:
        found = [self._items[each] for each in session_ids if each in self._items]
        outputs = [output for session in found for output in session.outputs.values()]
        typed = [planned.node.literals() for session in found for planned in session.plan.nodes]
        return {field.resource_name for field in resources_in([outputs, typed])}

    def with_value(self, text: str) -> set[str]:
        return {item.id for item in list(self._items.values()) if has_value(_values_of(item), text)}

    def __len__(self) -> int:
        return len(self._items)

    def _get(self, item_id: str) -> GraphExecutionState | None:
        # `is not None`: a session without results is false
        live = self._live.get(item_id)
        if live is not None or item_id not in self._items:
            return live
        # a copy, so that changing it, as a resume that is refused does, leaves the stored one as it is
        live = self._live[item_id] = copy(self._items[item_id])
        return live

    def _drop(self, item_id: str) -> bool:
        self._live.pop(item_id, None)
        return super()._drop(item_id)

    def _put(self, item: GraphExecutionState) -> None:
        self._live[item.id] = item
        self._items[item.id] = copy(item) if item.status in ENDED else item


def _values_of(session: GraphExecutionState) -> JsonObject:
    # A value in memory need not be JSON; one that is not is searched by its text.
    return {
        planned.id: to_jsonable_python(planned.node.literals(), fallback=str, serialize_unknown=True)
        for planned in session.plan.nodes
    }
