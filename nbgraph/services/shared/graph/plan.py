"""The plan: what a graph means to do, compiled once, so that running it is counting indexes.

**Axes.** An iterate node adds an *axis*. Every node has a tuple of axes: those of all its inputs together, each once
(a diamond does not multiply), in the order of their iterate nodes. A *prepared node* is a source node at a *path*, one
index per axis: `denoise[1,0]`.

    range ── iterate i ── mul            mul has the axis i, and runs as mul[0], mul[1], mul[2]

    iterate i ─┐
               add                       independent axes meet: the product, add[0,0], add[0,1], add[1,0], ...
    iterate j ─┘

    iterate i ── rows ── iterate j       j hangs on i: each i has its own number of j, add[0,0], add[1,0], add[1,1]

**Collect** removes the innermost axes of its inputs, all of them: those on which no other axis of these inputs hangs.
It gives one list for each path that is left, and in it the items stand by (path, edge).

    i(3) x j(2) ── add ── collect        both axes are innermost: one list of 6
    i ── j(of i) ── add ── collect       j is innermost: one list for each i
    i, and j(of i) ── collect            j goes: for each i, [item of i, items of its j ...]

A list of no items runs its body no times and collects to [], for each path around it. An iterate node after a collect
is a new axis.

**Order.** Depth first: prepared nodes run by (path, rank), the rank being the place in the topological order, so that
the first result comes first, and results come in the order of nested loops. Nodes of equal axes that wait for the same
other nodes form a *segment*: at each path a segment runs straight through, and only segments have to wait for each
other (see `schedule.py`).

**If.** What only one branch of an `if` needs is *gated*: it runs at a path only if that branch is taken there (see
`gates.py`).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, NamedTuple

from msgspec import Struct

from nbgraph.invocations.base import BaseInvocation
from nbgraph.services.shared.graph.edges import GraphLike, Link
from nbgraph.services.shared.graph.topology import topological_order

Axes = tuple[int, ...]
Path = tuple[int, ...]
Key = int
"""What a session keeps things of a prepared node under; in another session it may have another key."""

NOWHERE: Key = -1
"""The key at a path at which nothing has begun: there is nothing under it."""

BRANCHES = {"true_input": True, "false_input": False}
MOST_ALTERNATIVES = 8


class Choice(NamedTuple):
    """The `if` node of that id takes that branch."""

    if_node: str
    branch: bool


Alternatives = frozenset[frozenset[Choice]]
ALWAYS: Alternatives = frozenset({frozenset()})


class PlannedInput(Struct, gc=False):
    """One edge: from the output of the node of rank `parent`; `keep` picks its path from ours, None if all of it."""

    field: str
    parent: int
    output: str
    keep: tuple[int, ...] | None


@dataclass(slots=True)
class PlannedChoice:
    """What an `if` must have decided: its condition comes over an edge, or is a typed value."""

    condition: PlannedInput | bool
    branch: bool


class Kind(Struct, eq=False):
    """What all nodes of a class have in common for the plan; *plain* ones take each input from one edge at most."""

    type: str
    collects: bool
    is_if: bool
    seeds: tuple[str, ...]
    is_plain: bool


class PlannedNode(Struct, gc=False, eq=False):
    """A source node, as the session needs it; `values` stay what they are when others are assigned to the node."""

    rank: int
    id: str
    kind: Kind
    node: BaseInvocation
    values: dict[str, Any]
    axes: Axes = ()
    inputs: tuple[PlannedInput, ...] = ()
    segment: int = -1
    axis: int | None = None
    gates: tuple[tuple[PlannedChoice, ...], ...] = ()


@dataclass(slots=True)
class Axis:
    """What an iterate node adds: where its list comes from, and the axes that list hangs on."""

    rank: int
    outer: Axes
    source: PlannedInput | None


@dataclass(slots=True)
class Segment:
    """Nodes of equal axes that wait for the same other segments, in their order."""

    axes: Axes
    nodes: list[PlannedNode] = field(default_factory=list)
    needs: set[int] = field(default_factory=set)


class Plan:
    """The compiled graph: nodes by rank, axes, segments."""

    def __init__(self, graph: GraphLike, targets: list[str] | None = None) -> None:
        parents = {node_id: [link.source for link in graph.links(node_id)] for node_id in graph.nodes}
        order, _ = topological_order(parents, targets)
        self._lay_out(graph, order, {})
        gates = find_branches(graph, order, targets, {planned.id: planned.axes for planned in self.nodes})
        if gates:
            for node_id, alternatives in gates.items():
                parents[node_id] = [*parents[node_id], *_condition_sources(graph, alternatives)]
            order, _ = topological_order(parents, targets)
            self._lay_out(graph, order, gates)

    @property
    def classes(self) -> Collection[type[BaseInvocation]]:
        """The classes of the nodes."""
        return self._kinds.keys()

    @property
    def kinds(self) -> Mapping[type[BaseInvocation], Kind]:
        """What the nodes of each class have in common."""
        return self._kinds

    def _lay_out(self, graph: GraphLike, order: list[str], gates: Mapping[str, Alternatives]) -> None:
        """Plan the nodes one after the other; with gates, once the nodes that open them are known to come first."""
        self.ranks = {node_id: rank for rank, node_id in enumerate(order)}
        self.nodes: list[PlannedNode] = []
        self.axes: list[Axis] = []
        self.segments: list[Segment] = []
        self._segments_of: dict[tuple[Axes, int], list[int]] = {}
        self._foreign: list[int] = []
        self._up_to: list[int] = []
        self._kinds: dict[type[BaseInvocation], Kind] = {}
        for node_id in order:
            self._add(graph, node_id, gates.get(node_id))

    def _add(self, graph: GraphLike, node_id: str, alternatives: Alternatives | None) -> None:
        node = graph.nodes[node_id]
        kind = self._kinds.get(type(node)) or self._note_kind(type(node))
        planned = PlannedNode(len(self.nodes), node_id, kind, node, vars(node))
        links = graph.links(node_id)
        sources = [self.nodes[self.ranks[link.source]] for link in links]
        planned.axes = sources[0].axes if len(sources) == 1 else self._union(source.axes for source in sources)
        if kind.collects:
            planned.axes = self._without_innermost(planned.axes)
        planned.inputs = tuple(
            [
                PlannedInput(link.field, source.rank, link.output, _keep(source.axes, planned.axes))
                for link, source in zip(links, sources)
            ]
        )
        if kind.type == "iterate":
            planned.axis = len(self.axes)
            self.axes.append(Axis(planned.rank, planned.axes, planned.inputs[0] if planned.inputs else None))
            planned.axes = (*planned.axes, planned.axis)
        if alternatives is not None:
            planned.gates = self._gates(graph, alternatives, planned.axes)
        self.nodes.append(planned)
        self._place(planned, sources)

    def _note_kind(self, cls: type[BaseInvocation]) -> Kind:
        specs = cls.inputs()
        seeds = tuple(name for name, spec in specs.items() if spec.seed)
        takes_several = any(spec.many for spec in specs.values())
        collects, is_if = cls.type == "collect", cls.type == "if"
        kind = Kind(cls.type, collects, is_if, seeds, not (collects or is_if or seeds or takes_several))
        self._kinds[cls] = kind
        return kind

    def _union(self, found: Iterable[Axes]) -> Axes:
        distinct = {axes for axes in found if axes}
        if len(distinct) <= 1:
            return next(iter(distinct), ())
        return tuple(sorted(set().union(*distinct)))

    def _without_innermost(self, axes: Axes) -> Axes:
        hung_on = {outer for axis in axes for outer in self.axes[axis].outer}
        return tuple(axis for axis in axes if axis in hung_on)

    def _gates(self, graph: GraphLike, alternatives: Alternatives, axes: Axes) -> tuple[tuple[PlannedChoice, ...], ...]:
        """The gate with ranks instead of ids."""
        gates = []
        for choices in sorted(sorted(choices) for choices in alternatives):
            gate = []
            for if_node, branch in choices:
                link = condition_of(graph, if_node)
                if link is None:
                    gate.append(PlannedChoice(graph.nodes[if_node].__dict__["condition"], branch))
                    continue
                source = self.nodes[self.ranks[link.source]]
                keep = _keep(source.axes, axes)
                gate.append(PlannedChoice(PlannedInput("condition", source.rank, link.output, keep), branch))
            gates.append(tuple(gate))
        return tuple(gates)

    def _place(self, planned: PlannedNode, sources: list[PlannedNode]) -> None:
        """Put a node into the segment of its axes that waits for the same other segments."""
        waits_for = {source.segment for source in sources}
        if len(waits_for) == 1 and not planned.gates and sources[0].axes == planned.axes:
            planned.segment = sources[0].segment
            self.segments[planned.segment].nodes.append(planned)
            return
        conditions = [choice.condition for gate in planned.gates for choice in gate]
        waits_for |= {self.nodes[found.parent].segment for found in conditions if isinstance(found, PlannedInput)}
        foreign = 0
        for segment in waits_for:
            foreign |= self._foreign[segment]
            if self.segments[segment].axes != planned.axes:
                foreign |= 1 << segment
        planned.segment = self._segment_after(waits_for, planned.axes, foreign)
        segment = self.segments[planned.segment]
        segment.nodes.append(planned)
        segment.needs |= waits_for - {planned.segment}

    def _segment_after(self, waits_for: set[int], axes: Axes, foreign: int) -> int:
        """A segment that comes after all these anyway, so that none of its nodes must wait for one that joins it."""
        known = self._segments_of.setdefault((axes, foreign), [])
        for number in known:
            if all(self._up_to[number] >> each & 1 for each in waits_for):
                return number
        number = len(self.segments)
        known.append(number)
        self.segments.append(Segment(axes))
        self._foreign.append(foreign)
        up_to = 1 << number
        for each in waits_for:
            up_to |= self._up_to[each]
        self._up_to.append(up_to)
        return number


def _keep(source: Axes, target: Axes) -> tuple[int, ...] | None:
    """Which indexes of a path on `target` make the path on `source`; of a collect, those axes that stay."""
    if source == target:
        return None
    return tuple([target.index(axis) for axis in source if axis in target])


def _condition_sources(graph: GraphLike, alternatives: Alternatives) -> list[str]:
    links = [condition_of(graph, if_node) for if_node in sorted({c.if_node for one in alternatives for c in one})]
    return [link.source for link in links if link is not None]


def prepared_id(node_id: str, path: Path) -> str:
    """`denoise[1,0]`; a node without axes is called as in the source graph."""
    if len(path) == 1:
        return f"{node_id}[{path[0]}]"
    return f"{node_id}[{','.join(map(str, path))}]" if path else node_id


def find_branches(
    graph: GraphLike, order: Sequence[str], targets: Collection[str] | None, axes: Mapping[str, tuple[int, ...]]
) -> dict[str, Alternatives]:
    """The gated nodes of a graph, with the alternatives that open their gates."""
    if not any(graph.nodes[node_id].type == "if" for node_id in order):
        return {}
    needed: dict[str, Alternatives] = {node_id: frozenset() for node_id in order}
    used = {link.source for node_id in order for link in graph.links(node_id)}
    asked_for = frozenset(targets or ())
    for node_id in reversed(order):
        if node_id not in used or node_id in asked_for or not _can_tell(graph, needed[node_id], axes, node_id):
            needed[node_id] = ALWAYS
        ours = needed[node_id]
        for link in graph.links(node_id):
            through = ours
            if graph.nodes[node_id].type == "if" and link.field in BRANCHES:
                choice = Choice(node_id, BRANCHES[link.field])
                through = frozenset(alternative | {choice} for alternative in ours)
            needed[link.source] = _fewest(needed[link.source] | through)
    return {node_id: found for node_id, found in needed.items() if found != ALWAYS}


def condition_of(graph: GraphLike, if_node: str) -> Link | None:
    """The edge that an `if` has its condition from; None if the condition is typed."""
    return next((link for link in graph.links(if_node) if link.field == "condition"), None)


def _can_tell(graph: GraphLike, found: Alternatives, axes: Mapping[str, tuple[int, ...]], node_id: str) -> bool:
    """Whether each path of the node says which way the conditions went."""
    links = (condition_of(graph, choice.if_node) for alternative in found for choice in alternative)
    return all(link is None or set(axes[link.source]) <= set(axes[node_id]) for link in links)


def _fewest(alternatives: Alternatives) -> Alternatives:
    """Without alternatives that ask for more than another one does; too many of them open for all."""
    kept = frozenset(one for one in alternatives if not any(other < one for other in alternatives))
    return kept if len(kept) <= MOST_ALTERNATIVES else ALWAYS


PathRun = tuple[Path, Iterable[PlannedNode]]
"""Source nodes that run one after the other at one path."""


class Prepared(NamedTuple):
    """One execution of a source node at one iteration path."""

    planned: PlannedNode
    path: Path
    key: Key

    @property
    def id(self) -> str:
        """`denoise[1,0]`"""
        return prepared_id(self.planned.id, self.path)


class PreparedKeys:
    """The keys of a plan with so many nodes: paths are numbered as they begin, and at each there is one for each node.

    The key of the node of rank r at path number n is `n * nodes + r`; so without iterations it is the rank.
    """

    def __init__(self, nodes: int) -> None:
        self._nodes = nodes
        self._paths: list[Path] = [()]
        self._firsts: dict[Path, Key] = {(): 0}

    def begin(self, path: Path) -> Key:
        """The key of the node of rank 0 at a path, at which there are keys from now on."""
        first = self._firsts.get(path)
        if first is None:
            first = len(self._paths) * self._nodes
            self._paths.append(path)
            self._firsts[path] = first
        return first

    def at(self, rank: int, path: Path) -> Key:
        """The key of the node of that rank at a path."""
        first = self._firsts.get(path)
        return NOWHERE if first is None else first + rank

    def source(self, edge: PlannedInput, path: Path) -> Key:
        """The key of what an edge comes from, given the path of the node it arrives at."""
        return self.at(edge.parent, source_path(edge, path))

    def sources(self, rank: int, paths: Iterable[Path]) -> list[Key]:
        """The keys of the node of that rank at these paths."""
        firsts = map(self._firsts.get, paths)
        return [NOWHERE if first is None else first + rank for first in firsts]

    def of_node(self, rank: int) -> Iterator[tuple[Path, Key]]:
        """The paths at which something has begun, and the keys that the node of that rank has there."""
        return zip(self._paths, count(rank, self._nodes))

    def place(self, key: Key) -> tuple[int, Path]:
        """The rank and the path a key stands for."""
        number, rank = divmod(key, self._nodes)
        return rank, self._paths[number]

    def prepared(self, planned: PlannedNode, path: Path) -> Prepared:
        """The prepared node at a path."""
        return Prepared(planned, path, self.begin(path) + planned.rank)


def source_path(edge: PlannedInput, path: Path) -> Path:
    """The path of what an edge comes from, given that of the node it arrives at."""
    return path if edge.keep is None else tuple([path[place] for place in edge.keep])
