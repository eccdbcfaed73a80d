"""Inputs of prepared nodes: values over edges, collected lists, items of iterate nodes, and random seeds."""

import random
from collections.abc import Callable, Iterator, Mapping
from itertools import repeat
from math import prod
from typing import Any

from nbgraph.errors import IterationLimitError
from nbgraph.invocations.base import BaseInvocationOutput
from nbgraph.invocations.control_flow import IterateOutput
from nbgraph.invocations.fields import DRAWN_MAX
from nbgraph.invocations.inputs import REQUIRED
from nbgraph.invocations.types import NodeValue
from nbgraph.invocations.valid import holding
from nbgraph.services.shared.graph.plan import (
    Axes,
    Key,
    Path,
    Plan,
    PlannedInput,
    PlannedNode,
    Prepared,
    PreparedKeys,
)
from nbgraph.services.shared.graph.scheduler import UnknownPath

ITERATE_FIELDS = set(IterateOutput.model_fields)
Walk = Callable[[Axes, Mapping[int, int]], Iterator[Path | UnknownPath]]


class Iterations:
    """The lists that iterate nodes go through: items and lengths, by axis and enclosing path.

    A length that would make more than `limit` paths for some node is refused. Axes that depend on one another form a
    *group*. The paths of a segment are the product of the paths of its groups, which are counted as lengths become
    known.
    """

    def __init__(self, plan: Plan, keys: PreparedKeys, outputs: Mapping[Key, BaseInvocationOutput], limit: int) -> None:
        self.missing: set[tuple[int, Path]] = set()
        self._plan = plan
        self._keys = keys
        self._outputs = outputs
        self._limit = limit
        self._lengths: dict[tuple[int, Path], int] = {}
        self._longest: dict[int, int] = {}
        self._counts: dict[Axes, int] = {}
        self._products: dict[Axes, list[tuple[str, list[Axes]]]] = {}
        self._innermost_in: dict[int, list[Axes]] = {}
        for axes, name in {segment.axes: segment.nodes[0].id for segment in plan.segments}.items():
            self._add_groups(axes, name)

    def items(self, axis: int, outer: Path) -> list[NodeValue]:
        """Return the list of an axis at an enclosing path.

        The list is empty, and recorded in `missing`, if its source gave nothing. It is empty too if the input is
        required and open, which validation reports.
        """
        planned = self._plan.nodes[self._plan.axes[axis].rank]
        source = self._plan.axes[axis].source
        if source is None:
            listed = planned.values["collection"]
            return [] if listed is REQUIRED else listed
        output = self._outputs.get(self._keys.source(source, outer))
        if output is None:
            self.missing.add((axis, outer))
            return []
        return vars(output)[source.output]

    def length(self, axis: int, outer: Path) -> int:
        """Return the number of items of an axis at an enclosing path.

        Raises `IterationLimitError` if that makes too many paths.
        """
        known = self._lengths.get((axis, outer))
        if known is None:
            known = len(self.items(axis, outer))
            self._count(axis, outer, known)
            self._lengths[axis, outer] = known
        return known

    def _add_groups(self, axes: Axes, name: str) -> None:
        """Split the axes of a segment into groups; record for each group the products it is a factor of."""
        groups: list[set[int]] = []
        for axis in axes:
            depends_on = {axis, *self._plan.axes[axis].outer}
            touching = [group for group in groups if group & depends_on]
            groups = [group for group in groups if group not in touching]
            groups.append(depends_on.union(*touching))
        factors = [tuple(sorted(group)) for group in groups]
        for group in factors:
            if group not in self._counts:
                self._counts[group] = 0
                enclosing = {outer for axis in group for outer in self._plan.axes[axis].outer}
                for axis in set(group) - enclosing:
                    self._innermost_in.setdefault(axis, []).append(group)
            self._products.setdefault(group, []).append((name, factors))

    def _count(self, axis: int, outer: Path, length: int) -> None:
        """Add the paths of a new length to the counts of the groups in which no other axis depends on this one.

        Two lists that depend on the same iteration count when the second of them is known.
        """
        self._longest[axis] = max(length, self._longest.get(axis, 0))
        enclosing = dict(zip(self._plan.axes[axis].outer, outer))
        for group in self._innermost_in.get(axis, ()):
            others = [other for other in group if other != axis and other not in enclosing]
            self._counts[group] += length * prod(self._length_if_known(other, enclosing) for other in others)
            for name, factors in self._products[group]:
                count = prod(self._counts[each] for each in factors)
                if count > self._limit:
                    raise IterationLimitError(name, count, self._limit)

    def _length_if_known(self, axis: int, enclosing: Mapping[int, int]) -> int:
        outer = self._plan.axes[axis].outer
        if all(each in enclosing for each in outer):
            return self._lengths.get((axis, tuple([enclosing[each] for each in outer])), 0)
        return self._longest.get(axis, 0)


class Inputs:
    """Look up the inputs of prepared nodes in the outputs of a session."""

    def __init__(
        self,
        plan: Plan,
        keys: PreparedKeys,
        outputs: Mapping[Key, BaseInvocationOutput],
        seeds: dict[Key, dict[str, int]],
        iterations: Iterations,
        walk: Walk,
    ) -> None:
        self._plan = plan
        self._keys = keys
        self._outputs = outputs
        self._seeds = seeds
        self._iterations = iterations
        self._walk = walk
        # one entry each: the same list is read item by item, and a collect asks for the same sources several times
        self._last_items: tuple[int, Path, list[Any]] = (-1, (), [])
        self._last_sources: tuple[PlannedInput | None, Path, list[Key]] = (None, (), [])

    def arriving(self, prepared: Prepared) -> dict[str, NodeValue]:
        """Return the values that arrive over edges, by input; an open seed is drawn and recorded."""
        planned = prepared.planned
        if not planned.node_type.is_direct:
            return self._special(prepared)
        values = self.values(prepared)
        return {edge.field: values[edge.field] for edge in planned.inputs}

    def values(self, prepared: Prepared) -> dict[str, NodeValue]:
        """Return all values a node runs on: typed ones, replaced by those that arrive."""
        planned = prepared.planned
        values = planned.values.copy()
        if not planned.node_type.is_direct:
            values.update(self._special(prepared))
            return values
        first = prepared.key - planned.rank
        for edge in planned.inputs:
            source = first + edge.parent if edge.keep is None else self._keys.source(edge, prepared.path)
            values[edge.field] = self._outputs[source].__dict__[edge.output]
        return values

    def item(self, axis: int, path: Path) -> IterateOutput:
        """Return the output of the iterate node of an axis at a path."""
        outer, index = path[:-1], path[-1]
        last_axis, last_outer, items = self._last_items
        if last_axis != axis or last_outer != outer:
            items = self._iterations.items(axis, outer)
            self._last_items = axis, outer, items
        values = {"item": items[index], "index": index, "total": len(items)}
        return holding(IterateOutput, values, ITERATE_FIELDS)

    def sources(self, planned: PlannedNode, path: Path) -> Iterator[tuple[str, Key]]:
        """Iterate over all that arrives at a node, item by item: the input, and the key of the source."""
        for edge in planned.inputs:
            yield from zip(repeat(edge.field), self._keys_over(planned, edge, path))

    def source_keys(self, prepared: Prepared) -> list[Key]:
        """Return the keys of all that arrives at a prepared node, item by item."""
        planned, path, key = prepared.planned, prepared.path, prepared.key
        if planned.axis is not None:  # its list is outside of its axis
            return [self._keys.source(edge, path[:-1]) for edge in planned.inputs]
        first, source = key - planned.rank, self._keys.source
        if planned.node_type.collects:
            keys: list[Key] = []
            for edge in planned.inputs:  # without axes of its own, an edge brings one item
                keys += [first + edge.parent] if edge.keep is None else self._collected_keys(planned, edge, path)
            return keys
        return [first + edge.parent if edge.keep is None else source(edge, path) for edge in planned.inputs]

    def _keys_over(self, planned: PlannedNode, edge: PlannedInput, path: Path) -> list[Key]:
        return (
            self._collected_keys(planned, edge, path) if planned.node_type.collects else [self._keys.source(edge, path)]
        )

    def _special(self, prepared: Prepared) -> dict[str, NodeValue]:
        """Return what arrives at a node that collects, is an `if`, takes several edges into an input, or has seeds."""
        planned, path = prepared.planned, prepared.path
        if planned.node_type.collects:
            return self._collected(planned, path)
        values: dict[str, Any] = {}
        specs = planned.node.inputs()
        for edge in planned.inputs:
            output = self._outputs.get(self._keys.source(edge, path))
            if output is None and not planned.node_type.is_if:
                raise KeyError(f"{prepared.id} has nothing on {edge.field} yet")
            value = None if output is None else vars(output)[edge.output]
            if specs[edge.field].many:
                values.setdefault(edge.field, []).append(value)
            else:
                values[edge.field] = value
        for name in planned.node_type.seeds:
            if values.get(name, planned.values[name]) is None:
                values[name] = self._draw_seed(prepared, name)
        return values

    def _draw_seed(self, prepared: Prepared, name: str) -> int:
        """Return the seed recorded for an input, so that a resumed session repeats it; draw it the first time."""
        drawn = self._seeds.setdefault(prepared.key, {})
        if name not in drawn:
            drawn[name] = random.SystemRandom().randint(0, DRAWN_MAX)
        return drawn[name]

    def _collected(self, planned: PlannedNode, path: Path) -> dict[str, NodeValue]:
        """Return the lists of a collect at a path, by input, ordered by (path, edge)."""
        values: dict[str, Any] = {"item": []}
        for field in dict.fromkeys(edge.field for edge in planned.inputs):
            edges = [edge for edge in planned.inputs if edge.field == field]
            if len(edges) == 1:
                values[field] = self._outputs_over(edges[0], self._collected_keys(planned, edges[0], path))
            else:
                values[field] = self._merged(planned, edges, path)
        if "collection" in values:
            values["collection"] = [item for items in values["collection"] for item in items]
        return values

    def _merged(self, planned: PlannedNode, edges: list[PlannedInput], path: Path) -> list[NodeValue]:
        """Return what arrives over several edges, ordered by the indexes of the removed axes, then by edge."""
        nodes, outputs = self._plan.nodes, self._outputs
        if not any(nodes[edge.parent].axes for edge in edges):  # one item over each edge
            return [outputs[edge.parent].__dict__[edge.output] for edge in edges]
        found: list[tuple[Path, int, Any]] = []
        for number, edge in enumerate(edges):
            axes = nodes[edge.parent].axes
            removed = [place for place, axis in enumerate(axes) if axis not in planned.axes]
            keys = self._collected_keys(planned, edge, path)
            for key, value in zip(keys, self._outputs_over(edge, keys)):
                _, at = self._keys.place(key)
                found.append((tuple([at[place] for place in removed]), number, value))
        found.sort(key=lambda entry: entry[:2])
        return [value for _, _, value in found]

    def _outputs_over(self, edge: PlannedInput, keys: list[Key]) -> list[NodeValue]:
        output, outputs = edge.output, self._outputs
        return [outputs[key].__dict__[output] for key in keys]

    def _collected_keys(self, planned: PlannedNode, edge: PlannedInput, path: Path) -> list[Key]:
        """Return the keys of the source of an edge that a collect takes at a path, in order."""
        last_edge, last_path, found = self._last_sources
        if last_edge is edge and last_path == path:
            return found
        axes = self._plan.nodes[edge.parent].axes
        if not axes:
            return [edge.parent]  # at the path of no indexes the key is the rank
        fixed = {axis: path[planned.axes.index(axis)] for axis in axes if axis in planned.axes}
        paths = [at for at in self._walk(axes, fixed) if not isinstance(at, UnknownPath)]
        found = self._keys.sources(edge.parent, paths)
        self._last_sources = edge, path, found
        return found
