"""The view of the invocation cache: `studio.cache`."""

from contextlib import AbstractContextManager
from time import time
from typing import TYPE_CHECKING, Any, cast

from nbgraph.errors import ChoiceError
from nbgraph.frames import cache_frame, reasons_frame
from nbgraph.html import Html, table_html
from nbgraph.invocations.base import BaseInvocation
from nbgraph.readable_frames import explained_note, in_card
from nbgraph.services.invocation_cache.explanation import explain
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.views.base import Shown, widget_class

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs] - its types are in its code

ASKED = 8
"""Graphs that the table offers to explain."""
SHOWN_IN = {"type": "type", "resource": "resources"}
STATIC_COLUMNS = ["node", "type", "age_seconds", "hits", "bytes", "seconds"]


class CacheView(Shown):
    """The invocation cache: `.frame`, `.why(graph)`, `.forget(node)`, `.limit(max_bytes=...)`, `.off()`, `.clear()`.

    In a notebook it is shown as a table of entries to select and forget.
    """

    def __init__(self, services: InvocationServices) -> None:
        self._services = services
        self._cache = services.invocation_cache
        self._asked: dict[str, Graph] = {}

    @property
    def frame(self) -> "pd.DataFrame":
        """One row per entry, the least recently used first."""
        return cache_frame(self._cache.rows(), time())

    def why(self, graph: Graph | BaseInvocation) -> "pd.DataFrame":
        """Say which nodes would run now, and why.

        The table of the cache offers the graph from then on, under "What would run now".

        Parameters
        ----------
        graph
            A graph, or a node with everything it depends on.

        Returns
        -------
        DataFrame
            One row per prepared node: `node`, `source`, `type`, `will_run`, `because`.

        Raises
        ------
        GraphError
            The graph cannot run.
        """
        asked = graph if isinstance(graph, Graph) else Graph.of(graph)
        session = GraphExecutionState(asked)
        session.graph.validate()
        reasons = in_card(reasons_frame(explain(session, self._services)), explained_note)
        # A new dict, because the widget may iterate over the old one on another thread.
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
        """Forget results, and those computed from them.

        Parameters
        ----------
        node
            A node: the results that a run of it would find now, and those made under the id that it was given. An id:
            the results made under it.
        type
            A node type.
        resource
            The name of an image or of tensors that a result names.
        key
            A key in hexadecimal, as in `studio.cache.frame.key`.
        downstream
            Whether results computed from them are forgotten too. If not, they are used again if the same inputs come.

        Returns
        -------
        int
            How many results were forgotten; 0 for a name, id or key without any.

        Raises
        ------
        ChoiceError
            An argument is of another kind.
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
            # The same result may have been made under the id of another, equal node.
            name, found = self._results_of(node)
            keys += found
        return self._cache.forget(node=name, type=type, resource=resource, keys=keys, downstream=downstream)

    def _results_of(self, node: BaseInvocation) -> tuple[str | None, list[bytes]]:
        """Return the id to search for, if any, and the keys of the results that a run of a node would find now.

        A generated id may belong to other nodes too; it is used only where the keys are unknown.
        """
        graph = Graph.of(node)
        reasons = [] if graph.problems() else explain(GraphExecutionState(graph), self._services)
        known = [reason.key for reason in reasons if reason.source == graph.id_of(node)]
        keys = [key for key in known if key]
        is_certain = bool(keys) and len(keys) == len(known)
        return (None if is_certain and "id" not in node.model_fields_set else node.id), keys

    def clear(self) -> int:
        """Forget everything and return how many results there were."""
        return self._cache.clear()

    def limit(self, *, max_entries: int | None = None, max_bytes: int | None = None) -> int:
        """Limit the cache, evict at once what is over the limits, and return how many results were evicted.

        Parameters
        ----------
        max_entries, max_bytes
            The most results, and bytes of outputs; None leaves a limit unchanged.
        """
        return self._cache.limit(max_entries=max_entries, max_bytes=max_bytes)

    def off(self) -> AbstractContextManager[None]:
        """Return a context manager that neither reads nor stores results."""
        return self._cache.off()

    def _make_widget(self) -> Any:
        # Graphs that were asked about before the table was first shown.
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
