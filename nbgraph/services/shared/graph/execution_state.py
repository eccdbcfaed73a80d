"""A session: one execution of a graph. It hands out prepared nodes, takes their outputs, and can be saved half way."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Literal, get_args
from uuid import uuid4

from nbgraph.errors import ChoiceError, IterationLimitError
from nbgraph.gc_pause import gc_pause
from nbgraph.invocations.base import BaseInvocationOutput
from nbgraph.invocations.control_flow import IterateOutput
from nbgraph.invocations.types import JsonObject, JsonValue, NodeValue
from nbgraph.services.shared.graph.dispatcher import Dispatcher
from nbgraph.services.shared.graph.expand import expand, exposed_outputs
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.plan import (
    Key,
    Path,
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

Status = Literal["pending", "running", "completed", "failed", "cancelled"]
OnError = Literal["stop", "continue"]
MAX_ITERATIONS = 1_000_000


class GraphExecutionState:
    """One execution of a graph: `next()` claims a prepared node, `complete()` or `fail()` records what became of it.

    A saved session continues where it was, and a session can be extended; what has finished is never run again. Later
    edits of the graph and assignments to its nodes do not reach the session: see `graph_snapshot()`. One thread drives
    a session; others may read `status`, `outputs_of()` and the like meanwhile.

    Parameters
    ----------
    graph
        The graph to run, validated before; the session keeps a copy.
    id
        The id of the session; a new one by default.
    targets
        Ids of nodes; only these and what they need are run. All nodes by default.
    on_error
        "stop" ends the session at the first failure; "continue" runs all that does not depend on it.
    strict
        Whether nodes that could be invoked together are invoked one by one all the same.
    max_iterations
        The largest number of paths at which a node may run; more raise `IterationLimitError`.

    Raises
    ------
    ChoiceError
        `on_error` is another word.
    NotFoundError
        A target is not in the graph.

    Examples
    --------
    >>> from nbgraph.invocations import Add
    >>> session = GraphExecutionState(Graph.of(Add(id="sum", a=1, b=2)))
    >>> prepared = session.next()
    >>> session.complete(prepared, prepared.planned.node.invoke(None))
    >>> session.status, session.outputs_of("sum")[()].value
    ('completed', 3)
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
        self.on_error: OnError = on_error
        self.strict = strict
        self.max_iterations = max_iterations
        self.cancelled = False
        self.errors: dict[str, str] = {}
        self.seeds: dict[Key, dict[str, int]] = {}
        self.outputs: dict[Key, BaseInvocationOutput] = {}
        self._failed: set[Key] = set()
        self._compile(graph, None if targets is None else [graph.id_of(target) for target in targets])
        self._start()

    def next(self) -> Prepared | None:
        """Claim the next prepared node.

        Returns
        -------
        Prepared | None
            None if there is none now: all are done, the session has stopped, or the rest waits for claimed nodes.

        Raises
        ------
        IterationLimitError
            A list is too long; the session has failed then.
        """
        try:
            if self.cancelled or self.errors:
                return self._next_of_stopped()
            return self._dispatcher.next()
        except IterationLimitError as refused:
            self.errors.update({problem.node or "": problem.message for problem in refused.problems})
            raise

    def _next_of_stopped(self) -> Prepared | None:
        """Claim the next node after a cancel, a failure or a refusal, if failures do not stop the session."""
        if self._dispatcher.refused is not None:
            raise self._dispatcher.refused
        return None if self.cancelled or self.on_error == "stop" else self._dispatcher.next()

    def complete(self, prepared: Prepared, output: BaseInvocationOutput) -> None:
        """Record the output of a claimed node."""
        self.outputs[prepared.key] = output
        self._dispatcher.done(prepared.key)

    def fail(self, prepared: Prepared, error: str) -> None:
        """Record that a claimed node failed; `error` is text, because an exception would keep its tensors alive."""
        self.errors[prepared.id] = error
        self._failed.add(prepared.key)
        self._dispatcher.failed(prepared.key)

    def release(self, prepared: Prepared) -> None:
        """Return a claimed node undone; it is the next to be handed out."""
        self._dispatcher.release(prepared)

    def recall(self, outputs: Mapping[Key, BaseInvocationOutput], keys: PreparedKeys) -> None:
        """Take over all results of a completed session of the same plan; this one, which has not begun, is complete."""
        self.keys.take_over(keys)
        self.outputs.update(outputs)
        self._dispatcher.end()

    def expects(self, planned: PlannedNode) -> bool:
        """Return whether more prepared nodes of a source node may be handed out; if False, there are none."""
        return self._dispatcher.expects(planned)

    def cancel(self) -> None:
        """Hand out no more nodes; what has finished is kept."""
        self.cancelled = True

    def resume(self) -> None:
        """Undo a cancel and forget errors: what was claimed, failed or skipped is tried again, nothing else."""
        self.cancelled = False
        self.errors, self._failed = {}, set()  # not cleared: a stored copy shares them
        self._start()

    def adopt_end(self, errors: Mapping[str, str], failed: Collection[Key]) -> None:
        """Record how this session ended in another process; its outputs and seeds have been stored here before.

        Parameters
        ----------
        errors
            Messages by prepared node, or by what else could not run.
        failed
            The keys of the prepared nodes that failed.
        """
        self.errors = {**self.errors, **errors}
        self._failed = {*self._failed, *failed}
        self._start()

    def extend(self, graph: Graph, targets: Sequence[str] | None = None) -> None:
        """Continue with a larger graph; what is claimed is claimed no longer.

        Parameters
        ----------
        graph
            A graph with every node that has run, unchanged.
        targets
            As for the session, in addition to what has run.

        Raises
        ------
        GraphError
            The graph is not valid, or lacks or changes a node that has run. The session is as before then.
        NotFoundError
            A target is not in the graph. The session is as before then.
        """
        before, keys = self.plan, self.keys
        ran = list(dict.fromkeys(before.nodes[keys.place(key)[0]].id for key in (*self.outputs, *self._failed)))
        refuse_changes(expand(self.graph_snapshot()), expand(graph.validate()), ran)
        self._compile(graph, None if targets is None else [*(graph.id_of(target) for target in targets), *ran])

        def renamed(key: Key) -> Key:
            rank, path = place_after(*keys.place(key), before, self.plan)
            return self.keys.begin(path) + rank

        self.outputs = {renamed(key): output for key, output in self.outputs.items()}
        self._failed = {renamed(key) for key in self._failed}
        self.seeds = {renamed(key): drawn for key, drawn in self.seeds.items()}
        self._start()

    @property
    def claimed(self) -> Collection[Key]:
        """The keys of nodes handed out and not done; the same object until `resume()` or `extend()`."""
        return self._dispatcher.claimed

    @property
    def status(self) -> Status:
        """The state of the session; after an error with `on_error="continue"`, "failed" only once all is done."""
        if self._dispatcher.refused or (self.errors and (self.on_error == "stop" or self.is_complete)):
            return "failed"
        if self.is_complete:
            return "completed"
        if self.cancelled:
            return "cancelled"
        return "running" if self.outputs or self._dispatcher.running else "pending"

    @property
    def is_complete(self) -> bool:
        """True once every prepared node has run, was skipped, or failed."""
        return self._dispatcher.is_done

    @property
    def skipped(self) -> dict[str, str]:
        """The ids of prepared nodes that will not run, each with the reason: branch not taken, or input missing."""
        return self._dispatcher.skipped

    def __len__(self) -> int:
        """Return the number of prepared nodes that have finished."""
        return len(self.outputs)

    def graph_snapshot(self) -> Graph:
        """Return the graph with the values that this session runs on; `graph` has the nodes as they are now."""
        originals = self._snapshot.originals(self.graph)
        return self.graph.replaced(originals) if originals else self.graph

    def results(self) -> Iterator[tuple[Prepared, BaseInvocationOutput]]:
        """Iterate over the finished prepared nodes and their outputs, in the order they finished."""
        for key, output in list(self.outputs.items()):
            rank, path = self.keys.place(key)
            planned = self.plan.nodes[rank]
            yield Prepared(planned, path, key, prepared_id(planned.id, path)), output

    def outputs_of(self, node_id: str) -> dict[Path, BaseInvocationOutput]:
        """Return the outputs of a source node by path, in path order; empty if there are none, or no such node.

        The output of a graph node has those of the exposed outputs that exist.
        """
        if node_id in self.expanded.outlets:
            return exposed_outputs(self.expanded.outlets[node_id], self.plan, self.outputs_of, self.why_missing)
        rank = self.plan.ranks.get(node_id)
        if rank is None:
            return {}
        if not self.plan.nodes[rank].axes:
            return {(): self.outputs[rank]} if rank in self.outputs else {}
        found = {path: self.outputs[key] for path, key in self.keys.of_node(rank) if key in self.outputs}
        return dict(sorted(found.items()))

    def why_missing(self, node_id: str, path: Path = ()) -> str:
        """Return why a source node, or all inside a graph node, gave nothing at a path; "" if it may still run."""
        name = prepared_id(node_id, path)
        if reason := self.errors.get(name) or self.skipped.get(name):
            return reason
        inner = self.expanded.inner_ids(node_id) if node_id in self.expanded.outlets else []
        reasons = {source: self.why_missing(source, path) for source in inner}
        return "; ".join(f"{source}: {reason}" for source, reason in reasons.items() if reason)

    def arriving(self, prepared: Prepared) -> dict[str, NodeValue]:
        """Return the values that arrive over edges, by input; an open seed is drawn and recorded."""
        return self._dispatcher.inputs.arriving(prepared)

    def inputs(self, prepared: Prepared) -> dict[str, NodeValue]:
        """Return all values that a prepared node runs on: typed ones, replaced by those that arrive."""
        return self._dispatcher.inputs.values(prepared)

    def iterate_output(self, prepared: Prepared) -> IterateOutput:
        """Return the output of a prepared iterate node: its item, the index of the item, the length of the list."""
        assert prepared.planned.axis is not None
        return self.item(prepared.planned.axis, prepared.path)

    def item(self, axis: int, path: Path) -> IterateOutput:
        """Return the output of the iterate node of an axis at a path."""
        return self._dispatcher.inputs.item(axis, path)

    def source_keys(self, prepared: Prepared) -> list[Key]:
        """Return the keys of all that arrives at a prepared node, item by item."""
        return self._dispatcher.inputs.source_keys(prepared)

    def to_dict(self) -> JsonObject:
        """Return the session as JSON-able values. What is claimed counts as not run.

        Raises
        ------
        GraphError
            An output cannot be saved as JSON; all of them are named.
        """
        saved = SavedSession(
            id=self.id,
            graph=None,
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
        # the graph is JSON-able already; within the model every value of it would be looked at twice more
        return {**saved, "graph": self.graph_snapshot().to_dict()}

    @classmethod
    def from_dict(cls, data: JsonValue) -> "GraphExecutionState":
        """Return the session in values read from JSON; it continues where it was.

        Raises
        ------
        GraphError
            The values are not those of a session.
        """
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
        session.outputs = load_outputs(session.plan, session.keys, session.expanded, saved.outputs)
        session.seeds = by_key(session.plan, session.keys, saved.seeds)
        session.errors = saved.errors
        session._failed = set(by_key(session.plan, session.keys, saved.failed))
        session._start()
        return session

    def _compile(self, graph: Graph, targets: list[str] | None) -> None:
        """Take a copy of the graph and plan it; nothing is changed if that fails."""
        with gc_pause():
            compiled = graph.compiled()
            plan = compiled.plan(targets)
            graph = graph.copy()
        self._snapshot = compiled.snapshot
        self.graph, self.targets, self.expanded, self.plan = graph, targets, compiled.expanded, plan
        self.keys = PreparedKeys(len(plan.nodes))

    def _start(self) -> None:
        """Continue from what has finished and what has failed; nothing is claimed."""
        self._dispatcher = Dispatcher(self.plan, self.keys, self.outputs, self.seeds, self._failed, self.max_iterations)


def depth_first(session: GraphExecutionState) -> Iterator[tuple[Prepared, BaseInvocationOutput]]:
    """Iterate over finished prepared nodes and their outputs in depth-first order, also where nodes ran together.

    A second session replays the outputs; nothing is run.
    """
    outputs = {(prepared.planned.rank, prepared.path): output for prepared, output in session.results()}
    replay = GraphExecutionState(
        session.graph_snapshot(), targets=session.targets, on_error="continue", max_iterations=2**62
    )
    while outputs and (prepared := replay.next()) is not None:
        output = outputs.pop((prepared.planned.rank, prepared.path), None)
        if output is None:
            replay.fail(prepared, "it has not finished")
        else:
            replay.complete(prepared, output)
            yield prepared, output
