"""Which prepared node is next: depth first by (path, rank), without looking at all the others.

Where independent axes i and j meet in a product, a node that is only under j stands at index 0 of i. So its runs come
just before the first that use them, and the product comes in the order of nested loops: [0,0], [0,1], ... [1,0], ...

The state is small. A *stretch* is one segment at one path; its nodes run straight through. A heap holds the stretches
that may be next, each segment's next path at most once, so it stays as small as the plan. A stretch that must wait is
parked under the one thing it waits for, and comes back to the heap when that is finished.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from heapq import heappop, heappush, heapreplace
from itertools import filterfalse, repeat

from nbgraph.services.shared.graph.plan import Axes, Path, Plan

Stretch = tuple[int, Path]
Length = Callable[[int, Path], int]
Entry = tuple[Path, int, Stretch]
"""A stretch in the heap: where its path comes in the order of nested loops, and its first rank, stand before it."""


class Blocked:
    """Stands in for a path that cannot be told before a stretch is finished."""

    __slots__ = ("stretch",)

    def __init__(self, stretch: Stretch) -> None:
        self.stretch = stretch


class Scheduler:
    """Hands out stretches in order. `length(axis, path)` tells how many items an axis has at a path of its outer ones.

    If it raises, the schedule is not to be asked again.
    """

    def __init__(self, plan: Plan, length: Length) -> None:
        self._plan = plan
        self._length = length
        self._finished: list[set[Path]] = [set() for _ in plan.segments]
        self._parked: dict[Stretch, list[tuple[int, Path | None]]] = {}
        self._checks: dict[Stretch, Iterator[Stretch]] = {}
        self._paths: list[Iterator[Path | Blocked]] = [self.walk(segment.axes, {}) for segment in plan.segments]
        self._needs = {number: self._split_needs(number) for number, found in enumerate(plan.segments) if found.needs}
        self._levels = self._find_levels()
        self._ranks = [segment.nodes[0].rank for segment in plan.segments]
        self._open = [True] * len(plan.segments)
        self._heap: list[Entry] = []
        for segment in range(len(plan.segments)):
            self._push_next(segment)

    def next(self) -> Stretch | None:
        """The next stretch that can run, or None if there is none now."""
        heap = self._heap
        while heap:
            stretch = heap[0][2]
            segment, path = stretch
            checks = self._checks.get(stretch) if self._checks else None
            following = self._next_entry(segment) if path and checks is None else None
            if following is None:
                heappop(heap)
            else:
                heapreplace(heap, following)
            if checks is None:
                if segment not in self._needs or self._is_free(segment, path):
                    return stretch
                checks = self._checks[stretch] = self._waits(segment, path)
            blocker = next(checks, None)
            if blocker is None:
                del self._checks[stretch]
                return stretch
            self._parked.setdefault(blocker, []).append(stretch)
        return None

    def finish(self, stretch: Stretch) -> None:
        """Every node of a stretch is done: what waited for it may go on."""
        segment, path = stretch
        self._finished[segment].add(path)
        if stretch not in self._parked:
            return
        for waiting, parked_path in self._parked.pop(stretch):
            if parked_path is None:
                self._push_next(waiting)
            else:
                heappush(self._heap, self._entry((waiting, parked_path)))

    def has_more(self, segment: int) -> bool:
        """Whether stretches of a segment may still be handed out."""
        if self._open[segment] or any(stretch[0] == segment for _, _, stretch in self._heap):
            return True
        return any(waiting == segment for parked in self._parked.values() for waiting, _ in parked)

    def _push_next(self, segment: int) -> None:
        entry = self._next_entry(segment)
        if entry is not None:
            heappush(self._heap, entry)

    def _next_entry(self, segment: int) -> Entry | None:
        """The segment's next path for the heap; None at its end, or if it is parked under what decides that path."""
        step = next(self._paths[segment], None)
        if step is None:
            self._open[segment] = False
        elif isinstance(step, Blocked):
            self._parked.setdefault(step.stretch, []).append((segment, None))
        else:
            return self._entry((segment, step))
        return None

    def _entry(self, stretch: Stretch) -> Entry:
        segment, path = stretch
        levels = self._levels[segment]
        place = path
        if levels is not None:
            indexes = [0] * (levels[-1] + 1)
            for level, index in zip(levels, path):
                indexes[level] = index
            place = tuple(indexes)
        return place, self._ranks[segment], stretch

    def _find_levels(self) -> list[tuple[int, ...] | None]:
        """Where each segment's axes stand among those they meet in some product; None if nothing stands before them."""
        before: list[set[int]] = [set() for _ in self._plan.axes]
        for segment in self._plan.segments:
            for outer, axis in zip(segment.axes, segment.axes[1:]):
                before[axis].add(outer)
        levels: list[int] = []
        for outers in before:
            levels.append(max((levels[outer] + 1 for outer in outers), default=0))
        found = [tuple([levels[axis] for axis in segment.axes]) for segment in self._plan.segments]
        return [None if each == tuple(range(len(each))) else each for each in found]

    def _split_needs(self, segment: int) -> tuple[list[tuple[int, tuple[int, ...]]], list[int]]:
        """What a segment needs: segments around it, each with the indexes that make its path, and segments inside."""
        axes = self._plan.segments[segment].axes
        around, inside = [], []
        for needed in sorted(self._plan.segments[segment].needs):
            theirs = self._plan.segments[needed].axes
            if set(theirs) <= set(axes):
                around.append((needed, tuple(axes.index(axis) for axis in theirs)))
            else:
                inside.append(needed)
        return around, inside

    def _is_free(self, segment: int, path: Path) -> bool:
        """Whether all that a stretch needs is around it, and finished; the common case, told quickly."""
        around, inside = self._needs[segment]
        for needed, keep in around:
            if tuple([path[place] for place in keep]) not in self._finished[needed]:
                return False
        return not inside

    def _waits(self, segment: int, path: Path) -> Iterator[Stretch]:
        """Yield, one after the other, unfinished stretches this one needs, until there are none.

        Of those on the innermost axis the last comes first: when it is finished, most often all are.
        """
        around, inside = self._needs[segment]
        for needed, keep in around:
            at = tuple([path[place] for place in keep])
            while at not in self._finished[needed]:
                yield needed, at
        axes = self._plan.segments[segment].axes
        for needed in inside:
            theirs = self._plan.segments[needed].axes
            fixed = {axis: path[axes.index(axis)] for axis in theirs if axis in axes}
            unfinished = filterfalse(self._finished[needed].__contains__, self.walk(theirs, fixed))
            for step in unfinished:
                stretch = step.stretch if isinstance(step, Blocked) else (needed, step)
                while stretch[1] not in self._finished[stretch[0]]:
                    yield stretch if isinstance(step, Blocked) else self._last_beside(needed, step, fixed)

    def _last_beside(self, segment: int, path: Path, fixed: Collection[int]) -> Stretch:
        """The last stretch on the innermost axis beside an unfinished one; that one itself, if the last is finished."""
        axes = self._plan.segments[segment].axes
        if axes[-1] not in fixed:
            count = self._length(axes[-1], self._outer(axes[-1], axes, path))
            last = (*path[:-1], count - 1)
            if last not in self._finished[segment]:
                return segment, last
        return segment, path

    def walk(self, axes: Axes, fixed: Mapping[int, int]) -> Iterator[Path | Blocked]:
        """All paths on these axes, in order, `fixed` giving some indexes; Blocked where a length is not known yet."""
        if not axes:
            yield ()
            return
        path: list[int] = []
        stops: list[int] = []
        while True:
            axis = axes[len(path)]
            if axis in fixed:
                start, stop = fixed[axis], fixed[axis] + 1
            else:
                yield from self._deciding(axis, axes, path)
                start, stop = 0, self._length(axis, self._outer(axis, axes, path))
            if len(path) + 1 == len(axes):
                yield from zip(*map(repeat, path), range(start, stop))
            elif start < stop:
                path.append(start)
                stops.append(stop)
                continue
            while path and path[-1] + 1 == stops[-1]:
                path.pop()
                stops.pop()
            if not path:
                return
            path[-1] += 1

    def _outer(self, axis: int, axes: Axes, path: Sequence[int]) -> Path:
        return tuple([path[axes.index(outer)] for outer in self._plan.axes[axis].outer])

    def _deciding(self, axis: int, axes: Axes, path: list[int]) -> Iterator[Blocked]:
        """Yield the stretch that makes the list of an axis, for as long as it is not finished."""
        source = self._plan.axes[axis].source
        if source is None:
            return
        parent = self._plan.nodes[source.parent]
        outer = self._outer(axis, axes, path)
        at = outer if source.keep is None else tuple([outer[place] for place in source.keep])
        while at not in self._finished[parent.segment]:
            yield Blocked((parent.segment, at))
