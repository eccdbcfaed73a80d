"""The run loop: one session, node by node. For each prepared node: inputs, key, cache or invoke, stats, events.

Everything this loop costs is paid once for each prepared node, so what can be known of a class is in its `NodeType`.
"""

import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import chain, repeat
from time import perf_counter, time
from typing import Any

from pydantic import ValidationError

from nbgraph.errors import CancelledError, GraphError, NbgraphError, NodeError, Problem
from nbgraph.invocations.base import BaseInvocation, node_type_of, validated
from nbgraph.invocations.fields import ResourceField
from nbgraph.invocations.input_problems import input_problems
from nbgraph.invocations.node_type import KeyHead, NodeType
from nbgraph.invocations.valid import make_valid, set_values, twin
from nbgraph.services.events.events_common import (
    NodeCompleted,
    NodeFailed,
    NodeStarted,
    SessionFinished,
    SessionStarted,
)
from nbgraph.services.invocation_cache.code_hash import code_of, describe_code
from nbgraph.services.invocation_cache.contents import Contents
from nbgraph.services.invocation_cache.invocation_cache_common import CacheEntry
from nbgraph.services.invocation_processor.collector_relief import CollectorRelief
from nbgraph.services.invocation_processor.defensive_copies import copy_inputs, kept_output
from nbgraph.services.invocation_processor.node_context import NodeContext
from nbgraph.services.invocation_processor.out_of_memory import is_out_of_memory, out_of_memory_message
from nbgraph.services.invocation_processor.own_frames import place_of
from nbgraph.services.invocation_processor.preflight import preflight
from nbgraph.services.invocation_stats.invocation_stats_base import QUICK
from nbgraph.services.invocation_stats.invocation_stats_common import CANCELLED, COMPLETED, FAILED
from nbgraph.services.shared.graph.execution_state import GraphExecutionState, Prepared
from nbgraph.services.shared.graph.plan import Key, Path, PathRun, PlannedNode, prepared_id
from nbgraph.texts import value_text

BREATH_EVERY = 64
ERROR_TEXT_LIMIT = 64 * 1024


class SessionRunner:
    """Runs a session to its end, its first error, or its cancellation."""

    def __init__(self, session: GraphExecutionState, services: Any, is_cancelled: Callable[[], bool]) -> None:
        self.session = session
        self.failures: list[NodeError] = []
        self._services = services
        self._cache = services.invocation_cache
        self._is_cancelled = is_cancelled
        self._next, self._straight = session.next, session.straight
        self._tell = services.events.dispatch
        self._probe = services.performance_statistics.probe(session.id)
        self._journal = services.graph_execution_manager.journal(session)
        self._shared_context = NodeContext(services, session.id, is_cancelled)
        self._contents = Contents(_content_of(services), services.model_manager.content)
        self._heads: dict[NodeType, KeyHead] = {}
        self._began = time()
        self._at_hand: dict[NodeType, BaseInvocation] = {}
        self._relief, self._due_at = CollectorRelief(), len(session.outputs) + BREATH_EVERY
        self._origins: dict[Key, tuple[bytes, ...]] = {}

    def run(self, *, is_checked: bool = True) -> str:
        """Run what is left of the session; returns its status. Never raises for what a node does.

        `IterationLimitError` if a list turned out too long; `GraphError` if it was not `is_checked` and cannot run.
        """
        self._began = time()
        self._hash_code()
        self._tell(SessionStarted(self.session.id, len(self.session.plan.nodes)))
        status = "failed"
        try:
            if not is_checked:
                self._check()
            self._run_and_flush()
            status = self.session.status
        finally:
            self._next, self._straight = self.session.next, self.session.straight  # no cycle keeps the session
            self._tell(SessionFinished(self.session.id, status))
        return status

    def _check(self) -> None:
        try:
            preflight(self.session, self._shared_context, lambda field: "")  # these were looked at before
        except CancelledError:
            self.session.cancel()
        except GraphError as refused:
            for problem in refused.problems:
                self._refuse(problem)
            raise

    def _refuse(self, problem: Problem) -> None:
        """Show at a node why the session cannot run."""
        node = problem.node or ""
        self.session.errors.setdefault(node or "graph", str(problem))
        if (rank := self.session.plan.ranks.get(node)) is not None:
            type_name = self.session.plan.nodes[rank].node_type.name
            self._tell(NodeFailed(self.session.id, node, node, type_name, str(problem)))

    def _run_and_flush(self) -> None:
        try:
            with self._relief:
                self._run_nodes()
        finally:
            self._probe.flush()
            if self._journal is not None:
                self._journal.flush()
            self._cache.settle()
            self._discard_uncertain()

    def _hash_code(self) -> None:
        """Hash the code of all nodes as it is now, so that keys are of one moment, whatever changes during the run."""
        for cls, node_type in self.session.plan.node_types.items():
            with suppress(Exception):  # the first node of the class meets the error, and fails
                self._heads[node_type] = node_type_of(cls).key_head(code_of(cls))

    def _discard_uncertain(self) -> None:
        """Discard results of a person's own nodes whose code changed meanwhile: of the old code, or of the new one."""
        changes: dict[str, str] = {}
        for node_type, head in self._heads.items():
            if node_type.is_foreign and (code := code_of(node_type.cls)) is not head.code:
                changes[node_type.name] = describe_code(head.code.parts, code.parts)
        if changes:
            made = map(self._cache.peek, set(chain.from_iterable(self._origins.values())))
            for entry in made:
                if entry is not None and entry.type in changes and entry.created >= self._began:
                    self._cache.discard(entry, f"{changes[entry.type]} while it ran, so its result was not kept")

    def _run_nodes(self) -> None:
        while True:
            self._run_each(self._straight())
            prepared = self._next()
            if prepared is None:
                return
            self._run_node(prepared)

    def _run_node(self, prepared: Prepared) -> None:
        self._run_each([(prepared.path, (prepared.planned,))])

    def _run_each(self, runs: Iterable[PathRun]) -> None:
        """Run nodes one after the other, up to a failure or a cancel.

        What every node pays for stands in this one function: of some microseconds a node, calls would take the most.
        """
        session, heads, services, is_cancelled = self.session, self._heads, self._services, self._is_cancelled
        shared_context = self._shared_context
        session_id, tell, outputs, claimed, keys = (
            session.id,
            self._tell,
            session.outputs,
            session.claimed,
            session.keys,
        )
        key_of, get, save, pending, origins = (
            self._contents.key,
            self._cache.get,
            self._cache.save,
            self._cache.pending,
            self._origins,
        )
        probe, models, journal, note = self._probe, self._probe.models, self._journal, self._probe.rows.append
        meters, uses, unchanged, at_hand = models.meters, probe.uses, probe.unchanged, self._at_hand
        for path, nodes in runs:
            if len(outputs) >= self._due_at:
                self._breathe()
            place, first = prepared_id("", path), keys.begin(path)
            for planned in nodes:
                if is_cancelled() or session.cancelled:
                    self._cancel(keys.prepared(planned, path))
                    return
                node_type, source = planned.node_type, planned.id
                key = first + planned.rank if first else planned.rank
                node, type_name, cache_key, entry = source + place, node_type.name, None, None
                began = perf_counter() if meters is None else probe.start()
                try:
                    if planned.axis is not None:
                        output, seconds = session.item(planned.axis, path), 0.0
                        origin = self._sources(planned, path[:-1]) if planned.inputs else ()
                    else:
                        head = heads.get(node_type) or self._head(planned)
                        if node_type.is_direct:
                            values = planned.values.copy()
                            for edge in planned.inputs:
                                arriving = first + edge.parent if edge.keep is None else keys.source(edge, path)
                                values[edge.field] = outputs[arriving].__dict__[edge.output]
                        else:
                            values = session.inputs(keys.prepared(planned, path))
                        picked = node_type.pick(values)
                        is_exact = [*map(type, picked)] == node_type.exact
                        if head.keeps(values["use_cache"]):
                            cache_key, inputs = key_of(head, picked, is_exact)
                            entry = get(cache_key)
                        if entry is not None:
                            output, origin, seconds = entry.output, (entry.key,), perf_counter() - began
                        else:
                            tell(NodeStarted(session_id, node, source, type_name))
                            if node_type.is_foreign:
                                copy_inputs(values)
                            is_reusable = is_exact and not (node_type.names_resources or node_type.is_foreign)
                            if not is_exact:
                                runnable = validated(type(planned.node), values)
                            elif (runnable := at_hand.get(node_type)) is not None:
                                set_values(runnable, values)
                            else:
                                runnable = make_valid(type(planned.node), values, node_type.field_names)
                                if is_reusable:
                                    at_hand[node_type] = runnable
                            if is_reusable:
                                context = shared_context
                                context.planned, context.path = planned, path
                            else:
                                context = NodeContext(services, session_id, is_cancelled, planned, path)
                            output = runnable.invoke(context)
                            runnable = None  # nor does it stay where it fails: it may hold much
                            is_usual = type(output) is node_type.output_class and not node_type.copies_output
                            if not is_usual:
                                output = kept_output(output, node_type)
                            seconds = perf_counter() - began
                            from_one = node_type.is_direct and len(planned.inputs) == 1
                            origin = origins.get(arriving, ()) if from_one else self._sources(planned, path)
                            if cache_key is not None:
                                fresh = CacheEntry(
                                    cache_key, node, type_name, head.text, inputs, origin, seconds, output=output
                                )
                                origin = (cache_key,)
                                if seconds < QUICK and is_usual and not node_type.names_resources:
                                    pending[cache_key] = fresh
                                else:
                                    save(fresh)
                except CancelledError:
                    self._cancel(keys.prepared(planned, path))
                    probe.finish(began, node, source, type_name, path, CANCELLED, False, self._seed(key))
                    return
                except BaseException as error:
                    runnable = None
                    self._fail(keys.prepared(planned, path), began, error)
                    return
                origins[key] = origin
                if claimed:
                    session.complete(keys.prepared(planned, path), output)
                else:
                    outputs[key] = output
                if journal is not None:
                    journal.completed(keys.prepared(planned, path), output)
                cached = entry is not None
                seed = self._seed(key) if node_type.seeds else None
                if seconds < QUICK and meters is None and models.uses == uses:
                    note((node, source, type_name, path, COMPLETED, cached, began, seconds, unchanged, seed, ""))
                else:
                    seconds = probe.finish(began, node, source, type_name, path, COMPLETED, cached, seed)
                    meters, uses, unchanged = models.meters, probe.uses, probe.unchanged
                tell(NodeCompleted(session_id, node, source, type_name, output, cached, seconds))

    def _breathe(self) -> None:
        """Do what is done once for many quick nodes, and note how many have run when it is due again."""
        self._cache.settle()
        self._relief.renew()
        if len(self._probe.rows) >= self._probe.BATCH:
            self._probe.flush()
        self._due_at = len(self.session.outputs) + BREATH_EVERY

    def _cancel(self, prepared: Prepared) -> None:
        self.session.release(prepared)
        self.session.cancel()

    def _head(self, planned: PlannedNode) -> KeyHead:
        head = self._heads.get(planned.node_type)
        if head is None:
            cls = type(planned.node)
            head = self._heads[planned.node_type] = node_type_of(cls).key_head(code_of(cls))
        return head

    def _sources(self, planned: PlannedNode, path: Path) -> tuple[bytes, ...]:
        """The cache keys of what a node's inputs came from, through nodes that are not cached."""
        found = map(self._origins.get, self.session.source_keys(planned, path), repeat(()))
        return tuple(dict.fromkeys(chain.from_iterable(found)))

    def _seed(self, key: Key) -> int | None:
        return next(iter(self.session.seeds.get(key, {}).values()), None)

    def _fail(self, prepared: Prepared, began: float, error: BaseException) -> None:
        """Note a failure as text, and let go of the exception: its frames would keep tensors alive."""
        planned, path, key = prepared
        node, source, type_name = prepared.id, planned.id, planned.node_type.name
        message = self._message(error, planned)
        text = "".join(traceback.format_exception(error))[-ERROR_TEXT_LIMIT:]
        place = place_of(error)
        traceback.clear_frames(error.__traceback__)
        failure = NodeError(node, type_name, message, self._inputs_as_text(prepared), text, place)
        self.failures.append(failure)
        self.session.fail(prepared, message)
        if self._journal is not None:
            self._journal.failed(prepared, message)
        self._probe.finish(began, node, source, type_name, path, FAILED, False, self._seed(key), message)
        if is_out_of_memory(error):
            error.__traceback__ = None
            self._free_memory()
        self._tell(NodeFailed(self.session.id, node, source, type_name, message, place))

    def _free_memory(self) -> None:
        CollectorRelief.give_back()
        self._services.model_manager.free_memory()

    def _message(self, error: BaseException, planned: PlannedNode) -> str:
        if is_out_of_memory(error):
            return out_of_memory_message(error, planned.node.title, self._services.model_manager.loaded())
        return _message(error, planned.node)

    def _inputs_as_text(self, prepared: Prepared) -> dict[str, str]:
        try:
            arriving = {} if prepared.planned.axis is not None else self.session.arriving(prepared)
        except KeyError:
            arriving = {}
        planned = prepared.planned
        values = {**twin(planned.node, planned.values).literals(), **arriving}
        return {name: value_text(value, 60) for name, value in values.items()}


def _content_of(services: Any) -> Callable[[ResourceField], str]:
    """What gives the content of a resource; it does not refer to the runner, which would be a cycle."""
    images, latents = services.images, services.latents
    return lambda field: (images if field.kind == "image" else latents).content(field.resource_name)


def _message(error: BaseException, node: BaseInvocation) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(str(problem) for problem in input_problems(type(node), node.id, error))
    if isinstance(error, NotImplementedError | NbgraphError):
        return _text_of(error)
    return f"{type(error).__name__}: {_text_of(error)}"


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "(it cannot be shown as text)"
