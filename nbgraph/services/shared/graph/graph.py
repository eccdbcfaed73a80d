"""The source graph a person edits: nodes by id, and edges. The same document for Python, files and the canvas."""

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from operator import is_
from typing import Any, cast
from uuid import uuid4

from nbgraph.errors import GraphError, NotFoundError, Problem, Problems, suggest
from nbgraph.invocations.base import BaseInvocation, is_link
from nbgraph.services.shared.gc_pause import gc_pause
from nbgraph.services.shared.graph.addresses import by_node, typed_values, with_inner_values, without_link
from nbgraph.services.shared.graph.compiled_graph import CompiledGraph, GraphSnapshot
from nbgraph.services.shared.graph.drawing.svg import GraphDrawing
from nbgraph.services.shared.graph.edges import GRAPH, Connection, Edge, Link, as_edge, edge
from nbgraph.services.shared.graph.expand import expand
from nbgraph.services.shared.graph.graph_json import (
    graph_from_dict,
    graph_from_json,
    graph_to_dict,
    graph_to_json,
    is_same_graph,
)
from nbgraph.services.shared.graph.graph_python import graph_to_python
from nbgraph.services.shared.graph.topology import IncrementalOrder, NodeCollection, free_id
from nbgraph.services.shared.graph.validation import check_edge, graph_problems, placeholder_problems, stale_edges


class Graph:
    """Nodes and edges. `Graph.of(image)` collects everything `image` needs; `graph.edges` has the edges.

    Every edit leaves the graph valid, except for inputs that are still open, or raises `GraphError` with all that is
    wrong and changes nothing. Open inputs are an error only when the graph is run. Two graphs are equal if their JSON
    is: the same id, nodes in the same order, edges and layout.

    Parameters
    ----------
    nodes
        Nodes to add, with all they are linked to in Python. A node without an id is numbered by its type.
    edges
        Further edges, also as pairs `("noise.noise", "denoise.noise")`.
    id
        The id of the graph; a new one by default.

    Examples
    --------
    >>> from nbgraph.invocations import Add, Multiply
    >>> graph = Graph.of(Multiply(id="product", a=Add(id="sum", a=1, b=2), b=5))
    >>> [str(edge) for edge in graph.edges]
    ['sum.value -> product.a']
    >>> Graph.from_json(graph.to_json()) == graph
    True
    """

    def __init__(
        self, nodes: Iterable[BaseInvocation] = (), edges: Iterable[Edge | tuple[str, str]] = (), id: str | None = None
    ) -> None:
        self.id = id or uuid4().hex
        self.nodes: dict[str, BaseInvocation] = {}
        self.layout: dict[str, Any] = {}
        self._links: dict[str, list[Link]] = {}  # the lists are never changed: copies of the graph share them
        self._ids: dict[BaseInvocation, str] = {}
        self._snapshot: dict[str, dict[str, Any]] = {}  # the values of each node when it came
        self._order: IncrementalOrder | None = None  # made for the first edge that is added
        self._compiled: CompiledGraph | None = None
        self._numbers: dict[str, int] = {}
        self._collect(nodes)
        self.add_edges(edges)

    @classmethod
    def of(cls, *targets: BaseInvocation) -> "Graph":
        """Return the graph of all that these nodes need, in topological order.

        Raises `GraphError` if two different nodes have one id, or nodes are linked in a cycle.
        """
        graph = cls()
        with gc_pause():
            graph._collect(targets)
        return graph

    @property
    def edges(self) -> list[Edge]:
        """All edges, in the order of the nodes they arrive at and of the fields there."""
        return [
            Edge(Connection(link.source, link.output), Connection(node_id, link.field))
            for node_id in self.nodes
            for link in self._links.get(node_id, ())
        ]

    @property
    def ends(self) -> list[str]:
        """The ids of the nodes whose outputs no other node takes, in their order."""
        left = {link.source for node_id in self.nodes for link in self.links(node_id)}
        return [node_id for node_id in self.nodes if node_id not in left]

    def links(self, node_id: str) -> list[Link]:
        """Return the edges that arrive at a node."""
        return self._links.get(node_id, [])

    def id_of(self, node: str | BaseInvocation) -> str:
        """Return the id of a node in this graph, given the node itself or its id; raises `NotFoundError`."""
        if isinstance(node, BaseInvocation):
            if node in self._ids:
                return self._ids[node]
            node = node.id or ""
        if node not in self.nodes:
            raise NotFoundError(f"the graph has no node {node!r}{suggest(str(node), self.nodes)}")
        return node

    def __getitem__(self, node_id: str) -> BaseInvocation:
        return self.nodes[self.id_of(node_id)]

    def __contains__(self, node: object) -> bool:
        return node in self.nodes if isinstance(node, str) else node in self._ids

    def __len__(self) -> int:
        return len(self.nodes)

    def __iter__(self) -> Iterator[str]:
        return iter(self.nodes)

    def _ipython_key_completions_(self) -> list[str]:
        return list(self.nodes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Graph) and is_same_graph(self, other)

    __hash__ = None  # type: ignore[assignment]  # a graph can be edited

    def __repr__(self) -> str:
        return f"Graph({len(self.nodes)} nodes, {sum(map(len, self._links.values()))} edges)"

    def add_node(self, node: BaseInvocation) -> str:
        """Add a node and all it is linked to in Python; return its id. Raises as `of`."""
        self._collect([node])
        return self._ids[node]

    def update_node(self, node: str | BaseInvocation, **values: Any) -> None:
        """Give inputs of a node new values, or other nodes; edges that arrive at such an input are deleted.

        Raises
        ------
        GraphError
            A value does not fit, an edge would close a cycle, or another `id` is given.
        NotFoundError
            The graph has no such node.
        """
        node_id = self.id_of(node)
        if values.get("id", node_id) != node_id:
            text = f"a node keeps its id, and {values['id']!r} was given; add a node of that id and delete this one"
            raise GraphError([Problem("bad_id", text, node_id, "id")])
        old, links = self.nodes[node_id], self.links(node_id)
        changed = type(old)(**{**typed_values(old), "id": node_id, **values})
        refs = list(changed.links())
        added = self._collect(ref.node for _, ref in refs)
        # the node first: edges are checked against the node they arrive at
        self._put(node_id, changed)
        self._links[node_id] = [link for link in links if link.field not in values]
        try:
            self.add_edges(
                Edge(Connection(self._ids[ref.node], ref.field), Connection(node_id, name)) for name, ref in refs
            )
        except GraphError:
            self._put(node_id, old)
            self._links[node_id], self._order = links, None  # the order may know edges that are gone again
            self._forget(added)
            raise

    def delete_node(self, node: str | BaseInvocation) -> None:
        """Remove a node and the edges from and to it."""
        node_id = self.id_of(node)
        for target, links in self._links.items():
            for link in [link for link in links if link.source == node_id]:
                self.delete_edge(Edge(Connection(node_id, link.output), Connection(target, link.field)))
        self._forget([node_id])

    def add_edge(self, source: Edge | str, destination: str = "") -> None:
        """Add an edge: `add_edge("noise.noise", "denoise.noise")`.

        Raises
        ------
        GraphError
            An end does not exist, the types do not fit, the input has an edge, or a cycle would result.
        """
        self.add_edges([edge(source, destination, self.nodes)])

    def add_edges(self, edges: Iterable[Edge | tuple[str, str]], restored: bool = False) -> None:
        """Add all of these edges, or pairs such as `("noise.noise", "denoise.noise")`, or none; raises as `add_edge`.

        Of edges that the graph had before (`restored`), only cycles are checked.
        """
        before: list[tuple[str, list[Link]]] = []
        problems = Problems()
        for each in [as_edge(given, self.nodes) for given in edges]:
            found = ([] if restored else check_edge(self, each)) or self._cycle(each)
            if found:
                problems.found.extend(found)
                continue
            (source, output), (target, field) = each
            before.append((target, self.links(target)))
            self._links[target] = [*self.links(target), Link(field, source, output)]
        if problems.found:
            self._links.update(reversed(before))
        problems.raise_any()

    def delete_edge(self, source: Edge | str, destination: str = "") -> None:
        """Remove an edge, named as for `add_edge`; a missing one is ignored, and of two equal ones one stays."""
        (node_id, output), (target, field) = edge(source, destination, self.nodes)
        link, links = Link(field, node_id, output), list(self.links(target))
        if link not in links:
            return
        links.remove(link)
        self._links[target] = links
        node = self.nodes[target]
        if is_link(node.__dict__[field]):
            self._put(target, without_link(node, field))

    def with_values(self, values: Mapping[str, Any]) -> "Graph":
        """Return a copy with other values at some inputs: `{"noise.seed": 8}`; the graph itself is unchanged.

        An input inside a graph node has the address `"outer.noise.seed"`.

        Raises `GraphError` with the problems of all addresses that name no input, and values that do not fit.
        """
        copy = self.copy()
        problems = Problems()
        for node_id, changes in by_node(self.nodes, values, problems).items():
            try:
                inner = {address: value for address, value in changes.items() if "." in address}
                if inner:  # another class of graph node, with another library graph inside
                    copy._put(node_id, with_inner_values(node_id, self.nodes[node_id], inner))
                if outer := {name: value for name, value in changes.items() if name not in inner}:
                    copy.update_node(node_id, **outer)
            except GraphError as error:
                problems.found.extend(error.problems)
        problems.raise_any()
        return copy

    def copy(self) -> "Graph":
        """Return a graph of the same id with the same nodes and edges; edits of one do not reach the other."""
        other = Graph(id=self.id)
        other.nodes, other.layout = dict(self.nodes), dict(self.layout)
        other._links = dict(self._links)
        other._ids = dict(self._ids)
        other._snapshot = dict(self._snapshot)
        other._numbers = dict(self._numbers)
        other._compiled = self._compiled
        other._order = self._order and self._order.copy()
        return other

    __copy__ = copy

    def replaced(self, others: Mapping[BaseInvocation, BaseInvocation]) -> "Graph":
        """Return a copy with some nodes replaced; `id_of` accepts the old and the new node."""
        copy = self.copy()
        copy.nodes = {node_id: others.get(node, node) for node_id, node in self.nodes.items()}
        copy._ids.update({other: self._ids[node] for node, other in others.items()})
        copy._snapshot = {node_id: vars(node) for node_id, node in copy.nodes.items()}
        return copy

    def compiled(self) -> CompiledGraph:
        """Return what is worked out of the graph as it is now; the same object as long as it does not change."""
        known = self._known_compiled()
        if known is None:
            snapshot = GraphSnapshot(self.nodes, self._links)  # before the rest: a change meanwhile is seen later
            copy = self.copy()
            copy._compiled = None
            known = CompiledGraph(copy, snapshot)
            self._compiled = known if known.is_kept else None
        return known

    def _known_compiled(self) -> CompiledGraph | None:
        known = self._compiled
        return known if known is not None and known.snapshot.describes(self.nodes, self._links) else None

    @property
    def is_as_collected(self) -> bool:
        """Whether the nodes, in their order, still have the values that they had when they were added."""
        are_same = all(map(is_, map(vars, self.nodes.values()), self._snapshot.values()))
        return are_same and len(self.nodes) == len(self._snapshot)

    def problems(self) -> list[Problem]:
        """Return everything that keeps the graph from running, also inside graph nodes, or an empty list."""
        known = self._known_compiled()
        stale = [] if self.is_as_collected else list(stale_edges(self.nodes, self._snapshot))
        stale += placeholder_problems(self.nodes, self.layout)
        if known is not None and known.is_valid:
            return stale
        with gc_pause():
            found = graph_problems(self, order=None if known is None else known.order)
        if known is not None:
            known.is_valid = not found
        found = [*stale, *found]
        # only a graph that is valid outside can be expanded
        if found or not any(node.type == GRAPH for node in self.nodes.values()):
            return found
        try:
            return graph_problems(expand(self))
        except GraphError as error:
            return list(error.problems)

    def validate(self) -> "Graph":
        """Return the graph itself if it can run; else raise `GraphError` with every reason in `problems`."""
        if problems := self.problems():
            raise GraphError(problems)
        return self

    def load(self, nodes: Mapping[str, BaseInvocation], links: Mapping[str, list[Link]]) -> None:
        """Take over nodes and edges read from a file, validated as a whole except for inputs that are still open."""
        self.nodes, self._links, self._order = dict(nodes), dict(links), None
        self._ids = {node: node_id for node_id, node in nodes.items()}
        self._snapshot = {node_id: vars(node) for node_id, node in nodes.items()}
        unknown = [node_id for node_id in links if node_id not in nodes]
        problems = [problem for problem in graph_problems(self, unknown) if problem.kind != "missing_input"]
        if problems:
            raise GraphError(problems)

    def to_json(self, indent: int | None = None) -> str:
        """Return the graph as JSON: nodes by id, edges, and the layout if there is one."""
        return graph_to_json(self, indent)

    @classmethod
    def from_json(cls, text: str | bytes) -> "Graph":
        """Return the graph in a JSON text of up to 64 MiB, or raise `GraphError` with every reason in `problems`."""
        return graph_from_json(cls, text)

    def to_dict(self) -> dict[str, Any]:
        """Return the graph as JSON-able values, as `to_json` writes them."""
        return graph_to_dict(self)

    @classmethod
    def from_dict(cls, data: Any) -> "Graph":
        """Return the graph in values read from JSON; raises as `from_json`."""
        return graph_from_dict(cls, data)

    def to_python(self) -> str:
        """Return Python code that builds a graph of the same nodes and edges, without the id and the layout."""
        return graph_to_python(self)

    def to_diffusers(self, model_folders: Iterable[Any] = (), device: str | None = None) -> str:
        """Return a script of diffusers, without nbgraph, that draws the same images and saves each as `<node>.png`.

        Parameters
        ----------
        model_folders
            Folders in which models are looked for, beside those of the settings.
        device
            The torch device of the script, such as `"cpu"`; None takes the one that a studio here would take.

        Raises
        ------
        GraphError
            The graph cannot run, or has no exact counterpart in diffusers; each node and field is named.
        """
        # by name: the export is of an upper layer, and loads diffusers
        return import_module("nbgraph.recipes.diffusers_script").local_script(self, model_folders, device)

    def to_comfy(self, model_folders: Iterable[Any] = ()) -> str:
        """Return the graph in ComfyUI's API format, JSON; models keep the names of their files.

        Raises
        ------
        GraphError
            The graph cannot run, or has no exact counterpart in ComfyUI; each node and field is named.
        """
        return import_module("nbgraph.recipes.comfy_export").comfy_json(self, model_folders)

    def show(self) -> GraphDrawing:
        """Return a drawing, which shows itself in a notebook; `graph.show().svg` is its SVG text."""
        return GraphDrawing(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return self.show().mimebundle()

    def _collect(self, targets: Iterable[BaseInvocation]) -> list[str]:
        """Add these nodes and everything they are linked to, each after what it needs; all of them or none."""
        collection = NodeCollection(self._ids)
        for target in targets:
            collection.add(target)
        added: list[str] = []
        try:
            self._adopt(collection, added)
        except BaseException:
            self._forget(added)
            raise
        if self._order is not None:
            for node_id in added:
                self._order.append(node_id)
        return added

    def _adopt(self, collection: NodeCollection, added: list[str]) -> None:
        """Give each collected node an id and its edges, and append the id to `added`."""
        nodes, links, snapshot = self.nodes, self._links, self._snapshot
        found = cast(dict[BaseInvocation, Any], collection.found)
        ids = self._ids or found  # a new graph takes the dictionary over: one of 100,000 entries less to make
        for node in collection.order:
            node_id, refs = node.id, found[node]
            if node_id is None or node_id in nodes:
                node_id = free_id(node, nodes, collection.ids, self._numbers)
            added.append(node_id)
            nodes[node_id] = node
            snapshot[node_id] = vars(node)
            ids[node] = node_id
            if refs:
                links[node_id] = [Link(name, ids[ref.node], ref.field) for name, ref in refs]
        self._ids = ids

    def _forget(self, node_ids: Iterable[str]) -> None:
        gone = set(node_ids)
        if not gone:
            return
        for node_id in gone:
            self.nodes.pop(node_id, None)
            self._links.pop(node_id, None)
            self._snapshot.pop(node_id, None)
        self._ids = {node: node_id for node, node_id in self._ids.items() if node_id not in gone}

    def _put(self, node_id: str, node: BaseInvocation) -> None:
        self.nodes[node_id], self._snapshot[node_id] = node, vars(node)
        self._ids[node] = node_id

    def _cycle(self, new: Edge) -> list[Problem]:
        """Return a problem if the edge closes a cycle."""
        if self._order is None:
            self._order = IncrementalOrder(self.nodes, self.links)
        path = self._order.add_edge(new.source.node_id, new.destination.node_id, self.links)
        if not path:
            return []
        text = f"the edge {new} closes a cycle: {' -> '.join([*path, path[0]])}"
        return [Problem("cycle", text, new.destination.node_id)]
