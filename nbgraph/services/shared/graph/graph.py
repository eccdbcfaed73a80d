"""The source graph a person edits: nodes by id, and edges. The same document for Python, files and the canvas.

This module has the edits and the checks. `nodes_and_edges.py` has what a graph holds, `graph_formats.py` its other
forms, such as JSON and drawings.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, cast

from nbgraph.errors import GraphError, Problem, Problems
from nbgraph.gc_pause import gc_pause
from nbgraph.invocations.base import BaseInvocation, is_link
from nbgraph.invocations.types import NodeValue
from nbgraph.services.shared.graph.addresses import by_node, typed_values, with_inner_values, without_link
from nbgraph.services.shared.graph.compiled_graph import CompiledGraph, GraphSnapshot
from nbgraph.services.shared.graph.edges import Connection, Edge, Link, as_edge, edge, has_graph_nodes
from nbgraph.services.shared.graph.graph_formats import GraphFormats
from nbgraph.services.shared.graph.graph_json import is_same_graph
from nbgraph.services.shared.graph.topology import IncrementalOrder
from nbgraph.services.shared.graph.validation import check_edge, graph_problems, placeholder_problems, stale_edges

if TYPE_CHECKING:
    from nbgraph.services.shared.graph.library import GraphInvocation


class Graph(GraphFormats):
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
        super().__init__(id)
        self._compiled: CompiledGraph | None = None
        self._collect(nodes)
        self.add_edges(edges)

    @classmethod
    def of(cls, *targets: BaseInvocation) -> "Graph":
        """Return the graph of all that these nodes need, in topological order.

        Parameters
        ----------
        targets
            Nodes; what they are linked to in Python comes with them.

        Raises
        ------
        GraphError
            Two different nodes have one id, or nodes are linked in a cycle.
        """
        graph = cls()
        with gc_pause():
            graph._collect(targets)
        return graph

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Graph) and is_same_graph(self, other)

    __hash__ = None  # type: ignore[assignment]  # a graph can be edited

    def __repr__(self) -> str:
        return f"Graph({len(self.nodes)} nodes, {sum(map(len, self._links.values()))} edges)"

    def load(self, nodes: Mapping[str, BaseInvocation], links: Mapping[str, list[Link]]) -> None:
        """Take over nodes and edges read from a file.

        Parameters
        ----------
        nodes
            The nodes by id.
        links
            The edges that arrive at each node, by its id.

        Raises
        ------
        GraphError
            The graph is not valid as a whole; inputs that are still open are no reason.
        """
        super().load(nodes, links)
        unknown = [node_id for node_id in links if node_id not in nodes]
        problems = [problem for problem in graph_problems(self, unknown) if problem.kind != "missing_input"]
        if problems:
            raise GraphError(problems)

    def add_node(self, node: BaseInvocation) -> str:
        """Add a node and all it is linked to in Python.

        Parameters
        ----------
        node
            The node; one without an id is numbered by its type.

        Returns
        -------
        str
            The id of the node in the graph.

        Raises
        ------
        GraphError
            As `of`; nothing was added.
        """
        self._collect([node])
        return self._ids[node]

    def update_node(self, node: str | BaseInvocation, **values: NodeValue) -> None:
        """Give inputs of a node new values, or other nodes; edges that arrive at such an input are deleted.

        Parameters
        ----------
        node
            The node itself, or its id. The graph then holds a changed copy of it, which `id_of` takes for the same.
        values
            The new values, by input.

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
        """Remove a node and the edges from and to it.

        Parameters
        ----------
        node
            The node itself, or its id.

        Raises
        ------
        NotFoundError
            The graph has no such node.
        """
        node_id = self.id_of(node)
        for target, links in self._links.items():
            for link in [link for link in links if link.source == node_id]:
                self.delete_edge(Edge(Connection(node_id, link.output), Connection(target, link.field)))
        self._forget([node_id])

    def add_edge(self, source: Edge | str, destination: str = "") -> None:
        """Add an edge: `add_edge("noise.noise", "denoise.noise")`.

        Parameters
        ----------
        source, destination
            An output and an input, each as `node.field`; or an `Edge` alone.

        Raises
        ------
        GraphError
            An end does not exist, the types do not fit, the input has an edge, or a cycle would result.
        """
        self.add_edges([edge(source, destination, self.nodes)])

    def add_edges(self, edges: Iterable[Edge | tuple[str, str]], restored: bool = False) -> None:
        """Add all of these edges, or none.

        Parameters
        ----------
        edges
            Edges, or pairs such as `("noise.noise", "denoise.noise")`.
        restored
            True for edges that the graph had before, of which only cycles are checked.

        Raises
        ------
        GraphError
            As `add_edge`, with the problems of all edges; none was added.
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
        """Remove an edge; a missing one is ignored, and of two equal ones one stays.

        Parameters
        ----------
        source, destination
            As for `add_edge`.

        Raises
        ------
        GraphError
            They do not describe an edge.
        """
        (node_id, output), (target, field) = edge(source, destination, self.nodes)
        link, links = Link(field, node_id, output), list(self.links(target))
        if link not in links:
            return
        links.remove(link)
        self._links[target] = links
        node = self.nodes[target]
        if is_link(node.__dict__[field]):
            self._put(target, without_link(node, field))

    def with_values(self, values: Mapping[str, NodeValue]) -> "Graph":
        """Return a copy with other values at some inputs; the graph itself is unchanged.

        Parameters
        ----------
        values
            Values by address: `{"noise.seed": 8}`; inside a graph node `{"outer.noise.seed": 8}`.

        Raises
        ------
        GraphError
            With the problems of all addresses that name no input, and of values that do not fit.
        """
        copy = self.copy()
        problems = Problems()
        for node_id, changes in by_node(self.nodes, values, problems).items():
            try:
                inner = {address: value for address, value in changes.items() if "." in address}
                if inner:  # another class of graph node, with another library graph inside
                    graph_node = cast("GraphInvocation", self.nodes[node_id])
                    copy._put(node_id, with_inner_values(node_id, graph_node, inner))
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
        """Return a copy with some nodes replaced; `id_of` accepts the old and the new node.

        Parameters
        ----------
        others
            The new nodes, by the nodes they replace.
        """
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
        if found or not has_graph_nodes(self.nodes):
            return found
        try:
            return graph_problems(self.compiled().expanded)
        except GraphError as error:
            return list(error.problems)

    def validate(self) -> "Graph":
        """Return the graph itself if it can run; else raise `GraphError` with every reason in `problems`."""
        if problems := self.problems():
            raise GraphError(problems)
        return self

    def _cycle(self, new: Edge) -> list[Problem]:
        """Return a problem if the edge closes a cycle."""
        if self._order is None:
            self._order = IncrementalOrder(self.nodes, self.links)
        path = self._order.add_edge(new.source.node_id, new.destination.node_id, self.links)
        if not path:
            return []
        text = f"the edge {new} closes a cycle: {' -> '.join([*path, path[0]])}"
        return [Problem("cycle", text, new.destination.node_id)]
