"""Programs of random graphs, and what they mean by plain nested loops: written for the tests alone, with no plan."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from nbgraph.invocations import Add, Collect, IntegerCollection, Iterate
from nbgraph.invocations.base import BaseInvocation
from nbgraph.services.shared.graph.graph import Graph
from tests.graph.nodes import Spread, Total, total

Kind = Literal["numbers", "spread", "add", "total", "iterate", "collect"]
Prepared = tuple[int, tuple[int, ...]]
MAKES_LISTS = ("numbers", "spread", "collect")


@dataclass(frozen=True)
class Step:
    """A node of a program: its inputs are earlier steps by number; `chained` go into a collect's `collection`."""

    kind: Kind
    inputs: tuple[int, ...] = ()
    chained: tuple[int, ...] = ()
    numbers: tuple[int, ...] = ()


class Program:
    """A random graph as a list of steps, each after what it needs."""

    def __init__(self, steps: list[Step]) -> None:
        self.steps = steps
        self._values: dict[tuple[int, tuple[int, ...]], Any] = {}

    def __repr__(self) -> str:
        return "\n".join(f"n{number} = {step}" for number, step in enumerate(self.steps))

    @cached_property
    def graph(self) -> Graph:
        """The program as a graph, its nodes named `n0`, `n1`, ... in order."""
        nodes: list[BaseInvocation] = []
        for number, step in enumerate(self.steps):
            nodes.append(self.node(f"n{number}", step, nodes))
        return Graph(nodes)

    @staticmethod
    def node(name: str, step: Step, nodes: Any) -> BaseInvocation:
        """A step as a node, given the earlier nodes, or their outputs, by number."""
        given = [nodes[number] for number in step.inputs]
        if step.kind == "numbers":
            return IntegerCollection(id=name, collection=list(step.numbers))
        if step.kind == "spread":
            return Spread(id=name, value=given[0])
        if step.kind == "add":
            return Add(id=name, a=given[0], b=given[1])
        if step.kind == "total":
            return Total(id=name, collection=given[0])
        if step.kind == "iterate":
            return Iterate(id=name, collection=given[0])
        chained = [nodes[number] for number in step.chained]
        return Collect(id=name, item=given, **({"collection": chained[0]} if chained else {}))

    # what it means

    def axes(self, number: int) -> tuple[int, ...]:
        """The iterate steps a step runs under, outer first."""
        step = self.steps[number]
        around = sorted({axis for source in (*step.inputs, *step.chained) for axis in self.axes(source)})
        if step.kind == "collect":
            hung_on = {outer for axis in around for outer in self.axes(axis) if outer != axis}
            return tuple(axis for axis in around if axis in hung_on)
        return (*around, number) if step.kind == "iterate" else tuple(around)

    def paths(self, axes: tuple[int, ...], at: dict[int, int]) -> Iterator[dict[int, int]]:
        """Nested loops over some axes, outer first; those already in `at` are fixed."""
        if not axes:
            yield at
            return
        first, rest = axes[0], axes[1:]
        if first in at:
            yield from self.paths(rest, at)
            return
        for index in range(len(self.value(self.steps[first].inputs[0], at))):
            yield from self.paths(rest, {**at, first: index})

    def value(self, number: int, at: dict[int, int]) -> Any:
        """What a step gives, with these indexes of the iterate steps around it."""
        key = number, tuple(at[axis] for axis in self.axes(number))
        if key not in self._values:
            self._values[key] = self._compute(number, {axis: at[axis] for axis in self.axes(number)})
        return self._values[key]

    def _compute(self, number: int, at: dict[int, int]) -> Any:
        step = self.steps[number]
        if step.kind == "numbers":
            return list(step.numbers)
        if step.kind == "collect":
            chained = [item for found in self._gathered(step.chained, at) for item in found]
            return chained + self._gathered(step.inputs, at)
        if step.kind == "iterate":
            outer = {axis: index for axis, index in at.items() if axis != number}
            return self.value(step.inputs[0], outer)[at[number]]
        given = [self.value(source, at) for source in step.inputs]
        if step.kind == "spread":
            return [given[0] * 10 + k for k in range(given[0] % 3)]
        return given[0] + given[1] if step.kind == "add" else total(given[0])

    def _gathered(self, sources: tuple[int, ...], at: dict[int, int]) -> list[Any]:
        found = []
        for edge, source in enumerate(sources):
            axes = self.axes(source)
            for inner in self.paths(axes, {axis: at[axis] for axis in axes if axis in at}):
                found.append((tuple(inner[axis] for axis in axes if axis not in at), edge, self.value(source, inner)))
        return [value for _, _, value in sorted(found, key=lambda entry: entry[:2])]

    def results(self, number: int) -> dict[tuple[int, ...], Any]:
        """Every value of a step by path, in path order."""
        axes = self.axes(number)
        return {tuple(at[axis] for axis in axes): self.value(number, at) for at in self.paths(axes, {})}

    # when it may run

    def needs(self, number: int, path: tuple[int, ...]) -> set[Prepared]:
        """The prepared steps that must have run before one can."""
        step, axes = self.steps[number], self.axes(number)
        at = dict(zip(axes, path))
        found = self._lists(axes, {}, upto=path)
        for source in (*step.inputs, *step.chained):
            theirs = self.axes(source)
            fixed = {axis: at[axis] for axis in theirs if axis in at}
            for inner in self.paths(theirs, fixed):
                found.add((source, tuple(inner[axis] for axis in theirs)))
            if step.kind == "collect":
                found |= self._lists(theirs, fixed)
        return found - {(number, path)}

    def _lists(self, axes: tuple[int, ...], fixed: dict[int, int], upto: tuple[int, ...] = ()) -> set[Prepared]:
        """The prepared steps that make the lists of some axes, empty ones too; only `upto` a path, if there is one."""
        found = set()
        for place, axis in enumerate(axes):
            source = self.steps[axis].inputs[0]
            for at in self.paths(axes[:place], {outer: fixed[outer] for outer in axes[:place] if outer in fixed}):
                if not upto or tuple(at[outer] for outer in axes[:place]) <= upto[:place]:
                    found.add((source, tuple(at[outer] for outer in self.axes(source))))
        return found

    @cached_property
    def levels(self) -> dict[int, int]:
        """For each iterate step, how many axes stand before it in the longest product it is part of."""
        together = [self.axes(number) for number in range(len(self.steps))]
        levels: dict[int, int] = {}
        for axis in sorted({axis for axes in together for axis in axes}):
            before = [axes[axes.index(axis) - 1] for axes in together if axis in axes and axes[0] != axis]
            levels[axis] = max((levels[outer] + 1 for outer in before), default=0)
        return levels

    def place(self, number: int, path: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
        """Where a prepared step stands in the order: its path, 0 for the axes before it that it is not under."""
        at = {self.levels[axis]: index for axis, index in zip(self.axes(number), path)}
        return tuple(at.get(level, 0) for level in range(max(at, default=-1) + 1)), number
