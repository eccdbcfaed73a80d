"""The lists that iterate nodes go through: their items, their lengths, and how many paths all of them make together."""

from collections.abc import Mapping
from math import prod
from typing import Any

from nbgraph.errors import IterationLimitError
from nbgraph.invocations.base import BaseInvocationOutput
from nbgraph.invocations.inputs import REQUIRED
from nbgraph.services.shared.graph.plan import Axes, Key, Path, Plan, PreparedKeys


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
