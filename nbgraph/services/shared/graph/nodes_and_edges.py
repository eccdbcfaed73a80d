"""The nodes of a graph by id, and the edges that arrive at each: what a graph holds, without edits and checks."""

from collections.abc import Iterable, Iterator, Mapping
from operator import is_
from typing import Any, cast
from uuid import uuid4

from nbgraph.errors import NotFoundError, suggest
from nbgraph.invocations.base import BaseInvocation
from nbgraph.services.shared.graph.edges import Connection, Edge, Link
from nbgraph.services.shared.graph.topology import IncrementalOrder, NodeCollection, free_id


class NodesAndEdges:
    """Nodes in their order, each under one id, and the edges between them.

    Parameters
    ----------
    id
        The id of the graph; None makes a new one.

    Attributes
    ----------
    nodes
        The nodes by id.
    layout
        Where the canvas shows them, with notes and placeholders, as JSON values.
    """

    def __init__(self, id: str | None = None) -> None:
        self.id = id or uuid4().hex
        self.nodes: dict[str, BaseInvocation] = {}
        self.layout: dict[str, Any] = {}
        self._links: dict[str, list[Link]] = {}  # the lists are never changed: copies of the graph share them
        self._ids: dict[BaseInvocation, str] = {}
        self._snapshot: dict[str, dict[str, Any]] = {}  # the values of each node when it came
        self._order: IncrementalOrder | None = None  # made for the first edge that is added
        self._numbers: dict[str, int] = {}

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
        """Return the edges that arrive at a node, in the order of its fields; the list must not be changed.

        Parameters
        ----------
        node_id
            The id of the node; one that is not in the graph has no edges.
        """
        return self._links.get(node_id, [])

    def id_of(self, node: str | BaseInvocation) -> str:
        """Return the id of a node in this graph.

        Parameters
        ----------
        node
            The node itself, or its id.

        Raises
        ------
        NotFoundError
            The graph has no such node.
        """
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

    @property
    def is_as_collected(self) -> bool:
        """True if the nodes, in their order, still have the values that they had when they were added."""
        are_same = all(map(is_, map(vars, self.nodes.values()), self._snapshot.values()))
        return are_same and len(self.nodes) == len(self._snapshot)

    def load(self, nodes: Mapping[str, BaseInvocation], links: Mapping[str, list[Link]]) -> None:
        """Take over nodes by id, and the edges that arrive at each, as they are."""
        self.nodes, self._links, self._order = dict(nodes), dict(links), None
        self._ids = {node: node_id for node_id, node in nodes.items()}
        self._snapshot = {node_id: vars(node) for node_id, node in nodes.items()}

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
            values, refs = vars(node), found[node]
            node_id = values["id"]
            if node_id is None or node_id in nodes:
                node_id = free_id(node, nodes, collection.ids, self._numbers)
            added.append(node_id)
            nodes[node_id] = node
            snapshot[node_id] = values
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
