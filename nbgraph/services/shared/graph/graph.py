"""The source graph a person edits: nodes by id, and edges. The same document for Python, files and the canvas."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from uuid import uuid4

from nbgraph.errors import GraphError, NotFoundError, Problem, Problems, suggest
from nbgraph.invocations.base import BaseInvocation, is_link
from nbgraph.services.shared.gc_pause import gc_pause
from nbgraph.services.shared.graph.addresses import by_node, typed_values, with_inner_values, without_link
from nbgraph.services.shared.graph.drawing.svg import GraphDrawing
from nbgraph.services.shared.graph.edges import Connection, Edge, Link, as_edge, edge
from nbgraph.services.shared.graph.expand import GRAPH, expand
from nbgraph.services.shared.graph.graph_json import graph_from_dict, graph_from_json, graph_to_dict, graph_to_json
from nbgraph.services.shared.graph.graph_python import graph_to_python
from nbgraph.services.shared.graph.topology import Gathering, RunningOrder, free_id
from nbgraph.services.shared.graph.validation import check_edge, graph_problems, stale_edges


class Graph:
    """Nodes and edges. `Graph.of(image)` collects everything `image` needs; `graph.edges` shows the edges.

    Every edit leaves the graph valid as far as it goes, or raises `GraphError` with all that is wrong and changes
    nothing. Inputs that are still open are no error before the graph is run.

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
        self._homes: dict[BaseInvocation, str] = {}
        self._held: dict[str, dict[str, Any]] = {}  # the values of each node when it came
        self._order: RunningOrder | None = None
        self._numbers: dict[str, int] = {}
        self._collect(nodes)
        self.add_edges(edges)

    @classmethod
    def of(cls, *targets: BaseInvocation) -> "Graph":
        """The graph of all that these nodes need, in the order in which it can run."""
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
        """The nodes that no edge leaves, in their order."""
        left = {link.source for node_id in self.nodes for link in self.links(node_id)}
        return [node_id for node_id in self.nodes if node_id not in left]

    def links(self, node_id: str) -> list[Link]:
        """The edges that arrive at a node."""
        return self._links.get(node_id, [])

    def id_of(self, node: "str | BaseInvocation") -> str:
        """The id of a node in this graph, given the node itself or its id."""
        if isinstance(node, BaseInvocation):
            if node in self._homes:
                return self._homes[node]
            node = node.id or ""
        if node not in self.nodes:
            raise NotFoundError(f"the graph has no node {node!r}{suggest(str(node), self.nodes)}")
        return node

    def __getitem__(self, node_id: str) -> BaseInvocation:
        return self.nodes[self.id_of(node_id)]

    def __contains__(self, node: object) -> bool:
        return node in self.nodes if isinstance(node, str) else node in self._homes

    def __len__(self) -> int:
        return len(self.nodes)

    def __iter__(self) -> Iterator[str]:
        return iter(self.nodes)

    def _ipython_key_completions_(self) -> list[str]:
        return list(self.nodes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Graph) and graph_to_json(self) == graph_to_json(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Graph({len(self.nodes)} nodes, {sum(map(len, self._links.values()))} edges)"

    def add_node(self, node: BaseInvocation) -> str:
        """Add a node, and what it is linked to in Python; returns its id."""
        self._collect([node])
        return self._homes[node]

    def update_node(self, node: "str | BaseInvocation", **values: Any) -> None:
        """Give inputs of a node new values, or other nodes; an edge that arrives at such an input goes.

        A node keeps its id: `GraphError` if another one is given.
        """
        node_id = self.id_of(node)
        if values.get("id", node_id) != node_id:
            text = f"a node keeps its id, and {values['id']!r} was given; add a node of that id and delete this one"
            raise GraphError([Problem("bad_id", text, node_id, "id")])
        old, links = self.nodes[node_id], self.links(node_id)
        changed = type(old)(**{**typed_values(old), "id": node_id, **values})
        refs = list(changed.links())
        added = self._collect(ref.node for _, ref in refs)
        self._put(node_id, changed)
        self._links[node_id] = [link for link in links if link.field not in values]
        try:
            self.add_edges(
                Edge(Connection(self._homes[ref.node], ref.field), Connection(node_id, name)) for name, ref in refs
            )
        except GraphError:
            self._put(node_id, old)
            self._links[node_id], self._order = links, None
            self._forget(added)
            raise

    def delete_node(self, node: "str | BaseInvocation") -> None:
        """Remove a node and the edges at it."""
        node_id = self.id_of(node)
        for target, links in self._links.items():
            for link in [link for link in links if link.source == node_id]:
                self.delete_edge(Edge(Connection(node_id, link.output), Connection(target, link.field)))
        self._forget([node_id])

    def add_edge(self, source: Edge | str, destination: str = "") -> None:
        """Add an edge, `add_edge("noise.noise", "denoise.noise")`, if its ends exist, fit, and no circle results."""
        self.add_edges([edge(source, destination)])

    def add_edges(self, edges: Iterable[Edge | tuple[str, str]], restored: bool = False) -> None:
        """Add edges, or pairs as `("noise.noise", "denoise.noise")`, all of them or none.

        What `restored` ones fit was judged when they were first there.
        """
        before: list[tuple[str, list[Link]]] = []
        problems = Problems()
        for each in [as_edge(given) for given in edges]:
            found = ([] if restored else check_edge(self, each)) or self._circle(each)
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
        """Remove an edge, named as for `add_edge`; one that is not there is no error, of two alike one stays."""
        (node_id, output), (target, field) = edge(source, destination)
        link, links = Link(field, node_id, output), list(self.links(target))
        if link not in links:
            return
        links.remove(link)
        self._links[target] = links
        node = self.nodes[target]
        if is_link(node.__dict__[field]):
            self._put(target, without_link(node, field))

    def with_values(self, values: Mapping[str, Any]) -> "Graph":
        """A copy in which `{"noise.seed": 8}` inputs have other values; the graph itself stays as it is.

        What is inside a graph node is reached as `"outer.noise.seed"`.
        """
        copy = self.copy()
        problems = Problems()
        for node_id, changes in by_node(self.nodes, values, problems).items():
            try:
                inner = {address: value for address, value in changes.items() if "." in address}
                if inner:
                    copy._put(node_id, with_inner_values(node_id, self.nodes[node_id], inner))
                if outer := {name: value for name, value in changes.items() if name not in inner}:
                    copy.update_node(node_id, **outer)
            except GraphError as error:
                problems.found.extend(error.problems)
        problems.raise_any()
        return copy

    def copy(self) -> "Graph":
        """The same nodes and edges in another graph of the same id."""
        other = Graph(id=self.id)
        other.nodes, other.layout = dict(self.nodes), dict(self.layout)
        other._links = dict(self._links)
        other._homes = dict(self._homes)
        other._held = dict(self._held)
        other._numbers = dict(self._numbers)
        other._order = self._order and self._order.copy()
        return other

    __copy__ = copy

    def replaced(self, others: Mapping[BaseInvocation, BaseInvocation]) -> "Graph":
        """A copy in which others stand for some nodes, which are known in it still."""
        copy = self.copy()
        copy.nodes = {node_id: others.get(node, node) for node_id, node in self.nodes.items()}
        copy._homes.update({other: self._homes[node] for node, other in others.items()})
        copy._held = {node_id: vars(node) for node_id, node in copy.nodes.items()}
        return copy

    def problems(self) -> list[Problem]:
        """Everything that keeps the graph from running, also inside graph nodes, or an empty list."""
        with gc_pause():
            found = [*stale_edges(self.nodes, self._held), *graph_problems(self)]
        if found or not any(node.type == GRAPH for node in self.nodes.values()):
            return found
        try:
            return graph_problems(expand(self))
        except GraphError as error:
            return list(error.problems)

    def validate(self) -> "Graph":
        """The graph itself; raises `GraphError` with every problem if it cannot run."""
        if problems := self.problems():
            raise GraphError(problems)
        return self

    def load(self, nodes: Mapping[str, BaseInvocation], links: Mapping[str, list[Link]]) -> None:
        """Take over nodes and edges that were read from a file, checked as a whole; open inputs are no error yet."""
        self.nodes, self._links, self._order = dict(nodes), dict(links), None
        self._homes = {node: node_id for node_id, node in nodes.items()}
        self._held = {node_id: vars(node) for node_id, node in nodes.items()}
        unknown = [node_id for node_id in links if node_id not in nodes]
        problems = [problem for problem in graph_problems(self, unknown) if problem.kind != "missing_input"]
        if problems:
            raise GraphError(problems)

    def to_json(self, indent: int | None = None) -> str:
        """The graph as JSON: nodes by id, and edges."""
        return graph_to_json(self, indent)

    @classmethod
    def from_json(cls, text: str | bytes) -> "Graph":
        """The graph a JSON text holds; raises `GraphError` with every problem if it holds none."""
        return graph_from_json(cls, text)

    def to_dict(self) -> dict[str, Any]:
        """The graph as JSON-able values."""
        return graph_to_dict(self)

    @classmethod
    def from_dict(cls, data: Any) -> "Graph":
        """The graph in values read from JSON; raises `GraphError` with every problem."""
        return graph_from_dict(cls, data)

    def to_python(self) -> str:
        """The Python code that builds this graph."""
        return graph_to_python(self)

    def show(self) -> GraphDrawing:
        """The graph as a drawing, which shows itself; `graph.show().svg` is the SVG text."""
        return GraphDrawing(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return self.show()._repr_mimebundle_()

    def _collect(self, targets: Iterable[BaseInvocation]) -> list[str]:
        """Add these nodes and everything they are linked to, each after what it needs; all of them or none."""
        gathering = Gathering(self._homes)
        for target in targets:
            gathering.add(target)
        added: list[str] = []
        try:
            self._adopt(gathering, added)
        except BaseException:
            self._forget(added)
            raise
        if self._order is not None:
            for node_id in added:
                self._order.append(node_id)
        return added

    def _adopt(self, gathering: Gathering, added: list[str]) -> None:
        """Give each node that was gathered an id and its edges, and note the id among those `added`."""
        nodes, links, held, found = self.nodes, self._links, self._held, gathering.found
        homes = self._homes or found
        for node in gathering.order:
            node_id, refs = node.id, found[node]
            if node_id is None or node_id in nodes:
                node_id = free_id(node, nodes, gathering.ids, self._numbers)
            added.append(node_id)
            nodes[node_id] = node
            held[node_id] = vars(node)
            homes[node] = node_id
            if refs:
                links[node_id] = [Link(name, homes[ref.node], ref.field) for name, ref in refs]
        self._homes = homes

    def _forget(self, node_ids: Iterable[str]) -> None:
        gone = set(node_ids)
        if not gone:
            return
        for node_id in gone:
            self.nodes.pop(node_id, None)
            self._links.pop(node_id, None)
            self._held.pop(node_id, None)
        self._homes = {node: home for node, home in self._homes.items() if home not in gone}

    def _put(self, node_id: str, node: BaseInvocation) -> None:
        self.nodes[node_id], self._held[node_id] = node, vars(node)
        self._homes[node] = node_id

    def _circle(self, new: Edge) -> list[Problem]:
        """A problem if the edge closes a circle."""
        if self._order is None:
            self._order = RunningOrder(self.nodes, self.links)
        path = self._order.make_way(new.source.node_id, new.destination.node_id, self.links)
        if not path:
            return []
        text = f"the edge {new} closes a circle: {' -> '.join([*path, path[0]])}"
        return [Problem("cycle", text, new.destination.node_id)]
