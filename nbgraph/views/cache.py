"""The invocation cache, as a person sees it: `studio.cache`."""

from contextlib import AbstractContextManager
from time import time
from typing import TYPE_CHECKING, Any, cast

from nbgraph.errors import ChoiceError
from nbgraph.frames import cache_frame, reasons_frame
from nbgraph.html import Html, table_html
from nbgraph.invocations.base import BaseInvocation
from nbgraph.services.invocation_cache.explanation import explain
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.views.base import Shown, widget_class

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs] - its types are in its code

ASKED = 8
SHOWN_IN = {"type": "type", "resource": "resources"}
STATIC_COLUMNS = ["node", "type", "age_seconds", "hits", "bytes", "seconds"]


class CacheView(Shown):
    """The invocation cache: `.frame`, `.why(graph)`, `.forget(node)`, `.limit(max_bytes=...)`, `.off()`, `.clear()`.

    In a notebook it shows itself as a table of the entries, to tick and forget.
    """

    def __init__(self, services: InvocationServices) -> None:
        self._services = services
        self._cache = services.invocation_cache
        self._asked: dict[str, Graph] = {}

    @property
    def frame(self) -> "pd.DataFrame":
        """One row for each entry, the least recently used first."""
        return cache_frame(self._cache.rows(), time())

    def why(self, graph: Graph | BaseInvocation) -> "pd.DataFrame":
        """Return which nodes of a graph, or of what a node needs, would run now: a row for each, with the reason.

        The table of the cache offers the graph from then on, under "What would run now".
        """
        asked = graph if isinstance(graph, Graph) else Graph.of(graph)
        session = GraphExecutionState(asked)
        session.graph.validate()
        reasons = reasons_frame(explain(session, self._services))
        self._asked = {**self._asked, asked.id: asked}
        while len(self._asked) > ASKED:
            del self._asked[next(iter(self._asked))]
        if self._made is not None:
            self._made.ask_about(asked)
        return reasons

    def forget(
        self,
        node: str | BaseInvocation | None = None,
        *,
        type: str | None = None,
        resource: str | None = None,
        key: str | None = None,
        downstream: bool = True,
    ) -> int:
        """Forget results by node, type, resource or key, and what was computed from them; returns how many.

        A node's result is the one that a run of it would find now, whichever equal node was the first to make it, and
        those that were made under an id that it was given. An id alone means those that were made under it.
        With `downstream=False` what was computed from them stays, and is used if they come out the same again.
        What is none of these is a `ChoiceError`; a name, an id or a key of which there is nothing is 0.
        """
        given = cast(object, node)
        if not isinstance(given, str | BaseInvocation | None):
            raise ChoiceError("node", given, ["a node", "the id of a node"])
        texts: list[tuple[str, object]] = [("type", type), ("resource", resource)]
        for argument, text in texts:
            if not isinstance(text, str | None):
                raise ChoiceError(argument, text, [f"a text, as in studio.cache.frame.{SHOWN_IN[argument]}"])
        name, keys = node if isinstance(node, str) else None, [] if key is None else [_read_key(key)]
        if isinstance(node, BaseInvocation):
            name, found = self._results_of(node)
            keys += found
        return self._cache.forget(node=name, type=type, resource=resource, keys=keys, downstream=downstream)

    def _results_of(self, node: BaseInvocation) -> tuple[str | None, list[bytes]]:
        """The id to go by, and the keys of what runs of a node would find now.

        An id that was not given but made may be that of other nodes too; it counts only where the keys are unknown.
        """
        graph = Graph.of(node)
        reasons = [] if graph.problems() else explain(GraphExecutionState(graph), self._services)
        told = [reason.key for reason in reasons if reason.source == graph.id_of(node)]
        keys = [key for key in told if key]
        is_certain = bool(keys) and len(keys) == len(told)
        return (None if is_certain and "id" not in node.model_fields_set else node.id), keys

    def clear(self) -> int:
        """Forget everything."""
        return self._cache.clear()

    def limit(self, *, max_entries: int | None = None, max_bytes: int | None = None) -> int:
        """Set how many results and bytes are kept, and drop at once what is too much; returns how many went."""
        return self._cache.limit(max_entries=max_entries, max_bytes=max_bytes)

    def off(self) -> AbstractContextManager[None]:
        """Neither read nor keep results inside the `with`."""
        return self._cache.off()

    def _make_widget(self) -> Any:
        table = widget_class("cache_table", "CacheTable")(self._services)
        for graph in self._asked.values():
            table.ask_about(graph)
        return table

    def _html(self) -> Html:
        frame: Any = self.frame
        newest = frame.sort_values("age_seconds").filter(STATIC_COLUMNS).round(2)
        return table_html(newest, repr(self))

    def __len__(self) -> int:
        return self._cache.status().size

    def __repr__(self) -> str:
        status = self._cache.status()
        state = "" if status.enabled else ", off"
        size = f"{status.size} results, {status.bytes / 2**20:.1f} MB"
        return f"Cache({size}, {status.hits} hits, {status.misses} misses{state})"


def _read_key(key: str) -> bytes:
    try:
        found = bytes.fromhex(key)
    except (ValueError, TypeError):
        found = b""
    if not found:
        raise ChoiceError("key", key, ["hexadecimal digits, as in studio.cache.frame.key"])
    return found
