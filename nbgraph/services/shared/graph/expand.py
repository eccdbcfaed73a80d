"""Expand a graph: replace each graph node by its inner nodes, named `outer.inner`, and collect what it exposes."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import PrivateAttr

from nbgraph.errors import GraphError, Problem
from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput
from nbgraph.services.shared.graph.edges import GraphLike, Link
from nbgraph.services.shared.graph.plan import Path, Plan

GRAPH = "graph"
MAX_DEPTH = 32


class FlatGraph:
    """A graph without graph nodes; `outlets` tells which inner outputs the outputs of a graph node are."""

    def __init__(self, graph: GraphLike) -> None:
        self.nodes: dict[str, BaseInvocation] = graph.nodes
        self.outlets: dict[str, Outlet] = {}
        self._graph = graph
        self._links: dict[str, list[Link]] = {}

    def links(self, node_id: str) -> list[Link]:
        """The edges that arrive at a node."""
        return self._links[node_id] if self._links else self._graph.links(node_id)

    def inner_ids(self, node_id: str) -> list[str]:
        """The nodes that make the outputs of a node: itself, unless it is a graph; all of one that shows no outputs."""
        if node_id not in self.outlets:
            return [node_id]
        sources = [source for source, _ in self.outlets[node_id].ends.values()]
        return list(dict.fromkeys(sources)) or [found for found in self.nodes if found.startswith(f"{node_id}.")]

    def expand(self) -> bool:
        """Replace the graph nodes of this level by their inner nodes; False if there were none."""
        if not any(node.type == GRAPH for node in self.nodes.values()):
            return False
        self._links = self._links or {node_id: self._graph.links(node_id) for node_id in self.nodes}
        before, self.nodes = self.nodes, {}
        for node_id, node in before.items():
            if node.type == GRAPH:
                self._expand_node(node_id, node, before)
            else:
                self.nodes[node_id] = node
        self._reroute()
        return True

    def _expand_node(self, outer: str, node: Any, taken: Container[str]) -> None:
        """Put the inner nodes in, with the values and edges that the graph node has under their aliases."""
        inner, arriving = node.library.graph, self._links.pop(outer)
        inlets = {one.alias: (one.node, one.field) for one in node.library.inputs}
        literals = node.literals()
        typed = {inlets[alias]: literals[alias] for alias in inlets if alias in node.model_fields_set & literals.keys()}
        replaced = {*typed, *(inlets[link.field] for link in arriving)}
        for inner_id, inner_node in inner.nodes.items():
            name = f"{outer}.{inner_id}"
            if name in taken:
                raise GraphError([Problem("duplicate_id", f"names a node, and one inside {outer!r}; rename one", name)])
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
        for node_id, links in self._links.items():
            if any(link.source in self.outlets for link in links):
                self._links[node_id] = [Link(link.field, *self._real(link.source, link.output)) for link in links]
        for outlet in self.outlets.values():
            outlet.ends = {alias: self._real(*end) for alias, end in outlet.ends.items()}

    def _real(self, source: str, output: str) -> tuple[str, str]:
        while source in self.outlets:
            source, output = self.outlets[source].ends[output]
        return source, output


def flatten(graph: GraphLike) -> FlatGraph:
    """The graph with every graph node replaced by what is in it, down to any depth that is allowed."""
    flat = FlatGraph(graph)
    for _ in range(MAX_DEPTH):
        if not flat.expand():
            return flat
    if any(node.type == GRAPH for node in flat.nodes.values()):
        raise GraphError([Problem("too_deep", f"graphs are nested more than {MAX_DEPTH} deep; take some levels out")])
    return flat


def _with_values(node: BaseInvocation, values: dict[str, Any]) -> BaseInvocation:
    if not values:
        return node
    copy = node.model_copy()
    vars(copy).update(values)
    copy.__pydantic_fields_set__.update(values)
    return copy


class ExposedOutput(BaseInvocationOutput):
    """The output of a graph node; to ask for what an inner node has not given is an `AttributeError` that says why."""

    _missing: dict[str, str] = PrivateAttr(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        if name in type(self).model_fields:
            raise AttributeError(f"there is no {name!r} here: {self._missing[name]}")
        return super().__getattr__(name)  # pyright: ignore[reportAttributeAccessIssue]


@dataclass
class Outlet:
    """The outputs of a graph node: its output class, and by name the inner node and output each one is."""

    output_class: type[ExposedOutput]
    ends: dict[str, tuple[str, str]]


def exposed_outputs(
    outlet: Outlet,
    plan: Plan,
    outputs_of: Callable[[str], Mapping[Path, BaseInvocationOutput]],
    why_missing: Callable[[str, Path], str],
) -> dict[Path, BaseInvocationOutput]:
    """The outputs of a graph node, in path order, at each path at which at least one of its inner nodes has one.

    What runs under fewer iterations than the others stands beside each of theirs.
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
    """The path of a node under some of the iterations of another one, given the path of that."""
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
    output._missing = missing
    return output
