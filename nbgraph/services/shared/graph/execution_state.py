"""A session: one execution of a graph. It hands out prepared nodes, takes their outputs, and can be saved half way."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Literal, get_args
from uuid import uuid4

from nbgraph.errors import ChoiceError, IterationLimitError
from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput, Ref, is_link
from nbgraph.invocations.control_flow import IterateOutput
from nbgraph.invocations.valid import twin
from nbgraph.services.shared.graph.dispatcher import Dispatcher
from nbgraph.services.shared.graph.expand import FlatGraph, exposed_outputs, flatten
from nbgraph.services.shared.graph.garbage import no_garbage
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.plan import (
    Key,
    Path,
    PathRun,
    Plan,
    PlannedNode,
    Prepared,
    PreparedKeys,
    prepared_id,
)
from nbgraph.services.shared.graph.session_json import (
    SavedSession,
    by_key,
    dump_outputs,
    load_outputs,
    place_after,
    read_session,
    refuse_changes,
    rows,
)
from nbgraph.services.shared.graph.topology import topological_order

Status = Literal["pending", "running", "completed", "failed", "cancelled"]
OnError = Literal["stop", "continue"]
MAX_ITERATIONS = 1_000_000
Values = dict[str, Any]
Twins = dict[BaseInvocation, BaseInvocation]


class GraphExecutionState:
    """One execution of a graph: `next()` claims a prepared node, `complete()` or `fail()` says what became of it.

    `outputs` holds what has finished, in that order. Most nodes can be taken without claims, which is quicker: see
    `straight()`.

    `targets` restricts it to what those nodes need. With `on_error="continue"`, what does not depend on a failed node
    still runs; `ChoiceError` for any other word. A `strict` one runs every node by itself, also those that could run
    together. What has finished is never run again: a saved session goes on where it was, and a session may grow.

    One thread drives a session; others may read `status`, `outputs_of` and the like meanwhile. Edits of the graph after
    the session was made do not reach it, nor does what is assigned to its nodes: see `graph_as_it_was()`.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        id: str | None = None,
        targets: Sequence[str] | None = None,
        on_error: OnError = "stop",
        strict: bool = False,
        max_iterations: int = MAX_ITERATIONS,
    ) -> None:
        if on_error not in get_args(OnError):
            raise ChoiceError("on_error", on_error, map(repr, get_args(OnError)))
        self.id = id or uuid4().hex
        with no_garbage():
            self.graph = graph.copy()
            self._held = held_values(self.graph)
        self.targets = None if targets is None else [graph.id_of(target) for target in targets]
        self.on_error: OnError = on_error
        self.strict = strict
        self.max_iterations = max_iterations
        self.cancelled = False
        self.errors: dict[str, str] = {}
        self.seeds: dict[Key, dict[str, int]] = {}
        self.outputs: dict[Key, BaseInvocationOutput] = {}
        self._failed: set[Key] = set()
        self._compile()
        self._start()

    # running

    def next(self) -> Prepared | None:
        """Claim the next prepared node; None if there is none now (all done, stopped, or waiting for claimed ones).

        Raises `IterationLimitError` if a list turned out too long; the session has failed then.
        """
        try:
            if self.cancelled or self.errors:
                return self._next_of_stopped()
            return self._dispatcher.next()
        except IterationLimitError as refused:
            self.errors.update({problem.node or "": problem.message for problem in refused.problems})
            raise

    def _next_of_stopped(self) -> Prepared | None:
        """The next after a cancel, a failure or a refusal: a prepared node only if failures do not stop the session."""
        if self._dispatcher.refused is not None:
            raise self._dispatcher.refused
        return None if self.cancelled or self.on_error == "stop" else self._dispatcher.next()

    def straight(self) -> Iterator[PathRun]:
        """The prepared nodes that come next, without claims, up to one for which `next()` is to be asked.

        Whoever takes them puts the output of each into `outputs` before taking the next, and takes no more when one
        fails or is released, or the session is cancelled.
        """
        return iter(()) if self.cancelled or self.errors else self._dispatcher.straight()

    def complete(self, prepared: Prepared, output: BaseInvocationOutput) -> None:
        """A claimed node has its output."""
        self.outputs[prepared.key] = output
        self._dispatcher.done(prepared.key)

    def fail(self, prepared: Prepared, error: str) -> None:
        """A claimed node failed; `error` is text, never the exception, which would keep its tensors alive."""
        self.errors[prepared.id] = error
        self._failed.add(prepared.key)
        self._dispatcher.failed(prepared.key)

    def release(self, prepared: Prepared) -> None:
        """Give a claimed node back undone; it is the next to be handed out."""
        self._dispatcher.release(prepared)

    def expects(self, planned: PlannedNode) -> bool:
        """Whether more prepared nodes of a source node may be handed out; if not, there are none."""
        return self._dispatcher.expects(planned)

    def cancel(self) -> None:
        """Hand out nothing more; what has finished stays."""
        self.cancelled = True

    def resume(self) -> None:
        """Take back a cancel and forget errors: what was claimed, failed or skipped is tried again, nothing else."""
        self.cancelled = False
        self.errors.clear()
        self._failed.clear()
        self._start()

    def grow(self, graph: Graph, targets: Sequence[str] | None = None) -> None:
        """Go on with a graph that has more in it; `GraphError` if it lacks or changes what has run already."""
        before, keys = self.plan, self.keys
        ran = list(dict.fromkeys(before.nodes[keys.place(key)[0]].id for key in (*self.outputs, *self._failed)))
        refuse_changes(flatten(self.graph_as_it_was()), flatten(graph.validate()), ran)
        self.graph = graph.copy()
        self._held = held_values(self.graph)
        self.targets = None if targets is None else [*(graph.id_of(target) for target in targets), *ran]
        self._compile()

        def renamed(key: Key) -> Key:
            rank, path = place_after(*keys.place(key), before, self.plan)
            return self.keys.begin(path) + rank

        self.outputs = {renamed(key): output for key, output in self.outputs.items()}
        self._failed = {renamed(key) for key in self._failed}
        self.seeds = {renamed(key): drawn for key, drawn in self.seeds.items()}
        self._start()

    # what is known of it

    @property
    def claimed(self) -> Collection[Key]:
        """The keys of what `next()` handed out and is not done; the same object until a `resume()` or `grow()`."""
        return self._dispatcher.claimed

    @property
    def status(self) -> Status:
        """How far the session is."""
        if self._dispatcher.refused or (self.errors and (self.on_error == "stop" or self.is_complete)):
            return "failed"
        if self.is_complete:
            return "completed"
        if self.cancelled:
            return "cancelled"
        return "running" if self.outputs or self._dispatcher.running else "pending"

    @property
    def is_complete(self) -> bool:
        """Whether every prepared node has run, was skipped, or failed."""
        return self._dispatcher.is_done

    @property
    def skipped(self) -> dict[str, str]:
        """What will not run, by prepared node, and why: its branch was not taken, or something it needs failed."""
        return self._dispatcher.skipped

    def __len__(self) -> int:
        """How many prepared nodes have finished."""
        return len(self.outputs)

    def graph_as_it_was(self) -> Graph:
        """The graph with the values that this session runs on; `graph` has the nodes themselves, as they are now."""
        return as_it_was(self.graph, self._held)

    def results(self) -> Iterator[tuple[Prepared, BaseInvocationOutput]]:
        """Every finished prepared node and its output, in the order they finished."""
        for key, output in list(self.outputs.items()):
            rank, path = self.keys.place(key)
            yield Prepared(self.plan.nodes[rank], path, key), output

    def outputs_of(self, node_id: str) -> dict[Path, BaseInvocationOutput]:
        """The outputs of a source node by path, in path order; of a graph node, what there is of what it exposes."""
        if node_id in self.flat.outlets:
            return exposed_outputs(self.flat.outlets[node_id], self.plan, self.outputs_of, self.why_missing)
        rank = self.plan.ranks.get(node_id)
        if rank is None:
            return {}
        if not self.plan.nodes[rank].axes:
            return {(): self.outputs[rank]} if rank in self.outputs else {}
        found = {path: self.outputs[key] for path, key in self.keys.of_node(rank) if key in self.outputs}
        return dict(sorted(found.items()))

    def why_missing(self, node_id: str, path: Path = ()) -> str:
        """Why a source node, or all that a graph node exposes, gave nothing at a path; empty if it is still to come."""
        name = prepared_id(node_id, path)
        if reason := self.errors.get(name) or self.skipped.get(name):
            return reason
        inner = self.flat.inner_ids(node_id) if node_id in self.flat.outlets else []
        reasons = {source: self.why_missing(source, path) for source in inner}
        return "; ".join(f"{source}: {reason}" for source, reason in reasons.items() if reason)

    # inputs

    def arriving(self, prepared: Prepared) -> dict[str, Any]:
        """Everything that arrives over edges, by input; a seed that was left open is drawn and noted."""
        return self._dispatcher.arrivals.values(prepared)

    def inputs(self, prepared: Prepared) -> dict[str, Any]:
        """All that a prepared node runs on: what was typed, and in its place what arrives."""
        return self._dispatcher.arrivals.inputs(prepared)

    def iterate_output(self, prepared: Prepared) -> IterateOutput:
        """The output of an iterate node at a path: its item, the place of the item, how many there are."""
        assert prepared.planned.axis is not None
        return self.item(prepared.planned.axis, prepared.path)

    def item(self, axis: int, path: Path) -> IterateOutput:
        """The same, of the iterate node of an axis."""
        return self._dispatcher.arrivals.item(axis, path)

    def source_keys(self, planned: PlannedNode, path: Path) -> list[Key]:
        """The keys of what arrives at a prepared node, item by item; of an iterate, give the path around."""
        return self._dispatcher.arrivals.source_keys(planned, path)

    # saving

    def to_dict(self) -> dict[str, Any]:
        """The session as JSON-able values. What is claimed counts as not run."""
        return SavedSession(
            id=self.id,
            graph=self.graph_as_it_was().to_dict(),
            targets=self.targets,
            on_error=self.on_error,
            strict=self.strict,
            max_iterations=self.max_iterations,
            cancelled=self.cancelled,
            outputs=dump_outputs(self.plan, self.keys, self.outputs),
            seeds=rows(self.plan, self.keys, self.seeds),
            errors=self.errors,
            failed=rows(self.plan, self.keys, dict.fromkeys(self._failed)),
        ).model_dump(mode="json")

    @classmethod
    def from_dict(cls, data: Any) -> "GraphExecutionState":
        """The session in values read from JSON; `GraphError` if they hold none. It goes on where it was."""
        saved = read_session(data)
        session = cls(
            Graph.from_dict(saved.graph),
            id=saved.id,
            targets=saved.targets,
            on_error=saved.on_error,
            strict=saved.strict,
            max_iterations=saved.max_iterations,
        )
        session.cancelled = saved.cancelled
        session.outputs = load_outputs(session.plan, session.keys, session.flat, saved.outputs)
        session.seeds = by_key(session.plan, session.keys, saved.seeds)
        session.errors = saved.errors
        session._failed = set(by_key(session.plan, session.keys, saved.failed))
        session._start()
        return session

    # inside

    def _compile(self) -> None:
        with no_garbage():
            self.flat: FlatGraph = flatten(self.graph)
            targets = self.targets
            if targets is not None:
                targets = [inner for target in targets for inner in self.flat.inner_ids(target)]
            self.plan = Plan(self.flat, targets)
        self.keys = PreparedKeys(len(self.plan.nodes))

    def _start(self) -> None:
        """Go on from what has finished and what has failed; nothing is claimed."""
        self._dispatcher = Dispatcher(self.plan, self.keys, self.outputs, self.seeds, self._failed, self.max_iterations)


def depth_first(session: GraphExecutionState) -> Iterator[tuple[Prepared, BaseInvocationOutput]]:
    """Every finished prepared node and its output: those of one path before those of the next.

    The session is gone through again with the outputs it has, and nothing is run.
    """
    outputs = {(prepared.planned.rank, prepared.path): output for prepared, output in session.results()}
    again = GraphExecutionState(
        session.graph_as_it_was(), targets=session.targets, on_error="continue", max_iterations=2**62
    )
    while outputs and (prepared := again.next()) is not None:
        output = outputs.pop((prepared.planned.rank, prepared.path), None)
        if output is None:
            again.fail(prepared, "it has not finished")
        else:
            again.complete(prepared, output)
            yield prepared, output


def held_values(graph: Graph) -> list[Values]:
    """The values of a graph's nodes, in their order, to be kept as they are."""
    return [vars(node) for node in graph.nodes.values()]


def as_it_was(graph: Graph, held: Sequence[Values]) -> Graph:
    """The graph with the values that were held; itself if nobody assigned anything since."""
    nodes = graph.nodes.values()
    twins: Twins = {node: twin(node, values) for node, values in zip(nodes, held) if vars(node) is not values}
    if not twins:
        return graph
    parents = {node_id: [link.source for link in graph.links(node_id)] for node_id in graph.nodes}
    for node_id in topological_order(parents)[0]:
        node = graph.nodes[node_id]
        _lead_to_twins(node, twins)
    return graph.replaced(twins)


def _lead_to_twins(node: BaseInvocation, twins: Twins) -> None:
    """Give a node a twin with edges from twins, if it has edges from nodes that have one."""
    values = vars(twins.get(node, node))
    edges = {name: value for name, value in values.items() if is_link(value)}
    sources = [ref.node for value in edges.values() for ref in (value if isinstance(value, list) else [value])]
    if any(source in twins for source in sources):
        twins[node] = twin(node, {**values, **{name: _from_twins(value, twins) for name, value in edges.items()}})


def _from_twins(value: Any, twins: Twins) -> Any:
    if isinstance(value, list):
        return [_from_twins(ref, twins) for ref in value]
    return Ref(twins[value.node], value.field) if value.node in twins else value
