"""The run loop: one session, node by node.

**Policy.** The session hands out prepared nodes in its order, one at a time; each is run to its end before the next is
asked for. The loop ends when the session has nothing more to hand out: all is done, a node failed (with
`on_error="stop"`), or it was cancelled, which is checked before each node. An exception of a node never leaves the
loop: it is stored as text at the node and in `failures`, because the exception itself would keep tensors alive.

**Steps.** Each prepared node goes through four steps; listeners are informed by events:

    _inputs    all values, typed or arriving by edges, and the cache key made from them
    cache.get  the entry of that key, if there is one that is still valid
    _invoke    otherwise: NodeStarted; validate, `node.invoke(context)`, _save the result under the key
    _record    the output goes to the session and its journal, a row to the stats; NodeCompleted

**State.** Beside the session: `_heads`, the beginning of the cache keys of each node type, hashed when the run begins,
so that all keys describe the code at that moment; `_origins`, for each prepared node, the cache keys that stand for its
result as a source of others. Pending cache entries are written every `MAINTAIN_EVERY` nodes, many at a time.

**Example.** `total` has an input from `first`, and ran before with the same `first`:

    first   _inputs {a: 1, b: 2}, key k1   cache.get: none   _invoke 3, saved as k1              _record
    total   _inputs {a: 3, b: 5}, key k2   cache.get: 8, made from k1                       _record

Whatever can be computed once per class is in `NodeType`, so that nodes of a few microseconds do not pay for it. The
only bypass of pydantic, for values of exact types, is explained in `nbgraph/invocations/exact.py`.
"""

import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from itertools import chain, repeat
from time import perf_counter, time
from typing import Any

from msgspec import Struct

from nbgraph.errors import CancelledError, GraphError, NodeError, Problem
from nbgraph.gc_pause import GcFreeze
from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput
from nbgraph.invocations.fields import ResourceField
from nbgraph.invocations.node_type import KeyHead, NodeType, node_type_of
from nbgraph.invocations.valid import holding, twin, validated
from nbgraph.services.events.events_common import (
    NodeCompleted,
    NodeFailed,
    NodeStarted,
    SessionFinished,
    SessionStarted,
)
from nbgraph.services.invocation_cache.code_hash import code_of
from nbgraph.services.invocation_cache.code_record import describe_code
from nbgraph.services.invocation_cache.contents import Contents
from nbgraph.services.invocation_cache.invocation_cache_common import CacheEntry
from nbgraph.services.invocation_cache.kept_runs import PUT_TOGETHER
from nbgraph.services.invocation_processor.defensive_copies import copy_inputs, kept_output
from nbgraph.services.invocation_processor.error_texts import is_out_of_memory, message_of, traceback_of
from nbgraph.services.invocation_processor.node_context import NodeContext, take_less_memory
from nbgraph.services.invocation_processor.own_frames import place_of
from nbgraph.services.invocation_processor.preflight import preflight
from nbgraph.services.invocation_stats.invocation_stats_common import CANCELLED, COMPLETED, FAILED
from nbgraph.services.invocation_stats.probe import QUICK
from nbgraph.services.neighbours import Services
from nbgraph.services.shared.graph.execution_state import GraphExecutionState, Prepared
from nbgraph.services.shared.graph.plan import Key
from nbgraph.texts import value_text

MAINTAIN_EVERY = 64
Origin = tuple[bytes, ...]


class NodeInputs(Struct, gc=False):
    """All values of a prepared node, and whether they need no validation.

    `key` is the cache key of its result, None if results of this node are not cached; `key_end` is the part made from
    the inputs.
    """

    values: dict[str, Any]
    are_exact: bool
    key: bytes | None = None
    key_end: bytes = b""


class SessionRunner:
    """Run a session to its end, its first error, or its cancellation.

    Parameters
    ----------
    session : The session to run; nodes that have finished are not run again.
    services : The container.
    is_cancelled : Asked before each node, and by nodes that take long.
    """

    def __init__(self, session: GraphExecutionState, services: Services, is_cancelled: Callable[[], bool]) -> None:
        self.session = session
        self.failures: list[NodeError] = []
        self.ran_out_of_memory = False
        self._services = services
        self._cache = services.invocation_cache
        self._is_cancelled = is_cancelled
        self._events = services.events
        self._notify = services.events.dispatch
        self._probe = services.performance_statistics.probe(session.id)
        self._log = self._probe.log
        self._journal = services.graph_execution_manager.journal(session)
        self._contents = Contents(_content_of(services), services.model_manager.content)
        self._heads: dict[NodeType, KeyHead] = {}
        self._origins: dict[Key, Origin] = {}
        self._began = time()
        self._freeze, self._due_at = GcFreeze(), len(session.outputs) + MAINTAIN_EVERY

    def run(self, *, is_checked: bool = True) -> str:
        """Run what is left of the session; return its status.

        Raises
        ------
        IterationLimitError : A list is too long.
        GraphError : The session was not checked before (`is_checked`), and cannot run.
        """
        with self.running(is_checked=is_checked):
            self._run_nodes()
        return self.session.status

    @contextmanager
    def running(self, *, is_checked: bool = True) -> Generator[None]:
        """Send that the session starts and ends, check it, and store what is pending after the block."""
        self._began = time()
        self._hash_code()
        self._notify(SessionStarted(self.session.id, len(self.session.plan.nodes), self._log))
        status = "failed"
        try:
            if not is_checked:
                self._check()
            try:
                with self._freeze:
                    yield
            finally:
                self._flush()
            status = self.session.status
        finally:
            self._notify(SessionFinished(self.session.id, status))

    def _check(self) -> None:
        context = NodeContext(self._services, self.session.id, self._is_cancelled)
        try:
            preflight(self.session, context, lambda field: "")  # resources were checked at submission
        except CancelledError:
            self.session.cancel()
        except GraphError as refused:
            for problem in refused.problems:
                self._refuse(problem)
            raise

    def _refuse(self, problem: Problem) -> None:
        """Record at a node, or at the graph, why the session cannot run, and send `NodeFailed`."""
        node = problem.node or ""
        self.session.errors.setdefault(node or "graph", str(problem))
        if (rank := self.session.plan.ranks.get(node)) is not None:
            type_name = self.session.plan.nodes[rank].node_type.name
            self._notify(NodeFailed(self.session.id, node, node, type_name, str(problem)))

    def _flush(self) -> None:
        self._probe.flush()
        if self._journal is not None:
            self._journal.flush()
        self._cache.write_pending()
        self._discard_uncertain()

    def _hash_code(self) -> None:
        """Hash the code of all nodes as it is now."""
        for cls, node_type in self.session.plan.node_types.items():
            with suppress(Exception):  # the first node of the class meets the error, and fails
                self._head(cls, node_type)

    def _head(self, cls: type[BaseInvocation], node_type: NodeType) -> KeyHead:
        head = self._heads.get(node_type)
        if head is None:
            head = self._heads[node_type] = node_type_of(cls).key_head(code_of(cls))
        return head

    def _discard_uncertain(self) -> None:
        """Discard results of users' nodes whose code changed during the run: they may come from either version."""
        changes: dict[str, str] = {}
        for node_type, head in self._heads.items():
            if node_type.is_foreign and (code := code_of(node_type.cls)) is not head.code:
                changes[node_type.name] = describe_code(head.code.parts, code.parts)
        if changes:
            made = map(self._cache.peek, set(chain.from_iterable(self._origins.values())))
            for entry in made:
                if entry is not None and entry.type in changes and entry.created >= self._began:
                    self._cache.discard(entry, f"{changes[entry.type]} while it ran, so its result was not kept")

    # the loop

    def _run_nodes(self) -> None:
        session, is_cancelled = self.session, self._is_cancelled
        if self._recall():
            return
        while True:
            if is_cancelled():
                session.cancel()
            prepared = session.next()
            if prepared is None:
                self._cache.runs.keep(session, self._heads, self._origins, self._log.rows)
                return
            self._run_node(prepared)
            if len(session.outputs) >= self._due_at:
                self._maintain()

    def _run_node(self, prepared: Prepared) -> None:
        """Run one prepared node to its result, failure or cancellation."""
        entry = None
        began = self._probe.start()
        try:
            if prepared.planned.axis is not None:
                output, origin = self._item(prepared)
            else:
                inputs = self._inputs(prepared)
                entry = None if inputs.key is None else self._cache.get(inputs.key)
                if entry is None:
                    output, origin = self._invoke(prepared, inputs)
                else:
                    output, origin = entry.output, (entry.key,)
        except CancelledError:
            self._release(prepared, began)
        except BaseException as error:
            self._fail(prepared, began, error)
        else:
            self._record(prepared, began, output, origin, entry is not None)

    def _item(self, prepared: Prepared) -> tuple[BaseInvocationOutput, Origin]:
        """Take the item of an iterate node out of its list. Items are not cached, and have no `NodeStarted`."""
        origin = self._origin(prepared) if prepared.planned.inputs else ()
        return self.session.iterate_output(prepared), origin

    def _inputs(self, prepared: Prepared) -> NodeInputs:
        planned = prepared.planned
        node_type = planned.node_type
        head = self._heads.get(node_type) or self._head(type(planned.node), node_type)
        values = self.session.inputs(prepared)
        picked = node_type.pick(values)
        are_exact = [*map(type, picked)] == node_type.exact
        if not head.keeps(values["use_cache"]):
            return NodeInputs(values, are_exact)
        key, key_end = self._contents.key(head, picked, are_exact)
        return NodeInputs(values, are_exact, key, key_end)

    def _invoke(self, prepared: Prepared, inputs: NodeInputs) -> tuple[BaseInvocationOutput, Origin]:
        planned = prepared.planned
        node_type, cls = planned.node_type, type(planned.node)
        self._start(prepared)
        began = perf_counter()
        if node_type.is_foreign:
            copy_inputs(inputs.values)
        if inputs.are_exact:
            runnable = holding(cls, inputs.values, node_type.field_names)
        else:
            runnable = validated(cls, inputs.values)
        # each node has its own context, so that what it reports later, from a thread, is attributed to it
        context = NodeContext(self._services, self.session.id, self._is_cancelled, planned, prepared.path)
        output = self._output(runnable, context)
        if type(output) is not node_type.output_class or node_type.copies_output:
            output = kept_output(output, node_type)
        return output, self._save(prepared, inputs, output, perf_counter() - began)

    def _output(self, runnable: BaseInvocation, context: NodeContext) -> BaseInvocationOutput:
        """Run a node; once more if memory of the device ran out, and its models can take less of it."""
        try:
            return runnable.invoke(context)
        except Exception as error:
            if not (changed := take_less_memory(error, context)):
                raise
        # outside of the handler, where the error and its frames are gone
        self.free_memory()
        context.warn(f"the device ran out of memory; the node runs again with {changed}")
        return runnable.invoke(context)

    def _start(self, prepared: Prepared) -> None:
        log, planned = self._log, prepared.planned
        log.node, log.source = prepared.id, planned.id
        if log.reports_steps or self._events.hears_nodes:
            self._notify(NodeStarted(self.session.id, prepared.id, planned.id, planned.node_type.name))

    def _save(self, prepared: Prepared, inputs: NodeInputs, output: BaseInvocationOutput, seconds: float) -> Origin:
        """Save a result if it is cached; return the keys that results made from it record as their sources."""
        node_type, key, origin = prepared.planned.node_type, inputs.key, self._origin(prepared)
        if key is None:
            return origin
        head = self._heads[node_type].text
        entry = CacheEntry(key, prepared.id, node_type.name, head, inputs.key_end, origin, seconds, output=output)
        self._cache.save(entry, may_wait=seconds < QUICK and not node_type.names_resources)
        return (key,)

    def _record(
        self, prepared: Prepared, began: float, output: BaseInvocationOutput, origin: Origin, cached: bool
    ) -> None:
        planned, session, node = prepared.planned, self.session, prepared.id
        self._origins[prepared.key] = origin
        session.complete(prepared, output)
        if self._journal is not None:
            self._journal.completed(prepared, output)
        name = planned.node_type.name
        seed = self._seed(prepared) if planned.node_type.seeds else None
        seconds = self._probe.finish(began, node, planned.id, name, prepared.path, COMPLETED, cached, seed)
        self._log.source = ""
        if self._log.reports_steps or self._events.hears_nodes:
            self._announce(prepared, output, cached, seconds)

    def _announce(self, prepared: Prepared, output: BaseInvocationOutput, cached: bool, seconds: float) -> None:
        planned, self._log.reports_steps = prepared.planned, False
        name = planned.node_type.name
        self._notify(NodeCompleted(self.session.id, prepared.id, planned.id, name, output, cached, seconds))

    def _origin(self, prepared: Prepared) -> Origin:
        """Return the cache keys of the results that a node's inputs came from, looking through uncached nodes."""
        planned = prepared.planned
        if len(planned.inputs) == 1 and planned.node_type.is_direct and planned.inputs[0].keep is None:
            return self._origins.get(prepared.key - planned.rank + planned.inputs[0].parent, ())
        keys = self.session.source_keys(prepared)
        return tuple(dict.fromkeys(chain.from_iterable(map(self._origins.get, keys, repeat(())))))

    def _seed(self, prepared: Prepared) -> int | None:
        return next(iter(self.session.seeds.get(prepared.key, {}).values()), None)

    def _maintain(self) -> None:
        """Do the upkeep that many quick nodes share, and set the number of outputs at which it is next due."""
        self._cache.write_pending()
        self._freeze.renew()
        self._due_at = len(self.session.outputs) + MAINTAIN_EVERY

    def _recall(self) -> bool:
        """Answer from a kept run, if nothing has changed since and all its results are still cached."""
        session, began = self.session, perf_counter()
        kept = self._cache.runs.get(session.plan)
        if kept is None or self._is_cancelled() or not kept.is_answer(session, self._heads):
            return False
        if not self._cache.get_all(*kept.cached):
            return False
        session.recall(kept.outputs, kept.keys)
        self._probe.recall(kept.rows, began, PUT_TOGETHER)
        if self._journal is not None or self._events.hears_nodes:
            for (prepared, output), row in zip(session.results(), self._log.rows):
                if self._journal is not None:
                    self._journal.completed(prepared, output)
                if self._events.hears_nodes:
                    self._announce(prepared, output, row.cached, row.seconds)
        return True

    # cancellation and failures

    def _release(self, prepared: Prepared, began: float) -> None:
        """Give back a node that was cancelled while it ran, and end the session."""
        planned = prepared.planned
        self.session.release(prepared)
        self.session.cancel()
        name, seed = planned.node_type.name, self._seed(prepared)
        self._probe.finish(began, prepared.id, planned.id, name, prepared.path, CANCELLED, False, seed)

    def _fail(self, prepared: Prepared, began: float, error: BaseException) -> None:
        """Record a failure as text, and clear the frames of the exception, which would keep tensors alive."""
        planned, path, node = prepared.planned, prepared.path, prepared.id
        source, type_name = planned.id, planned.node_type.name
        message = message_of(error, planned.node, self._services.model_manager)
        text = traceback_of(error)
        place = place_of(error)
        traceback.clear_frames(error.__traceback__)
        failure = NodeError(node, type_name, message, self._inputs_as_text(prepared), text, place)
        self.failures.append(failure)
        self.session.fail(prepared, message)
        if self._journal is not None:
            self._journal.failed(prepared, message)
        self._probe.finish(began, node, source, type_name, path, FAILED, False, self._seed(prepared), message)
        if is_out_of_memory(error):
            self.ran_out_of_memory = True
            error.__traceback__ = None
            self.free_memory()
        self._log.source = ""
        self._notify(NodeFailed(self.session.id, node, source, type_name, message, place))

    def free_memory(self) -> None:
        GcFreeze.suspend()
        self._services.model_manager.free_memory()

    def _inputs_as_text(self, prepared: Prepared) -> dict[str, str]:
        try:
            arriving = {} if prepared.planned.axis is not None else self.session.arriving(prepared)
        except KeyError:
            arriving = {}
        planned = prepared.planned
        values = {**twin(planned.node, planned.values).literals(), **arriving}
        return {name: value_text(value, 60) for name, value in values.items()}


def _content_of(services: Services) -> Callable[[ResourceField], str]:
    """Return a function from a resource to its content. It must not refer to the runner: that would be a cycle."""
    images, latents = services.images, services.latents
    return lambda field: (images if field.kind == "image" else latents).content(field.resource_name)
