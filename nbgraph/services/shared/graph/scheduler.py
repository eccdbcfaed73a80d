"""The scheduler: decide which block of prepared nodes is next, without looking at all the others.

**Policy.** A *block* is one segment of the plan at one path; its nodes run straight through. Blocks run depth first,
by (path, rank), so that the first result comes first. Where independent axes i and j meet in a product, the product
comes in the order of nested loops, [0,0], [0,1], ... [1,0], ...; a block that has only the axis j is placed at index 0
of i, just before the first blocks that use it.

**State.** Apart from `_finished`, the finished paths by segment, it stays as small as the plan, however long the lists
are: `_heap` holds at most one path per segment, the next one of that segment's iterator in `_paths`. A block that must
wait is stored in `_waiting` under one unfinished block, and returns to the heap when that block has finished; `_checks`
remembers how far its dependencies have been checked.

**Example.** `range(2) -> iterate -> add -> collect` has the segments 0 [range], 1 [iterate, add] and 2 [collect].

    at the start         the heap has (0, ()) and (2, ()); segment 1 waits for (0, ()), which decides its paths
    next() -> (0, ())
    finish((0, ()))      the length is known: (1, (0,)) goes to the heap
    next() -> (1, (0,))  (2, ()) came first, but needs all of segment 1: it waits for the last of it, (1, (1,))
    next() -> (1, (1,))
    finish((1, (1,)))    (2, ()) goes back to the heap
    next() -> (2, ())
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from heapq import heappop, heappush, heapreplace
from itertools import filterfalse, repeat

from nbgraph.services.shared.graph.plan import Axes, Path, Plan, source_path

Block = tuple[int, Path]
Length = Callable[[int, Path], int]
Entry = tuple[Path, int, Block]
"""A block in the heap, ordered by its path among nested loops, then by the first rank of its segment."""


class UnknownPath:
    """A placeholder for paths that are not known before a block has finished."""

    __slots__ = ("block",)

    def __init__(self, block: Block) -> None:
        self.block = block


class Scheduler:
    """Hand out blocks in order.

    `length(axis, path)` returns the number of items of an axis at an enclosing path. If it raises, the scheduler must
    not be used again.
    """

    def __init__(self, plan: Plan, length: Length) -> None:
        self._plan = plan
        self._length = length
        self._finished: list[set[Path]] = [set() for _ in plan.segments]
        # by the block waited for; None in place of a path is a segment whose next path is not known
        self._waiting: dict[Block, list[tuple[int, Path | None]]] = {}
        self._checks: dict[Block, Iterator[Block]] = {}
        self._paths: list[Iterator[Path | UnknownPath]] = [self.walk(segment.axes, {}) for segment in plan.segments]
        self._needs = {number: self._split_needs(number) for number, found in enumerate(plan.segments) if found.needs}
        self._levels = self._find_levels()
        self._ranks = [segment.nodes[0].rank for segment in plan.segments]
        self._has_paths = [True] * len(plan.segments)
        self._heap: list[Entry] = []
        for segment in range(len(plan.segments)):
            self._push_next(segment)

    def next(self) -> Block | None:
        """Return the next block that can run, or None if there is none now."""
        heap = self._heap
        while heap:
            block = heap[0][2]
            segment, path = block
            checks = self._checks.get(block) if self._checks else None
            # a block back from `_waiting` pushed its successor when it first left the heap; do not push it twice
            following = self._next_entry(segment) if path and checks is None else None
            if following is None:
                heappop(heap)
            else:
                heapreplace(heap, following)
            if checks is None:
                if segment not in self._needs or self._is_ready(segment, path):
                    return block
                checks = self._checks[block] = self._unfinished(segment, path)
            blocker = next(checks, None)
            if blocker is None:
                del self._checks[block]
                return block
            self._waiting.setdefault(blocker, []).append(block)
        return None

    def finish(self, block: Block) -> None:
        """Record that every node of a block is done, so that what waits for it may continue."""
        segment, path = block
        self._finished[segment].add(path)
        if block not in self._waiting:
            return
        for waiting, waiting_path in self._waiting.pop(block):
            if waiting_path is None:
                self._push_next(waiting)
            else:
                heappush(self._heap, self._entry((waiting, waiting_path)))

    def end(self) -> None:
        """Hand out no more blocks."""
        self._heap, self._waiting = [], {}
        self._has_paths = [False] * len(self._has_paths)

    def has_more(self, segment: int) -> bool:
        """Return whether blocks of a segment may still be handed out."""
        if self._has_paths[segment] or any(block[0] == segment for _, _, block in self._heap):
            return True
        return any(waiting == segment for blocks in self._waiting.values() for waiting, _ in blocks)

    def _push_next(self, segment: int) -> None:
        entry = self._next_entry(segment)
        if entry is not None:
            heappush(self._heap, entry)

    def _next_entry(self, segment: int) -> Entry | None:
        """Return the segment's next path for the heap; None at its end, or if it has to wait for a length."""
        step = next(self._paths[segment], None)
        if step is None:
            self._has_paths[segment] = False
        elif isinstance(step, UnknownPath):
            self._waiting.setdefault(step.block, []).append((segment, None))
        else:
            return self._entry((segment, step))
        return None

    def _entry(self, block: Block) -> Entry:
        segment, path = block
        levels = self._levels[segment]
        place = path
        if levels is not None:
            indexes = [0] * (levels[-1] + 1)
            for level, index in zip(levels, path):
                indexes[level] = index
            place = tuple(indexes)
        return place, self._ranks[segment], block

    def _find_levels(self) -> list[tuple[int, ...] | None]:
        """Return the nesting levels of each segment's axes in the products they take part in; None for 0, 1, 2 ..."""
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
        """Split what a segment needs.

        Returns `outer`, the segments whose axes are among this one's, each with the positions in our path that form its
        path, and `inner`, the segments with further axes, of which many paths are needed.
        """
        axes = self._plan.segments[segment].axes
        outer: list[tuple[int, tuple[int, ...]]] = []
        inner: list[int] = []
        for needed in sorted(self._plan.segments[segment].needs):
            theirs = self._plan.segments[needed].axes
            if set(theirs) <= set(axes):
                outer.append((needed, tuple(axes.index(axis) for axis in theirs)))
            else:
                inner.append(needed)
        return outer, inner

    def _is_ready(self, segment: int, path: Path) -> bool:
        """Return whether everything a block needs is finished.

        A quick check: False also means "not known", as for every block with `inner` needs.
        """
        outer, inner = self._needs[segment]
        for needed, keep in outer:
            if tuple([path[place] for place in keep]) not in self._finished[needed]:
                return False
        return not inner

    def _unfinished(self, segment: int, path: Path) -> Iterator[Block]:
        """Yield unfinished blocks that a block needs, one after the other, until there are none.

        The last block on the innermost axis is yielded first: when it is finished, usually all are, so that a collect
        over n items is checked a few times instead of n.
        """
        outer, inner = self._needs[segment]
        for needed, keep in outer:
            at = tuple([path[place] for place in keep])
            while at not in self._finished[needed]:
                yield needed, at
        axes = self._plan.segments[segment].axes
        for needed in inner:
            theirs = self._plan.segments[needed].axes
            fixed = {axis: path[axes.index(axis)] for axis in theirs if axis in axes}
            unfinished = filterfalse(self._finished[needed].__contains__, self.walk(theirs, fixed))
            for step in unfinished:
                block = step.block if isinstance(step, UnknownPath) else (needed, step)
                while block[1] not in self._finished[block[0]]:
                    yield block if isinstance(step, UnknownPath) else self._last_sibling(needed, step, fixed)

    def _last_sibling(self, segment: int, path: Path, fixed: Collection[int]) -> Block:
        """Return the last unfinished block along the innermost axis, or the given one if the last is finished."""
        axes = self._plan.segments[segment].axes
        if axes[-1] not in fixed:
            count = self._length(axes[-1], self._outer(axes[-1], axes, path))
            last = (*path[:-1], count - 1)
            if last not in self._finished[segment]:
                return segment, last
        return segment, path

    def walk(self, axes: Axes, fixed: Mapping[int, int]) -> Iterator[Path | UnknownPath]:
        """Iterate over all paths on these axes, in order; `fixed` gives the index of some axes.

        Yields an `UnknownPath` while a length is not known; ask again once its block has finished.
        """
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
                yield from self._until_known(axis, axes, path)
                start, stop = 0, self._length(axis, self._outer(axis, axes, path))
            if len(path) + 1 == len(axes):
                yield from zip(*map(repeat, path), range(start, stop))  # in C: most of the work of a plain loop
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

    def _until_known(self, axis: int, axes: Axes, path: list[int]) -> Iterator[UnknownPath]:
        """Yield the block that makes the list of an axis for as long as it is not finished."""
        source = self._plan.axes[axis].source
        if source is None:
            return
        segment = self._plan.nodes[source.parent].segment
        at = source_path(source, self._outer(axis, axes, path))
        while at not in self._finished[segment]:
            yield UnknownPath((segment, at))
