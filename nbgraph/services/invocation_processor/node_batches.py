"""Prepared nodes that wait to be run together, in one call of `invoke_batch`, and when they have waited enough.

The order of a session is depth first, so when the first picture could be denoised, the noise of the second is not drawn
yet. A node that can be batched is therefore *held*: claimed, and not run. The session goes on, and as it never hands
out what needs a claimed node, it hands out next exactly what the siblings of the held node need: other executions of
the same source node, which are held in their turn. Held nodes are run when

- the batch is full: `Settings.batch_size` nodes, `Settings.batch_pixels` pixels, or what fits into free memory;
- no more siblings will come, which the session knows as soon as it knows the lengths of the lists;
- the session has nothing else to hand out;
- a node comes up that they depend on: what is further along is finished first. So of a hundred seeds
  the first eight are denoised, decoded and shown before the ninth is denoised. The batch is the unit of first results;
- more nodes that no sibling needs have run than the graph has nodes. Other work does not delay a batch.

The nodes of one source node wait in one *line* and finish in the order of their paths, as they do one by one: what is
cached already waits in the line too if it is behind others, and those with another key are run in a call of their own.
All this depends on the graph, what is cached and the settings alone (on free memory where that is short), so the same
run makes the same batches. With `strict=True` nothing is held.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput
from nbgraph.services.invocation_processor.node_context import NodeContext
from nbgraph.services.invocation_processor.session_runner import NodeInputs
from nbgraph.services.shared.graph.execution_state import GraphExecutionState, Prepared
from nbgraph.services.shared.graph.plan import Plan, PlannedInput

BYTES_PER_PIXEL = 5 * 1024
"""What decoding takes with an autoencoder of Stable Diffusion's size in float32 (4.7 to 5.3 kB measured on a CPU)."""
LINE_PER_BATCH = 8


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Limits of one call: the number of nodes, and the pixels of their images together. A size of 1 batches nothing."""

    size: int = 8
    pixels: int = 8 * 512 * 512


@dataclass(slots=True, eq=False)
class HeldNode:
    """A prepared node that waits. `ready` is the node with its inputs; None for one that runs by itself in its turn.

    `output` and `seconds` are there when it has run.
    """

    prepared: Prepared
    ready: tuple[BaseInvocation, NodeContext] | None = None
    pixels: int = 0
    inputs: NodeInputs | None = None
    output: BaseInvocationOutput | None = None
    seconds: float = 0.0

    @property
    def key(self) -> bytes | None:
        """The cache key of its result; None if it is not cached."""
        return None if self.inputs is None else self.inputs.key

    @property
    def joins(self) -> bool:
        """True if it may run in one call with others."""
        return self.ready is not None


def can_batch(cls: type[BaseInvocation]) -> bool:
    """Return whether nodes of a class may run together."""
    return cls.batch_key is not BaseInvocation.batch_key


class NodeBatches:
    """The lines of a session, by the rank of their source node; `free_bytes` returns the memory free for images."""

    def __init__(self, plan: Plan, limits: BatchLimits, free_bytes: Callable[[], int]) -> None:
        self._plan, self._limits, self._free_bytes = plan, limits, free_bytes
        self._classes = {cls for cls in plan.node_types if can_batch(cls)}
        self._lines: dict[int, list[HeldNode]] = {}
        self._pixels: dict[int, int] = {}
        self._sizes: dict[int, int] = {}
        self._ancestors: dict[int, set[int]] = {}
        self._passed = 0

    def takes(self, prepared: Prepared) -> bool:
        """Return whether a node may be held: its class can be batched, and it runs at several paths."""
        return bool(prepared.path) and type(prepared.planned.node) in self._classes

    def line(self, rank: int) -> list[HeldNode]:
        """Return the nodes that wait, of one source node, in their order."""
        return self._lines.get(rank, [])

    def has_room(self, held: HeldNode) -> bool:
        """Return whether a node can be held with those of its line; the first always can."""
        rank = held.prepared.planned.rank
        line = self.line(rank)
        if not any(other.joins for other in line):
            return True
        return sum(other.pixels for other in line) + held.pixels <= self._pixels[rank]

    def hold(self, held: HeldNode) -> None:
        """Put a node at the end of its line."""
        rank = held.prepared.planned.rank
        if not any(other.joins for other in self.line(rank)):
            self._pixels[rank] = min(self._limits.pixels, self._free_bytes() // BYTES_PER_PIXEL)
        self._lines.setdefault(rank, []).append(held)
        self._passed = 0

    def is_full(self, rank: int) -> bool:
        """Return whether a line has reached its limit."""
        line, size = self.line(rank), self.size(rank)
        return sum(other.joins for other in line) >= size or len(line) >= LINE_PER_BATCH * self._limits.size

    def size(self, rank: int) -> int:
        """Return how many nodes of a source node may run in one call."""
        return self._sizes.get(rank, self._limits.size)

    def shrink(self, rank: int, size: int) -> None:
        """Limit the nodes of a source node in one call: more did not fit into memory."""
        self._sizes[rank] = max(1, size)

    def furthest(self) -> int | None:
        """Return the rank of the last source node that has a line."""
        return max(self._lines, default=None)

    def made_from(self, rank: int) -> list[int]:
        """Return the source nodes that have a line and depend on that one, the last of them first."""
        return [other for other in sorted(self._lines, reverse=True) if rank in self._needed(other)]

    def pass_by(self, rank: int) -> bool:
        """Count a node that was run, not held; return whether those that wait have waited too long for siblings."""
        if not self._lines or any(rank in self._needed(other) for other in self._lines):
            return False
        self._passed += 1
        return self._passed > len(self._plan.nodes)

    def take(self, rank: int) -> list[HeldNode]:
        """Return the nodes that wait, of one source node, and remove their line."""
        return self._lines.pop(rank, [])

    def _needed(self, rank: int) -> set[int]:
        """Return the ranks of all nodes that a source node depends on."""
        found = self._ancestors.get(rank)
        if found is None:
            found = self._ancestors[rank] = set()
            waiting = [rank]
            while waiting:
                parents = set(self._parents(waiting.pop())) - found
                found |= parents
                waiting.extend(parents)
        return found

    def _parents(self, rank: int) -> Iterator[int]:
        """Iterate over the ranks that a node needs: sources of its inputs, and conditions of its branch."""
        planned = self._plan.nodes[rank]
        yield from (edge.parent for edge in planned.inputs)
        for condition in (choice.condition for choices in planned.branches for choice in choices):
            if isinstance(condition, PlannedInput):
                yield condition.parent


def batches_of(session: GraphExecutionState, limits: BatchLimits, free_bytes: Callable[[], int]) -> NodeBatches | None:
    """Return what holds nodes of a session; None if no node can be held, so that such a session pays nothing."""
    plan = session.plan
    if session.strict or limits.size < 2 or not plan.axes or not any(can_batch(cls) for cls in plan.node_types):
        return None
    return NodeBatches(plan, limits, free_bytes)
