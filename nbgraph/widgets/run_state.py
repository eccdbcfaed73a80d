"""The state of a run for its displays: progress, the state of each node, results, and the time left."""

from collections.abc import Callable, Collection, Iterator
from heapq import nlargest
from itertools import chain, islice
from typing import Any, NamedTuple, Protocol

from nbgraph.errors import with_place
from nbgraph.invocations.fields import ImageField, models_in, resources_in
from nbgraph.progress import NodeTally, Progress, ProgressTracker
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.plan import PlannedNode, prepared_id
from nbgraph.texts import value_text

ERROR_LENGTH, RESULT_LENGTH, SHOWN_RESULTS = 4000, 120, 10
NOTHING = NodeTally()
LIVE = ("pending", "running")


class ShownRun(Protocol):
    """The part of a run that displays use. They import no more, so that `Run` can load them to show itself."""

    services: InvocationServices
    session: GraphExecutionState
    tracker: ProgressTracker

    @property
    def id(self) -> str: ...

    @property
    def status(self) -> str: ...

    @property
    def is_done(self) -> bool: ...

    @property
    def progress(self) -> Progress: ...

    def wait(self, seconds: float | None = None, *, show: Callable[[Progress], None] | None = None) -> Any: ...

    def cancel(self) -> None: ...


class NodeState(NamedTuple):
    """The state of one source node: `runs` of `of` prepared nodes (None while unknown) have run, in `seconds`."""

    id: str
    title: str
    status: str
    runs: int
    of: int | None
    cached: int
    seconds: float
    error: str
    warning: str


class RunState(NamedTuple):
    """A run at one moment.

    `nodes` are in the order in which they run; they may be the most important of the `total` source nodes. `left` is
    the estimate of the seconds left, None without one. `results` are the first values of the last nodes, once the run
    has ended: `sum.value = 3`.
    """

    status: str
    seconds: float
    left: float | None
    fraction: float
    done: int
    cached: int
    node: str
    step: int
    steps: int
    message: str
    error: str
    nodes: list[NodeState]
    total: int
    results: list[str]
    waits_for: str


def run_state(run: ShownRun, most: int | None = None) -> RunState:
    """Return the present state of a run; with `most`, of no more nodes than that: failed ones, then the slowest."""
    tracker, progress, status = run.tracker, run.progress, run.status
    expected = _expected(run.session)
    plan = run.session.plan
    chosen = plan.nodes if most is None or len(plan.nodes) <= most else _weightiest(run, most)
    # Counted once for all nodes: the tracker reads the log of the run whenever it is asked.
    tallies = tracker.nodes
    nodes = [_node_state(planned, run, status, expected, tallies.get(planned.id, NOTHING)) for planned in chosen]
    return RunState(
        status,
        progress.seconds,
        _seconds_left(run, nodes) if status == "running" else None,
        1.0 if status == "completed" else _fraction(chosen, run, nodes),
        progress.done,
        progress.cached,
        tracker.source,
        tracker.step,
        tracker.steps,
        tracker.message[:200],
        _session_error(run, nodes) if status == "failed" else "",
        nodes,
        len(plan.nodes),
        [] if status in LIVE else _results(run.session),
        progress.waits_for,
    )


def picture_names(run: ShownRun) -> list[str]:
    """Return the names of the images of the run so far, in order, without intermediate ones."""
    return pictures_of(run.session, run.services)


def pictures_of(session: GraphExecutionState, services: InvocationServices) -> list[str]:
    """Return the names of the images that a session has given, in order, without intermediate ones."""
    # A dict keeps the order and drops the repetitions of cached results.
    names: dict[str, None] = {}
    for planned in session.plan.nodes:
        if "image" in planned.node.outputs() and not planned.values["is_intermediate"]:
            for output in session.outputs_of(planned.id).values():
                names.update(
                    {field.image_name: None for field in resources_in(output) if isinstance(field, ImageField)}
                )
    return [name for name in names if services.images.exists(name)]


def _results(session: GraphExecutionState) -> list[str]:
    """Return the first values of the last nodes, one per line, and dots if there are more."""
    lines = list(islice(_result_lines(session), SHOWN_RESULTS + 1))
    lines[SHOWN_RESULTS:] = ["..."] if len(lines) > SHOWN_RESULTS else []
    return lines


def _result_lines(session: GraphExecutionState) -> Iterator[str]:
    """Yield the results of the last nodes as lines, without images, tensors and models."""
    for node_id in session.graph.ends:
        for path, output in session.outputs_of(node_id).items():
            if any(chain(resources_in(output), models_in(output))):
                break
            for name, value in output:
                yield f"{prepared_id(node_id, path)}.{name} = {value_text(value, RESULT_LENGTH)}"


def _weightiest(run: ShownRun, most: int) -> list[PlannedNode]:
    plan, tallies = run.session.plan, run.tracker.nodes
    ids = nlargest(most, tallies, key=lambda node_id: (bool(tallies[node_id].error), tallies[node_id].seconds))
    return [plan.nodes[rank] for rank in sorted(plan.ranks[node_id] for node_id in ids if node_id in plan.ranks)]


def _node_state(
    planned: PlannedNode, run: ShownRun, status: str, expected: dict[str, int | None], tally: NodeTally
) -> NodeState:
    node_id, tracker = planned.id, run.tracker
    # A resumed session has results that were made before its tracker began to count.
    runs = tally.runs or len(run.session.outputs_of(node_id))
    shown = node_status(tally, runs, tracker, {node_id}, is_live=status in LIVE)
    title = planned.node.title or planned.node.type
    of = expected[node_id] if planned.axes else 1
    error, warning = with_place(tally.error[:ERROR_LENGTH], tally.place), tally.warning[:ERROR_LENGTH]
    return NodeState(node_id, title, shown, runs, of, tally.cached, tally.seconds, error, warning)


def node_status(tally: NodeTally, runs: int, tracker: ProgressTracker, sources: Collection[str], is_live: bool) -> str:
    """Return the status of what a page shows as one node, of its tally and of the node that is running.

    Parameters
    ----------
    tally, runs
        What was counted for the node, and how often it has run, earlier sessions included.
    tracker
        The tracker of the session, which knows the node that is running or was stopped.
    sources
        The source ids that are shown as this node: several for a library graph.
    is_live
        Whether the session may still run it.
    """
    if tally.error:
        return "failed"
    if tracker.source in sources:
        return "running"
    if tracker.stopped_at in sources:
        return "cancelled"
    if runs:
        return "cached" if tally.cached == runs else "done"
    return "waiting" if is_live else "skipped"


def _expected(session: GraphExecutionState) -> dict[str, int | None]:
    """Return how often each node under an iteration runs: the product of its lists' lengths, where known."""
    plan = session.plan
    lengths: list[int | None] = []
    for axis in plan.axes:
        # An inner list may differ in length by the path; the last one known is the best guess.
        outputs = list(session.outputs_of(plan.nodes[axis.rank].id).values())
        lengths.append(getattr(outputs[-1], "total", None) if outputs else None)
    found: dict[str, int | None] = {}
    for planned in plan.nodes if lengths else ():
        count: int | None = 1
        for index in planned.axes:
            length = lengths[index]
            count = None if count is None or length is None else count * length
        found[planned.id] = count
    return found


def _weight(planned: PlannedNode) -> int:
    """Return the weight of a node in the bar: its number of steps, else one."""
    steps = planned.values.get("steps")
    return steps if isinstance(steps, int) and steps > 0 else 1


def _fraction(chosen: list[PlannedNode], run: ShownRun, nodes: list[NodeState]) -> float:
    # By steps, because a node that denoises takes most of the time and one that adds takes none.
    done = total = 0.0
    tracker = run.tracker
    for planned, node in zip(chosen, nodes):
        weight = _weight(planned)
        total += weight * max(node.of or 1, node.runs)
        done += weight * node.runs
        if node.status == "running" and tracker.steps:
            done += weight * tracker.step / tracker.steps
    return min(1.0, done / total) if total else 0.0


def _seconds_left(run: ShownRun, nodes: list[NodeState]) -> float | None:
    """Estimate the seconds left from the steps and uncached nodes so far; None before the second step of a node."""
    tracker = run.tracker
    each = tracker.step_seconds
    if each is None:
        return None
    left = each * (tracker.steps - tracker.step)
    for node in nodes:
        waiting = max(0, (node.of or 1) - node.runs)
        if node.status == "running":
            left += each * tracker.steps * max(0, waiting - 1)
        elif node.runs > node.cached:
            left += node.seconds / (node.runs - node.cached) * waiting
    return left


def _session_error(run: ShownRun, nodes: list[NodeState]) -> str:
    """Return the errors of the session that no node shows as its own."""
    shown = {node.id for node in nodes if node.error}
    texts = [text for node, text in run.session.errors.items() if node.partition("[")[0] not in shown]
    return "\n".join(texts)[:ERROR_LENGTH]
