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
from nbgraph.invocations.valid import make_valid
from nbgraph.services.shared.graph.plan import Axes, Key, Path, Plan, PlannedInput, PlannedNode, Prepared, PreparedKeys
from nbgraph.services.shared.graph.scheduler import Blocked


class Iterations:
    """Items and lengths by axis and the path around it. A length that would make too many paths is refused.

    Axes that hang on one another form a *group*; the paths of a segment are the product of those of its groups, and
    each group's are counted as its lengths become known.
    """

    def __init__(self, plan: Plan, keys: PreparedKeys, outputs: Mapping[Key, BaseInvocationOutput], limit: int) -> None:
        self.lost: set[tuple[int, Path]] = set()
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
            self._note_groups(axes, name)

    def items(self, axis: int, outer: Path) -> list[Any]:
        """The list of an axis at a path of the axes around it; empty, and noted as lost, if nothing made it.

        Empty too where it is still open, which whoever checks the graph will say.
        """
        planned = self._plan.nodes[self._plan.axes[axis].rank]
        source = self._plan.axes[axis].source
        if source is None:
            listed = planned.values["collection"]
            return [] if listed is REQUIRED else listed
        output = self._outputs.get(self._keys.source(source, outer))
        if output is None:
            self.lost.add((axis, outer))
            return []
        return output.__dict__[source.output]

    def length(self, axis: int, outer: Path) -> int:
        """How many items an axis has at a path of the axes around it; `IterationLimitError` if that makes too many."""
        known = self._lengths.get((axis, outer))
        if known is None:
            known = len(self.items(axis, outer))
            self._count(axis, outer, known)
            self._lengths[axis, outer] = known
        return known

    def _note_groups(self, axes: Axes, name: str) -> None:
        """Split the axes of a segment into groups, and note under each group the product it takes part in."""
        groups: list[set[int]] = []
        for axis in axes:
            hangs_on = {axis, *self._plan.axes[axis].outer}
            touching = [group for group in groups if group & hangs_on]
            groups = [group for group in groups if group not in touching]
            groups.append(hangs_on.union(*touching))
        together = [tuple(sorted(group)) for group in groups]
        for group in together:
            if group not in self._counts:
                self._counts[group] = 0
                hung_on = {outer for axis in group for outer in self._plan.axes[axis].outer}
                for axis in set(group) - hung_on:
                    self._innermost_in.setdefault(axis, []).append(group)
            self._products.setdefault(group, []).append((name, together))

    def _count(self, axis: int, outer: Path, length: int) -> None:
        """Add the paths that a new length makes to the counts of the groups in which no other axis hangs on it.

        Two lists that hang on the same iteration count when the second of them is known.
        """
        self._longest[axis] = max(length, self._longest.get(axis, 0))
        around = dict(zip(self._plan.axes[axis].outer, outer))
        for group in self._innermost_in.get(axis, ()):
            others = [other for other in group if other != axis and other not in around]
            self._counts[group] += length * prod(self._length_if_known(other, around) for other in others)
            for name, together in self._products[group]:
                count = prod(self._counts[each] for each in together)
                if count > self._limit:
                    raise IterationLimitError(name, count, self._limit)

    def _length_if_known(self, axis: int, around: Mapping[int, int]) -> int:
        outer = self._plan.axes[axis].outer
        if all(each in around for each in outer):
            return self._lengths.get((axis, tuple([around[each] for each in outer])), 0)
        return self._longest.get(axis, 0)


ITERATE_FIELDS = set(IterateOutput.model_fields)
Walk = Callable[[Axes, Mapping[int, int]], Iterator[Path | Blocked]]


class Arrivals:
    """Looks up what arrives where in the outputs a session has."""

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
        self._listed: tuple[int, Path, list[Any]] = (-1, (), [])
        self._found: tuple[PlannedInput | None, Path, list[Key]] = (None, (), [])

    def values(self, prepared: Prepared) -> dict[str, Any]:
        """Everything that arrives over edges, by input; a seed that was left open is drawn and noted."""
        planned = prepared.planned
        if not planned.kind.is_plain:
            return self._special(prepared)
        values = self.inputs(prepared)
        return {edge.field: values[edge.field] for edge in planned.inputs}

    def inputs(self, prepared: Prepared) -> dict[str, Any]:
        """All that a node runs on: what was typed, and in its place what arrives."""
        planned, path, _ = prepared
        values = planned.values.copy()
        if not planned.kind.is_plain:
            values.update(self._special(prepared))
            return values
        for edge in planned.inputs:
            values[edge.field] = self._outputs[self._keys.source(edge, path)].__dict__[edge.output]
        return values

    def item(self, axis: int, path: Path) -> IterateOutput:
        """The output of the iterate node of an axis at a path: its item, the place of the item, how many there are."""
        around, index = path[:-1], path[-1]
        listed_axis, listed_at, items = self._listed
        if listed_axis != axis or listed_at != around:
            items = self._iterations.items(axis, around)
            self._listed = axis, around, items
        values = {"item": items[index], "index": index, "total": len(items)}
        return make_valid(IterateOutput, values, ITERATE_FIELDS)

    def sources(self, planned: PlannedNode, path: Path) -> Iterator[tuple[str, Key]]:
        """What must have run before a node: the input, and the key of what arrives there, item by item."""
        for edge in planned.inputs:
            yield from zip(repeat(edge.field), self._keys_over(planned, edge, path))

    def source_keys(self, planned: PlannedNode, path: Path) -> list[Key]:
        """The same without the inputs."""
        return [key for edge in planned.inputs for key in self._keys_over(planned, edge, path)]

    def _keys_over(self, planned: PlannedNode, edge: PlannedInput, path: Path) -> list[Key]:
        return self._instances(planned, edge, path) if planned.kind.collects else [self._keys.source(edge, path)]

    def _special(self, prepared: Prepared) -> dict[str, Any]:
        planned, path, _ = prepared
        if planned.kind.collects:
            return self._gathered(planned, path)
        values: dict[str, Any] = {}
        specs = planned.node.inputs()
        for edge in planned.inputs:
            output = self._outputs.get(self._keys.source(edge, path))
            if output is None and not planned.kind.is_if:
                raise KeyError(f"{prepared.id} has nothing on {edge.field} yet")
            value = None if output is None else output.__dict__[edge.output]
            if specs[edge.field].many:
                values.setdefault(edge.field, []).append(value)
            else:
                values[edge.field] = value
        for name in planned.kind.seeds:
            if values.get(name, planned.values[name]) is None:
                values[name] = self._drawn(prepared, name)
        return values

    def _drawn(self, prepared: Prepared, name: str) -> int:
        drawn = self._seeds.setdefault(prepared.key, {})
        if name not in drawn:
            drawn[name] = random.SystemRandom().randint(0, DRAWN_MAX)
        return drawn[name]

    def _gathered(self, planned: PlannedNode, path: Path) -> dict[str, Any]:
        """What a collect node gathers at a path: by input, in the order of (path, edge)."""
        values: dict[str, Any] = {"item": []}
        for field in dict.fromkeys(edge.field for edge in planned.inputs):
            edges = [edge for edge in planned.inputs if edge.field == field]
            if len(edges) == 1:
                values[field] = self._gathered_over(edges[0], self._instances(planned, edges[0], path))
            else:
                values[field] = self._merged(planned, edges, path)
        if "collection" in values:
            values["collection"] = [item for items in values["collection"] for item in items]
        return values

    def _merged(self, planned: PlannedNode, edges: list[PlannedInput], path: Path) -> list[Any]:
        """What comes over several edges, by the part of their paths that the collect removes, then by edge."""
        found = []
        for number, edge in enumerate(edges):
            removed = [
                place for place, axis in enumerate(self._plan.nodes[edge.parent].axes) if axis not in planned.axes
            ]
            keys = self._instances(planned, edge, path)
            for key, value in zip(keys, self._gathered_over(edge, keys)):
                _, at = self._keys.place(key)
                found.append((tuple([at[place] for place in removed]), number, value))
        found.sort(key=lambda entry: entry[:2])
        return [value for _, _, value in found]

    def _gathered_over(self, edge: PlannedInput, keys: list[Key]) -> list[Any]:
        """What comes over one edge of a collect from what has these keys."""
        output, outputs = edge.output, self._outputs
        return [outputs[key].__dict__[output] for key in keys]

    def _instances(self, planned: PlannedNode, edge: PlannedInput, path: Path) -> list[Key]:
        """The keys of a source that belong to a collect's path, in order; those asked for last are known."""
        found_edge, found_at, found = self._found
        if found_edge is edge and found_at == path:
            return found
        axes = self._plan.nodes[edge.parent].axes
        fixed = {axis: path[planned.axes.index(axis)] for axis in axes if axis in planned.axes}
        paths = [at for at in self._walk(axes, fixed) if not isinstance(at, Blocked)]
        found = self._keys.sources(edge.parent, paths)
        self._found = edge, path, found
        return found
