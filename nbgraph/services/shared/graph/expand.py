"""Expand a graph: replace each graph node by its inner nodes, named `outer.inner`, and collect what it exposes."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from pydantic import PrivateAttr

from nbgraph.errors import GraphError, Problem
from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput
from nbgraph.invocations.types import NodeValue
from nbgraph.services.shared.graph.edges import GRAPH, GraphLike, Link, has_graph_nodes
from nbgraph.services.shared.graph.plan import Path, Plan

if TYPE_CHECKING:
    from nbgraph.services.shared.graph.library import GraphInvocation

MAX_DEPTH = 32
End = tuple[str, str]
"""A node and one of its inputs or outputs."""


class ExposedOutput(BaseInvocationOutput):
    """The output of a graph node.

    Reading an output that its inner node has not given raises an `AttributeError` that says why.
    """

    _missing: dict[str, str] = PrivateAttr(default_factory=dict)

    def set_missing(self, reasons: dict[str, str]) -> None:
        """Record why outputs are missing, by name."""
        self._missing = reasons

    def __getattr__(self, name: str) -> NodeValue:
        if name in type(self).model_fields:
            raise AttributeError(f"there is no {name!r} here: {self._missing[name]}")
        return super().__getattr__(name)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]


@dataclass
class Outlet:
    """The outputs of a graph node: its output class, and the inner node and output of each, by the name outside."""

    output_class: type[ExposedOutput]
    ends: dict[str, End]


class ExpandedGraph:
    """A graph without graph nodes; `outlets` has the outputs of those that were replaced."""

    def __init__(self, graph: GraphLike) -> None:
        self.nodes: dict[str, BaseInvocation] = graph.nodes
        self.outlets: dict[str, Outlet] = {}
        self._graph = graph
        self._links: dict[str, list[Link]] = {}

    def links(self, node_id: str) -> list[Link]:
        """Return the edges that arrive at a node."""
        return self._links[node_id] if self._links else self._graph.links(node_id)

    def inner_ids(self, node_id: str) -> list[str]:
        """Return the nodes that give the outputs of a node: itself, or the sources of what a graph node exposes.

        For a graph node that exposes no outputs, return all its inner nodes.
        """
        if node_id not in self.outlets:
            return [node_id]
        sources = [source for source, _ in self.outlets[node_id].ends.values()]
        return list(dict.fromkeys(sources)) or [found for found in self.nodes if found.startswith(f"{node_id}.")]

    def expand_level(self) -> bool:
        """Replace the graph nodes of the outermost level by their inner nodes; return False if there were none."""
        if not has_graph_nodes(self.nodes):
            return False
        # a graph without graph nodes, the common case, never comes here and shares the links of the source graph
        self._links = self._links or {node_id: self._graph.links(node_id) for node_id in self.nodes}
        before, self.nodes = self.nodes, {}
        for node_id, node in before.items():
            if node.type == GRAPH:
                self._expand_node(node_id, cast("GraphInvocation", node), before)
            else:
                self.nodes[node_id] = node
        self._reroute()
        return True

    def _expand_node(self, outer: str, node: "GraphInvocation", taken: Container[str]) -> None:
        """Insert the inner nodes, with the values and edges that the graph node has under their aliases."""
        inner, arriving = node.library.graph, self._links.pop(outer)
        inlets = {one.alias: (one.node, one.field) for one in node.library.inputs}
        literals = node.literals()
        typed = {inlets[alias]: literals[alias] for alias in inlets if alias in node.model_fields_set & literals.keys()}
        replaced = {*typed, *(inlets[link.field] for link in arriving)}
        for inner_id, inner_node in inner.nodes.items():
            name = f"{outer}.{inner_id}"
            if name in taken:
                text = f"is the id of a node, and of one inside the graph node {outer!r}; rename one of them"
                raise GraphError([Problem("duplicate_id", text, name)])
            # edges and values given outside replace edges inside, so those are left out
            values = {field: value for (holder, field), value in typed.items() if holder == inner_id}
            self.nodes[name] = _with_values(inner_node, values)
            self._links[name] = [
                Link(link.field, f"{outer}.{link.source}", link.output)
                for link in inner.links(inner_id)
                if (inner_id, link.field) not in replaced
            ]
        for link in arriving:
            inner_id, field = inlets[link.field]
            self._links[f"{outer}.{inner_id}"].append(Link(field, link.source, link.output))
        ends = {one.alias: (f"{outer}.{one.node}", one.field) for one in node.library.outputs}
        self.outlets[outer] = Outlet(node.output_class, ends)

    def _reroute(self) -> None:
        """Let edges that came from a graph node come from the inner node instead."""
        for node_id, links in self._links.items():
            if any(link.source in self.outlets for link in links):
                self._links[node_id] = [Link(link.field, *self._inner_end(link.source, link.output)) for link in links]
        for outlet in self.outlets.values():
            outlet.ends = {alias: self._inner_end(*end) for alias, end in outlet.ends.items()}

    def _inner_end(self, source: str, output: str) -> End:
        while source in self.outlets:
            source, output = self.outlets[source].ends[output]
        return source, output


def expand(graph: GraphLike) -> ExpandedGraph:
    """Return the graph with every graph node replaced by its inner nodes, at all levels.

    Raises `GraphError` for an inner id that a node outside has too, and for more than `MAX_DEPTH` levels.
    """
    expanded = ExpandedGraph(graph)
    for _ in range(MAX_DEPTH):
        if not expanded.expand_level():
            return expanded
    if has_graph_nodes(expanded.nodes):
        raise GraphError([Problem("too_deep", f"graphs are nested more than {MAX_DEPTH} deep; remove some levels")])
    return expanded


def _with_values(node: BaseInvocation, values: dict[str, NodeValue]) -> BaseInvocation:
    if not values:
        return node
    copy = node.model_copy()
    vars(copy).update(values)  # valid already: the graph node has the same annotations
    copy.__pydantic_fields_set__.update(values)
    return copy


def exposed_outputs(
    outlet: Outlet,
    plan: Plan,
    outputs_of: Callable[[str], Mapping[Path, BaseInvocationOutput]],
    why_missing: Callable[[str, Path], str],
) -> dict[Path, BaseInvocationOutput]:
    """Return the outputs of a graph node, in path order, at each path at which one of its inner nodes has one.

    An output that runs under fewer iterations than another one is repeated at each of its paths.
    """
    given = {source: outputs_of(source) for source, _ in outlet.ends.values()}
    axes = {source: plan.nodes[plan.ranks[source]].axes if source in plan.ranks else () for source in given}
    used: set[tuple[str, Path]] = set()
    exposed: dict[Path, BaseInvocationOutput] = {}
    for source in sorted(given, key=lambda each: len(axes[each]), reverse=True):
        for path in given[source]:
            if (source, path) not in used:
                paths = {other: _path_in(axes[other], path, axes[source]) for other in given}
                used.update(paths.items())
                exposed[path] = _output(outlet, given, paths, why_missing)
    return dict(sorted(exposed.items()))


def _path_in(axes: Sequence[int], path: Path, path_axes: Sequence[int]) -> Path:
    """Return the part of a path that lies on `axes`, or all of it if it lacks one of them."""
    index_of = dict(zip(path_axes, path))
    return tuple([index_of[axis] for axis in axes]) if index_of.keys() >= set(axes) else path


def _output(
    outlet: Outlet,
    given: Mapping[str, Mapping[Path, BaseInvocationOutput]],
    paths: Mapping[str, Path],
    why_missing: Callable[[str, Path], str],
) -> ExposedOutput:
    values: dict[str, Any] = {}
    missing: dict[str, str] = {}
    for alias, (source, field) in outlet.ends.items():
        path = paths[source]
        if path in given[source]:
            values[alias] = getattr(given[source][path], field)
        else:
            missing[alias] = f"{source}: {why_missing(source, path) or 'it has given nothing at this path'}"
    output = outlet.output_class.model_construct(**values)
    output.set_missing(missing)
    return output
