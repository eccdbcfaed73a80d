"""Sessions of one group, such as the cells of a sweep: what their nodes can do in one call is done together.

The sessions of a group have graphs of one shape that differ in values. Each is run by itself up to a node that may
share a call of the model, and waits there; then the next one begins. As soon as enough of them wait at nodes of one
batch key, those run in one call, and their sessions go on:

    seed 1   noise, prompt, [denoise ...]                       -> image
    seed 2   noise, prompt, [denoise ...]   one call for four   -> image
    seed 3   noise, prompt, [denoise ...]                       -> image
    seed 4   noise, prompt, [denoise ...]                       -> image

Every session keeps its own journal, rows of stats, cache entries, events and errors, as if it had run alone. Results
are those of the automatic batches of an iteration. What two sessions both need is computed once, as always: the second
finds it in the cache.

- At most `WINDOW` batches of sessions are begun and not ended: a larger sweep must not hold its noise in memory.
- A full batch is run at once. Where there is none and no session is left to begin, the furthest along is run, so that
  images are finished before the next ones are begun.
- Nodes of one cache key are computed once: the others wait until it is known.
- Where several in one call fail, each is run by itself, so that the one that fails is named. Only when memory runs out
  they are halved first, and no more are tried in one call again.
"""

import logging
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from contextlib import AbstractContextManager

from nbgraph.errors import CancelledError
from nbgraph.services.invocation_processor.batch_runner import HoldingRunner, attempt, note_failed_batch
from nbgraph.services.invocation_processor.error_texts import is_out_of_memory
from nbgraph.services.invocation_processor.node_batches import (
    BYTES_PER_PIXEL,
    LINE_PER_BATCH,
    BatchLimits,
    HeldNode,
    can_batch,
)
from nbgraph.services.invocation_stats.invocation_stats_common import CANCELLED, COMPLETED
from nbgraph.services.invocation_stats.probe import Share
from nbgraph.services.neighbours import Services
from nbgraph.services.shared.graph.execution_state import GraphExecutionState, Prepared

logger = logging.getLogger("nbgraph")
WINDOW = LINE_PER_BATCH


def can_join(session: GraphExecutionState, limits: BatchLimits) -> bool:
    """Return whether a session may run in a group: it has nodes that can share a call, and no iteration.

    Nodes under an iteration form batches within their session already.
    """
    if session.strict or limits.size < 2 or session.plan.axes:
        return False
    return any(can_batch(cls) for cls in session.plan.node_types)


class CellRunner(HoldingRunner):
    """Runs a session that stops at each node that may run with those of other sessions."""

    def steps(self, *, is_checked: bool) -> Generator[HeldNode]:
        """Run the session; yield each node that may share a call.

        Whoever runs the yielded node sets its `output` and `seconds`; a node without an output is run here, alone.
        """
        with self.running(is_checked=is_checked):
            while (prepared := self._claim()) is not None:
                held = self._held(prepared) if can_batch(type(prepared.planned.node)) else HeldNode(prepared)
                if held.joins:
                    yield held
                    # other sessions have used models since
                    self._probe.catch_up()
                if held.output is not None:
                    self._complete(held, held.output)
                elif self._goes_on:
                    self._run_node(prepared)
                else:
                    self.session.release(prepared)

    def _claim(self) -> Prepared | None:
        return self.session.next() if self._goes_on else None

    @property
    def goes_on(self) -> bool:
        """True while the session goes on: it was not cancelled, and has not failed."""
        return self._goes_on

    def begin_together(self, held: HeldNode) -> float:
        """Send that a node begins in a call with others; return the time of its start."""
        self._probe.catch_up()
        self._start(held.prepared)
        return self._probe.start()

    def seconds_since(self, began: float) -> float:
        """Return the seconds of a call that has ended, also on the device."""
        return self._probe.seconds_since(began)

    def end_together(self, held: HeldNode, share: Share, status: str) -> None:
        """Add the row of a node that ran in a call with others."""
        prepared = held.prepared
        planned = prepared.planned
        node = prepared.id, prepared.path, self._seed(prepared)
        self._probe.finish_share(share, node, planned.id, planned.node_type.name, status)


class Cell:
    """A session of a group that has begun: its steps, the node at which it waits, and what shows its waiting."""

    def __init__(
        self, runner: CellRunner, steps: Iterator[HeldNode], waiting: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self.runner, self._steps, self._waiting = runner, steps, waiting
        self.held: HeldNode | None = None
        self._batch: Hashable = None

    def advance(self) -> bool:
        """Go on to the next node that may share a call; return False if the session has ended."""
        with self._waiting():
            self.held = next(self._steps, None)
            self._batch = None if self.held is None else self._batch_of(self.held)
        return self.held is not None

    @property
    def batch(self) -> Hashable:
        """Equal for cells whose nodes can run in one call; None for a node that runs alone."""
        return self._batch

    @property
    def rank(self) -> int:
        """The rank of the node at which the cell waits."""
        return -1 if self.held is None else self.held.prepared.planned.rank

    def _batch_of(self, held: HeldNode) -> Hashable:
        assert held.ready is not None
        node, context = held.ready
        try:
            key = node.batch_key(context)
        except Exception:  # the node meets the same error when it runs, and its session says so
            logger.debug("%s has no key", held.prepared.id, exc_info=True)
            return None
        return None if key is None else (held.prepared.planned.id, type(node), key)


class GroupRunner:
    """Runs cells as far as there are any: `take()` begins the next one, None if there is none now."""

    def __init__(self, take: Callable[[], Cell | None], services: Services, limits: BatchLimits) -> None:
        self._take, self._services, self._limits = take, services, limits
        self._cells: list[Cell] = []
        self._sizes: dict[Hashable, int] = {}

    def run(self) -> None:
        """Run all cells to their ends."""
        while batch := self._next_batch():
            self._run_batch(batch)

    def _next_batch(self) -> list[Cell]:
        """Return the cells to run next; begin more as long as none make up a full batch."""
        while not (full := self._full()):
            cell = self._take() if len(self._cells) < WINDOW * self._limits.size else None
            if cell is None:
                break
            if cell.advance():
                self._cells.append(cell)
        return full or self._furthest()

    def _end_cancelled(self) -> None:
        self._advance(cell for cell in self._cells if not cell.runner.goes_on)

    def _full(self) -> list[Cell]:
        self._end_cancelled()
        for cells in self._by_batch().values():
            fitting = self._fitting(cells)
            # a batch is full too if not all of its cells fit into it
            if len(fitting) >= self._size(cells) or len(fitting) < len(cells):
                return fitting
        return []

    def _furthest(self) -> list[Cell]:
        groups = list(self._by_batch().values())
        return self._fitting(max(groups, key=lambda cells: cells[0].rank)) if groups else []

    def _by_batch(self) -> dict[Hashable, list[Cell]]:
        """Return the waiting cells by batch, the furthest along first; of those with one cache key the first."""
        groups: dict[Hashable, list[Cell]] = {}
        seen: set[bytes] = set()
        for cell in self._cells:
            held = cell.held
            assert held is not None
            if held.key is not None and self._services.invocation_cache.enabled:
                if held.key in seen:
                    continue
                seen.add(held.key)
            groups.setdefault(id(cell) if cell.batch is None else cell.batch, []).append(cell)
        return dict(sorted(groups.items(), key=lambda group: -group[1][0].rank))

    def _size(self, cells: list[Cell]) -> int:
        return 1 if cells[0].batch is None else self._sizes.get(cells[0].batch, self._limits.size)

    def _fitting(self, cells: list[Cell]) -> list[Cell]:
        """Return as many of the cells as one call may have: by their number, and by their pixels in memory."""
        pixels = min(self._limits.pixels, self._services.model_manager.free_bytes // BYTES_PER_PIXEL)
        chosen: list[Cell] = []
        for cell in cells[: self._size(cells)]:
            assert cell.held is not None
            pixels -= cell.held.pixels
            if chosen and pixels < 0:
                break
            chosen.append(cell)
        return chosen

    def _run_batch(self, cells: list[Cell]) -> None:
        if len(cells) > 1:
            cells = self._try_together(cells)
        known = {cell.held.key for cell in cells if cell.held is not None and cell.held.key is not None}
        # those that wait for a result which is known now go on with it
        self._advance(cell for cell in self._cells if cell in cells or (cell.held and cell.held.key in known))

    def _advance(self, cells: Iterable[Cell]) -> None:
        for cell in list(cells):
            if not cell.advance():
                self._cells.remove(cell)

    def _try_together(self, cells: list[Cell]) -> list[Cell]:
        """Run the nodes of some cells in one call; return the cells that go on.

        Those that have no output then are run alone; cells that are not returned are tried again.
        """
        helds = [cell.held for cell in cells if cell.held is not None]
        began = [cell.runner.begin_together(held) for cell, held in zip(cells, helds)][-1]
        outputs, error, place = attempt(helds)
        seconds = cells[0].runner.seconds_since(began)
        if error is None:
            for number, (cell, held, output) in enumerate(zip(cells, helds, outputs)):
                share = Share(began, seconds, number, len(cells))
                cell.runner.end_together(held, share, COMPLETED)
                held.output, held.seconds = output, share.each
            return cells
        if isinstance(error, CancelledError):
            # the context of the first is asked for a cancel, so it is the one that was cancelled
            cells[0].runner.end_together(helds[0], Share(began, seconds, 0, 1), CANCELLED)
            cells[0].runner.session.cancel()
            return cells[:1]
        if is_out_of_memory(error):
            size = max(1, len(cells) // 2)
            self._sizes[cells[0].batch] = size
            del error  # its frames hold the tensors of the call
            cells[0].runner.free_memory()
            return self._try_together(cells[:size]) if size > 1 else cells[:1]
        note_failed_batch(helds, error, place)
        return cells
