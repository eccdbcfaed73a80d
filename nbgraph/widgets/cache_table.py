"""The cache table in a notebook cell: entries to sort, filter and forget, and which nodes of a graph would run now."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import traitlets
from IPython.core.getipython import get_ipython
from pydantic import Field, StringConstraints, TypeAdapter

from nbgraph.services.events.events_common import NodeCompleted, SessionFinished
from nbgraph.services.invocation_cache.entry_lists import EntryQuery, EntrySort
from nbgraph.services.invocation_cache.invocation_cache_common import CacheRow
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.widgets.dry_run import GraphChoices
from nbgraph.widgets.pictures import Thumbnails
from nbgraph.widgets.rpc import Answer, Name, Request, RpcWidget, on_other_kernels

MAX_OUTPUT = 300
MAX_NAMED = 200
Key = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Keys = Annotated[list[Key], Field(min_length=1, max_length=100_000)]


class ListEntries(Request):
    """Return a page of entries; `text` is searched in nodes, types, inputs and resources, `node_type` is one type."""

    type: Literal["list"]
    page: int = Field(0, ge=0, le=10_000_000)
    per_page: int = Field(50, ge=1, le=200)
    sort: EntrySort = "created"
    descending: bool = True
    text: Name = ""
    node_type: Name = ""


class ForgetEntries(Request):
    """Forget entries, and with `downstream` those computed from them; `doomed` only lists what would be forgotten."""

    type: Literal["doomed", "forget"]
    keys: Keys
    downstream: bool = True


class ClearEntries(Request):
    """Forget everything and reset the counters."""

    type: Literal["clear"]


class SwitchCache(Request):
    """Switch the cache on or off."""

    type: Literal["switch"]
    on: bool


class LimitCache(Request):
    """Set how much is kept; None leaves a limit unchanged."""

    type: Literal["limit"]
    max_entries: int | None = Field(None, ge=0, le=2**40)
    max_bytes: int | None = Field(None, ge=0, le=2**60)


class ExplainGraph(Request):
    """Explain which nodes of a graph would run now, and why; without an id, list the graphs to choose from."""

    type: Literal["why"]
    graph: Name = ""


AnyRequest = ListEntries | ForgetEntries | ClearEntries | SwitchCache | LimitCache | ExplainGraph


class CacheTable(RpcWidget):
    """The table of the invocation cache; `ask_about(graph)` offers a graph under "What would run now"."""

    _widget = traitlets.Unicode("cache_table").tag(sync=True)
    _requests = TypeAdapter(Annotated[AnyRequest, Field(discriminator="type")])

    def __init__(self, services: InvocationServices) -> None:
        self._services, self._cache = services, services.invocation_cache
        self._thumbnails = Thumbnails(services.images)
        self._graphs = GraphChoices(services)
        super().__init__()
        endings: list[Callable[[], object]] = [
            services.events.subscribe(self._on_event),
            services.images.on_deleted(self._notify),
            services.latents.on_deleted(self._notify),
            *on_other_kernels(services, self._notify),
        ]
        # A cell may redefine a node, which changes what would run without any event of the services.
        shell: Any = get_ipython()
        if shell is not None:
            shell.events.register("post_run_cell", self._notify)
            endings.append(lambda: shell.events.unregister("post_run_cell", self._notify))
        self._endings = endings

    def ask_about(self, graph: Graph) -> None:
        """Offer a graph under "What would run now"."""
        self._graphs.add(graph)
        self._notify()

    def __repr__(self) -> str:
        return f"CacheTable({self._cache.status().size} results)"

    def _on_event(self, event: Any) -> None:
        if isinstance(event, NodeCompleted | SessionFinished):
            self._notify()

    def _change(self) -> dict[str, Any]:
        return {"type": "changed", "status": self._status()}

    def _status(self) -> dict[str, Any]:
        status = self._cache.status()
        return {
            "size": status.size,
            "bytes": status.bytes,
            "hits": status.hits,
            "misses": status.misses,
            "on": status.enabled,
            "maxEntries": status.max_entries,
            "maxBytes": status.max_bytes,
        }

    def _answer(self, request: AnyRequest, buffers: list[Any]) -> Answer:
        if isinstance(request, ListEntries):
            return self._page(request)
        if isinstance(request, ExplainGraph):
            return {"type": "why", **self._graphs.explain(request.graph)}, []
        if isinstance(request, ForgetEntries):
            return self._forget(request)
        answer: dict[str, Any] = {"type": "done"}
        if isinstance(request, ClearEntries):
            answer["count"] = self._cache.clear()
        elif isinstance(request, SwitchCache):
            self._cache.enable() if request.on else self._cache.disable()
        else:
            answer["count"] = self._cache.limit(max_entries=request.max_entries, max_bytes=request.max_bytes)
        # Other tables of this cache show it too.
        self._notify()
        return {**answer, "status": self._status()}, []

    def _page(self, request: ListEntries) -> Answer:
        query = EntryQuery(request.text, request.node_type, request.sort, request.descending)
        found = self._cache.page(query, request.page, request.per_page)
        shown = found.items
        # Only entries of this page: a table of 100,000 entries must open as fast as one of ten.
        pictures = {name: bytes_of for row in shown for name in row.resources if (bytes_of := self._picture(name))}
        content = {
            "type": "page",
            "page": found.page,
            "pages": max(1, found.pages),
            "total": found.total,
            "types": self._cache.types(),
            "entries": [_facts(row, pictures) for row in shown],
            "pictures": list(pictures),
            "status": self._status(),
        }
        return content, list(pictures.values())

    def _picture(self, name: str) -> bytes:
        return self._thumbnails.get(name) if self._services.images.exists(name) else b""

    def _forget(self, request: ForgetEntries) -> Answer:
        # A person sees what would be forgotten before it is: `doomed` and `forget` follow the same edges.
        keys = {bytes.fromhex(key) for key in request.keys}
        if request.type == "doomed":
            doomed = self._cache.affected(keys=keys, downstream=request.downstream)
            nodes = [[row.node, row.type] for row in self._cache.rows_of(doomed[:MAX_NAMED])]
            return {"type": "doomed", "nodes": nodes, "total": len(doomed)}, []
        count = self._cache.forget(keys=keys, downstream=request.downstream)
        self._notify()
        return {"type": "done", "count": count, "status": self._status()}, []


def _facts(row: CacheRow, pictures: dict[str, bytes]) -> dict[str, Any]:
    return {
        "key": row.key.hex(),
        "node": row.node,
        "type": row.type,
        "created": row.created,
        "hits": row.hits,
        "bytes": row.bytes,
        "seconds": row.seconds,
        "resources": list(row.resources)[:20],
        "picture": next((name for name in row.resources if name in pictures), ""),
        "output": row.text[:MAX_OUTPUT],
    }
