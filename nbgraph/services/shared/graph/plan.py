"""The plan: a graph compiled once, so that running it is index arithmetic.

**Policy.** An iterate node adds an *axis*. A node has the axes of all its inputs, each once (a diamond does not
multiply), in the order of their iterate nodes. A *prepared node* is a source node at a *path*, one index per axis:
`denoise[1,0]`.

    range ── iterate i ── mul            mul has the axis i, and runs as mul[0], mul[1], mul[2]

    iterate i ─┐
               add                       independent axes meet: the product, add[0,0], add[0,1], add[1,0], ...
    iterate j ─┘

    iterate i ── rows ── iterate j       j depends on i: each i has its own number of j, add[0,0], add[1,0], add[1,1]

A collect removes the innermost axes of its inputs: all those on which no other axis of these inputs depends. It gives
one list for each path that remains, with the items ordered by (path, edge).

    i(3) x j(2) ── add ── collect        both axes are innermost: one list of 6
    i ── j(of i) ── add ── collect       j is innermost: one list for each i
    i, and j(of i) ── collect            j is removed: for each i, [item of i, items of its j ...]

An empty list runs its body zero times and collects to [], for each enclosing path. An iterate node after a collect is
a new axis.

Nodes run depth first, by (path, rank), where the rank is the place in the topological order: first results come
first, in the order of nested loops. A node that only one branch of an `if` needs is *conditional*: it runs at a path
only if that branch is taken there. A node that something else needs too, or that is a target, is unconditional; so is
one with fewer axes than the condition, because it may be needed at a path where the condition differs.

**State.** `nodes` by rank, `axes`, and `segments`: nodes of equal axes that wait for the same other segments. At each
path a segment runs straight through, and only segments wait for each other (see `scheduler.py`).

**Example.** `Range(stop=2) -> Iterate -> Add -> Collect` has one axis and three segments, [range], [iterate, add] and
[collect]. The second runs at the paths (0,) and (1,); the third waits for both.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import Any, NamedTuple

from msgspec import Struct

from nbgraph.invocations.base import BaseInvocation
from nbgraph.invocations.node_type import NodeType, node_type_of
from nbgraph.services.shared.graph.edges import GraphLike, Link
from nbgraph.services.shared.graph.topology import parents_of, topological_order

Axes = tuple[int, ...]
Path = tuple[int, ...]
Key = int
"""The key of a prepared node in the dictionaries of one session; another session may use another key."""
NOWHERE: Key = -1
"""The key for a path at which nothing has started; no dictionary of a session has it."""

BRANCHES = {"true_input": True, "false_input": False}
MAX_ALTERNATIVES = 8


class Choice(NamedTuple):
    """The `if` node `if_node` takes `branch`."""

    if_node: str
    branch: bool


Alternatives = frozenset[frozenset[Choice]]
"""Sets of choices. A node is needed if all choices of one set are made."""

ALWAYS: Alternatives = frozenset({frozenset()})


class PlannedInput(Struct, gc=False):
    """An edge from `output` of the node of rank `parent`.

    `keep` lists the positions in this node's path that form the parent's path; None if the paths are the same.
    """

    field: str
    parent: int
    output: str
    keep: tuple[int, ...] | None


@dataclass(slots=True)
class PlannedChoice:
    """A `Choice` in terms of ranks: the condition is an edge or a typed value."""

    condition: PlannedInput | bool
    branch: bool


PlannedBranches = tuple[tuple[PlannedChoice, ...], ...]


class PlannedNode(Struct, gc=False, eq=False):
    """A source node as the session needs it.

    `values` is the node's `__dict__` at planning time. Assigning to a field gives the node a new `__dict__`, so that
    `values` keeps the planned values. `branches` are the alternatives of which one must hold for a
    conditional node to run.
    """

    rank: int
    id: str
    node_type: NodeType
    node: BaseInvocation
    values: dict[str, Any]
    axes: Axes = ()
    inputs: tuple[PlannedInput, ...] = ()
    segment: int = -1
    axis: int | None = None
    branches: PlannedBranches = ()


@dataclass(slots=True)
class Axis:
    """The axis of the iterate node of rank `rank`: the edge its list comes from, and the axes that list depends on."""

    rank: int
    outer: Axes
    source: PlannedInput | None


@dataclass(slots=True)
class Segment:
    """Nodes of equal axes that wait for the same other segments, in topological order."""

    axes: Axes
    nodes: list[PlannedNode] = field(default_factory=list[PlannedNode])
    needs: set[int] = field(default_factory=set[int])


class Plan:
    """The compiled graph: nodes by rank, axes, segments; facts about each class of nodes, by class."""

    def __init__(self, graph: GraphLike, targets: list[str] | None = None) -> None:
        try:
            order = list(graph.nodes) if targets is None else topological_order(parents_of(graph), targets)[0]
            self._lay_out(graph, order, {})
        except KeyError:  # a node is before what it needs; most graphs are in order, and need not be sorted to see it
            order, _ = topological_order(parents_of(graph), targets)
            self._lay_out(graph, order, {})
        self.has_branches = False
        if not any(node_type.is_if for node_type in self.node_types.values()):
            return
        branches = find_branches(graph, order, targets, {planned.id: planned.axes for planned in self.nodes})
        if branches:
            self.has_branches = True
            # a conditional node must come after the nodes its conditions depend on, so the graph is ordered again
            parents = parents_of(graph)
            for node_id, alternatives in branches.items():
                parents[node_id] = [*parents[node_id], *_condition_sources(graph, alternatives)]
            order, _ = topological_order(parents, targets)
            self._lay_out(graph, order, branches)

    @cached_property
    def with_resources(self) -> list[PlannedNode]:
        """The nodes with inputs that can name resources or models."""
        return [planned for planned in self.nodes if planned.node_type.resource_inputs]

    @cached_property
    def with_texts(self) -> list[PlannedNode]:
        """The nodes with inputs that can hold texts."""
        return [planned for planned in self.nodes if planned.node_type.text_inputs]

    def _lay_out(self, graph: GraphLike, order: list[str], branches: Mapping[str, Alternatives]) -> None:
        """Plan the nodes one after the other."""
        self.ranks: dict[str, int] = {}
        self.nodes: list[PlannedNode] = []
        self.axes: list[Axis] = []
        self.segments: list[Segment] = []
        self.node_types: dict[type[BaseInvocation], NodeType] = {}
        # One bit mask per segment. `_ancestors`: the segment and all it depends on; `_other_axes`: those whose axes
        # differ. Segments of equal axes and `_other_axes` are candidates to be one segment, see `_segment_after`.
        self._ancestors: list[int] = []
        self._other_axes: list[int] = []
        self._candidates: dict[tuple[Axes, int], list[int]] = {}
        for node_id in order:
            self._add(graph, node_id, branches.get(node_id))

    def _add(self, graph: GraphLike, node_id: str, alternatives: Alternatives | None) -> None:
        node = graph.nodes[node_id]
        node_type = self.node_types.get(type(node))
        if node_type is None:
            node_type = self.node_types[type(node)] = node_type_of(type(node))
        links, nodes, ranks = graph.links(node_id), self.nodes, self.ranks
        if len(links) == 1 and alternatives is None and not node_type.changes_axes:
            self._add_next(node_id, node_type, node, links[0])
            return
        sources = [nodes[ranks[link.source]] for link in links]
        axes = sources[0].axes if len(sources) == 1 else _union(source.axes for source in sources)
        if node_type.collects:
            axes = self._without_innermost(axes)
        inputs = tuple([_planned_input(link, source, axes) for link, source in zip(links, sources)])
        planned = PlannedNode(len(nodes), node_id, node_type, node, vars(node), axes, inputs)
        if node_type.name == "iterate":
            planned.axis = len(self.axes)
            self.axes.append(Axis(planned.rank, planned.axes, planned.inputs[0] if planned.inputs else None))
            planned.axes = (*planned.axes, planned.axis)
        if alternatives is not None:
            planned.branches = self._branches(graph, alternatives, planned.axes)
        ranks[node_id] = planned.rank
        nodes.append(planned)
        self._place(planned, sources)

    def _add_next(self, node_id: str, node_type: NodeType, node: BaseInvocation, link: Link) -> None:
        """Plan a node that needs one other alone: with the same axes, it joins the segment of that one."""
        source, rank = self.nodes[self.ranks[link.source]], len(self.nodes)
        inputs = (PlannedInput(link.field, source.rank, link.output, None),)
        planned = PlannedNode(rank, node_id, node_type, node, vars(node), source.axes, inputs, source.segment)
        self.ranks[node_id] = rank
        self.nodes.append(planned)
        self.segments[source.segment].nodes.append(planned)

    def _without_innermost(self, axes: Axes) -> Axes:
        enclosing = {outer for axis in axes for outer in self.axes[axis].outer}
        return tuple(axis for axis in axes if axis in enclosing)

    def _branches(self, graph: GraphLike, alternatives: Alternatives, axes: Axes) -> PlannedBranches:
        """Return the alternatives with ranks instead of ids, in an order that is the same in every process."""
        ordered = sorted(sorted(choices) for choices in alternatives)
        return tuple([tuple([self._choice(graph, choice, axes) for choice in choices]) for choices in ordered])

    def _choice(self, graph: GraphLike, choice: Choice, axes: Axes) -> PlannedChoice:
        link = condition_of(graph, choice.if_node)
        if link is None:
            return PlannedChoice(vars(graph.nodes[choice.if_node])["condition"], choice.branch)
        source = self.nodes[self.ranks[link.source]]
        return PlannedChoice(_planned_input(link, source, axes), choice.branch)

    def _place(self, planned: PlannedNode, sources: list[PlannedNode]) -> None:
        """Put a node into the segment of its axes that waits for the same other segments."""
        waits_for = {source.segment for source in sources}
        if len(waits_for) == 1 and sources[0].axes == planned.axes and not planned.branches:
            planned.segment = sources[0].segment
            self.segments[planned.segment].nodes.append(planned)
            return
        conditions = [choice.condition for choices in planned.branches for choice in choices]
        waits_for |= {self.nodes[found.parent].segment for found in conditions if isinstance(found, PlannedInput)}
        other_axes = 0
        for segment in waits_for:
            other_axes |= self._other_axes[segment]
            if self.segments[segment].axes != planned.axes:
                other_axes |= 1 << segment
        planned.segment = self._segment_after(waits_for, planned.axes, other_axes)
        segment = self.segments[planned.segment]
        segment.nodes.append(planned)
        segment.needs |= waits_for - {planned.segment}

    def _segment_after(self, waits_for: set[int], axes: Axes, other_axes: int) -> int:
        """Return a segment that already depends on all of `waits_for`, or create one.

        Joining it adds no new dependency, so no node of the segment starts later than it would alone: equal
        `other_axes` means that both wait for the same segments that run at other paths, and a bit test of its
        `_ancestors` shows whether it comes after each segment of `waits_for`.
        """
        candidates = self._candidates.setdefault((axes, other_axes), [])
        for number in candidates:
            if all(self._ancestors[number] >> each & 1 for each in waits_for):
                return number
        number = len(self.segments)
        candidates.append(number)
        self.segments.append(Segment(axes))
        self._other_axes.append(other_axes)
        ancestors = 1 << number
        for each in waits_for:
            ancestors |= self._ancestors[each]
        self._ancestors.append(ancestors)
        return number


def _union(found: Iterable[Axes]) -> Axes:
    distinct = {axes for axes in found if axes}
    if len(distinct) <= 1:
        return next(iter(distinct), ())
    return tuple(sorted(set[int]().union(*distinct)))


def _planned_input(link: Link, source: PlannedNode, axes: Axes) -> PlannedInput:
    """Plan an edge into a node of these axes; into a collect, `keep` has only the axes that it does not remove."""
    keep = None if source.axes == axes else tuple([axes.index(axis) for axis in source.axes if axis in axes])
    return PlannedInput(link.field, source.rank, link.output, keep)


def find_branches(
    graph: GraphLike, order: Sequence[str], targets: Collection[str] | None, axes: Mapping[str, Axes]
) -> dict[str, Alternatives]:
    """Return the conditional nodes of a graph, each with the alternatives of which one must hold for it to run."""
    needed: dict[str, Alternatives] = {node_id: frozenset() for node_id in order}
    used = {link.source for node_id in order for link in graph.links(node_id)}
    wanted = frozenset(targets or ())
    for node_id in reversed(order):
        if node_id not in used or node_id in wanted or not _is_decidable(graph, needed[node_id], axes, node_id):
            needed[node_id] = ALWAYS
        ours = needed[node_id]
        for link in graph.links(node_id):
            through = ours
            if graph.nodes[node_id].type == "if" and link.field in BRANCHES:
                choice = Choice(node_id, BRANCHES[link.field])
                through = frozenset(alternative | {choice} for alternative in ours)
            needed[link.source] = _minimal(needed[link.source] | through)
    return {node_id: found for node_id, found in needed.items() if found != ALWAYS}


def condition_of(graph: GraphLike, if_node: str) -> Link | None:
    """Return the edge into the condition of an `if`, or None if the condition is typed."""
    return next((link for link in graph.links(if_node) if link.field == "condition"), None)


def _condition_sources(graph: GraphLike, alternatives: Alternatives) -> list[str]:
    links = [condition_of(graph, if_node) for if_node in sorted({c.if_node for one in alternatives for c in one})]
    return [link.source for link in links if link is not None]


def _is_decidable(graph: GraphLike, found: Alternatives, axes: Mapping[str, Axes], node_id: str) -> bool:
    """Return whether each path of the node determines the paths of all conditions."""
    links = (condition_of(graph, choice.if_node) for alternative in found for choice in alternative)
    return all(link is None or set(axes[link.source]) <= set(axes[node_id]) for link in links)


def _minimal(alternatives: Alternatives) -> Alternatives:
    """Drop alternatives that another one implies; with too many left, run always: correct, only less lazy."""
    kept = frozenset(one for one in alternatives if not any(other < one for other in alternatives))
    return kept if len(kept) <= MAX_ALTERNATIVES else ALWAYS


class Prepared(Struct, gc=False, frozen=True):
    """A prepared node: one execution of a source node at one path."""

    planned: PlannedNode
    path: Path
    key: Key
    id: str
    """`denoise[1,0]`"""


def prepared_id(node_id: str, path: Path) -> str:
    """Return `denoise[1,0]`; without axes, the id of the source node."""
    if len(path) == 1:
        return f"{node_id}[{path[0]}]"
    return f"{node_id}[{','.join(map(str, path))}]" if path else node_id


class PreparedKeys:
    """The keys of the prepared nodes of a plan with `nodes` nodes; paths are numbered in the order they start.

    The key of the node of rank r at path number n is `n * nodes + r`; without iteration it is the rank.
    """

    def __init__(self, nodes: int) -> None:
        self._nodes = nodes
        self._paths: list[Path] = [()]
        self._firsts: dict[Path, Key] = {(): 0}

    def take_over(self, other: "PreparedKeys") -> None:
        """Use the keys of another session of the same plan, before any path has started here."""
        self._paths, self._firsts = list(other._paths), dict(other._firsts)

    def begin(self, path: Path) -> Key:
        """Number a path if it is new; return the key of the node of rank 0 there."""
        first = self._firsts.get(path)
        if first is None:
            first = len(self._paths) * self._nodes
            self._paths.append(path)
            self._firsts[path] = first
        return first

    def at(self, rank: int, path: Path) -> Key:
        """Return the key of the node of that rank at a path, or `NOWHERE`."""
        first = self._firsts.get(path)
        return NOWHERE if first is None else first + rank

    def source(self, edge: PlannedInput, path: Path) -> Key:
        """Return the key of the source of an edge, given the path of the node it arrives at."""
        return self.at(edge.parent, source_path(edge, path))

    def sources(self, rank: int, paths: Iterable[Path]) -> list[Key]:
        """Return the keys of the node of that rank at these paths."""
        firsts = map(self._firsts.get, paths)
        return [NOWHERE if first is None else first + rank for first in firsts]

    def of_node(self, rank: int) -> Iterator[tuple[Path, Key]]:
        """Iterate over the paths that have started, each with the key of the node of that rank."""
        return zip(self._paths, count(rank, self._nodes))

    def place(self, key: Key) -> tuple[int, Path]:
        """Return the rank and the path of a key."""
        number, rank = divmod(key, self._nodes)
        return rank, self._paths[number]

    def prepared(self, planned: PlannedNode, path: Path) -> Prepared:
        """Return the prepared node at a path."""
        return Prepared(planned, path, self.begin(path) + planned.rank, prepared_id(planned.id, path))


def source_path(edge: PlannedInput, path: Path) -> Path:
    """Return the path of the source of an edge, given the path of the node it arrives at."""
    return path if edge.keep is None else tuple([path[place] for place in edge.keep])
