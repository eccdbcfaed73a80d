"""The run loop: one session, node by node. For each prepared node: inputs, key, cache or invoke, stats, events.

Everything this loop costs is paid once for each prepared node, so what can be known of a source node is made once and
kept in a `Recipe`.
"""

import copy
import traceback
from collections.abc import Callable
from time import perf_counter
from typing import Any

from pydantic import ValidationError

from nbgraph.errors import CancelledError, NbgraphError, NodeError
from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput
from nbgraph.invocations.fields import ResourceField
from nbgraph.invocations.input_problems import input_problems
from nbgraph.services.events.events_common import (
    NodeCompleted,
    NodeFailed,
    NodeStarted,
    SessionFinished,
    SessionStarted,
)
from nbgraph.services.invocation_cache.invocation_cache_common import Contents, KeyTemplate
from nbgraph.services.invocation_processor.collector_relief import CollectorRelief
from nbgraph.services.invocation_processor.node_context import NodeContext
from nbgraph.services.invocation_processor.out_of_memory import is_out_of_memory, out_of_memory_message
from nbgraph.services.invocation_stats.invocation_stats_common import CANCELLED, COMPLETED, FAILED
from nbgraph.services.shared.graph.execution_state import GraphExecutionState, Prepared
from nbgraph.services.shared.graph.plan import Path, PlannedNode, prepared_id
from nbgraph.services.shared.graph.prepared import source_key

RELIEF_EVERY = 64
OWN_PACKAGE = "nbgraph."
ERROR_TEXT_LIMIT = 64 * 1024


class Recipe:
    """What is the same for all nodes of a class."""

    __slots__ = ("cached", "cls", "is_foreign", "output_class", "template", "validate")

    def __init__(self, cls: type[BaseInvocation]) -> None:
        self.cls = cls
        cls.model_rebuild()
        self.validate = cls.__pydantic_validator__.validate_python
        self.cached, self.output_class = cls.cached_by_default, cls.output_class
        self.template = KeyTemplate(cls)
        self.is_foreign = not cls.__module__.startswith(OWN_PACKAGE)

    def check(self, output: Any) -> None:
        """`TypeError` if that is not what the node is annotated to return."""
        if not isinstance(output, self.output_class):
            wanted = self.output_class.__name__
            raise TypeError(f"invoke returned {type(output).__name__}, and is annotated to return {wanted}")

    @staticmethod
    def make_own(values: dict[str, Any]) -> None:
        """Copy lists and the like in place, so that who changes them hurts nobody."""
        for name, value in values.items():
            if isinstance(value, list | dict | set):
                values[name] = copy.deepcopy(value)


class SessionRunner:
    """Runs a session to its end, its first error, or its cancellation."""

    def __init__(self, session: GraphExecutionState, services: Any, is_cancelled: Callable[[], bool]) -> None:
        self.session = session
        self.failures: list[NodeError] = []
        self._services = services
        self._cache = services.invocation_cache
        self._is_cancelled = is_cancelled
        self._next, self._inputs = session.next, session.inputs
        self._session_id, self._tell = session.id, services.events.dispatch
        self._probe = services.performance_statistics.probe(session.id)
        self._journal = services.graph_execution_manager.journal(session)
        self._context = NodeContext(services, session.id, is_cancelled)
        self._contents = Contents(self._content_of)
        self._recipes: dict[type[BaseInvocation], Recipe] = {}
        self._origins: dict[Any, tuple[bytes, ...]] = {}
        self._path: Path = ()
        self._place = ""

    def run(self) -> str:
        """Run what is left of the session; returns its status. Never raises for what a node does.

        `IterationLimitError` if a list turned out too long.
        """
        self._tell(SessionStarted(self.session.id, len(self.session.plan.nodes)))
        status = "failed"
        try:
            self._run_and_flush()
            status = self.session.status
        finally:
            self._tell(SessionFinished(self.session.id, status))
        return status

    def _run_and_flush(self) -> None:
        try:
            with CollectorRelief() as relief:
                self._run_nodes(relief)
        finally:
            self._probe.flush()
            if self._journal is not None:
                self._journal.flush()

    def _run_nodes(self, relief: CollectorRelief) -> None:
        session, is_cancelled = self.session, self._is_cancelled
        take_next, run_node = self._next, self._run_node
        done = 0
        while (prepared := take_next()) is not None:
            if is_cancelled():
                session.release(prepared)
                session.cancel()
                return
            run_node(prepared)
            done += 1
            if not done % RELIEF_EVERY:
                relief.renew()

    def _run_node(self, prepared: Prepared) -> None:
        planned, path, _ = prepared
        session, probe = self.session, self._probe
        node = planned.id
        if path:
            if path is not self._path:
                self._path, self._place = path, prepared_id("", path)
            node += self._place
        self._context.prepared = prepared
        probe.start()
        try:
            output, cached = self._output(prepared, node)
        except CancelledError:
            session.release(prepared)
            session.cancel()
            self._finish(prepared, node, CANCELLED, False)
            return
        except BaseException as error:
            self._fail(prepared, node, error)
            return
        session.complete(prepared, output)
        if self._journal is not None:
            self._journal.completed(prepared, output)
        kind = planned.kind
        seed = self._seed(prepared) if kind.seeds else None
        source, type_name = planned.id, kind.type
        seconds = probe.finish(node, source, type_name, path, COMPLETED, cached, seed)
        self._tell(NodeCompleted(self._session_id, node, source, type_name, output, cached, seconds))

    def _output(self, prepared: Prepared, node: str) -> tuple[BaseInvocationOutput, bool]:
        """(output, whether it came from the cache)"""
        planned, path, key = prepared
        if planned.axis is not None:
            self._origins[key] = self._sources(planned, path[:-1])
            return self.session.iterate_output(prepared), False
        cls = type(planned.node)
        recipe = self._recipes.get(cls) or self._recipe(cls)
        values = self._inputs(prepared)
        use_cache = values["use_cache"]
        if not (recipe.cached if use_cache is None else use_cache):
            self._origins[key] = self._sources(planned, path)
            return self._invoke(recipe, values, planned, node), False
        template = recipe.template
        inputs = self._contents.inputs(template.pick(values))
        cache_key = template.key(inputs)
        self._origins[key] = (cache_key,)
        entry = self._cache.get(cache_key)
        if entry is not None:
            return entry.output, True
        output = self._invoke(recipe, values, planned, node)
        sources = self._sources(planned, path)
        seconds = perf_counter() - self._probe.began
        self._cache.save(cache_key, output, template.head, node, planned.kind.type, seconds, sources, inputs)
        return output, False

    def _invoke(self, recipe: Recipe, values: dict[str, Any], planned: PlannedNode, node: str) -> BaseInvocationOutput:
        """Tell that the node starts, validate its inputs, all at once, and run it. Foreign code gets its own lists."""
        self._tell(NodeStarted(self._session_id, node, planned.id, planned.kind.type))
        if recipe.is_foreign:
            recipe.make_own(values)
        ready = object.__new__(recipe.cls)
        recipe.validate(values, self_instance=ready)
        output = ready.invoke(self._context)
        if type(output) is not recipe.output_class:
            recipe.check(output)
        return output

    def _recipe(self, cls: type[BaseInvocation]) -> Recipe:
        if cls not in self._recipes:
            self._recipes[cls] = Recipe(cls)
        return self._recipes[cls]

    def _content_of(self, field: ResourceField) -> str:
        store = self._services.images if field.kind == "image" else self._services.latents
        return store.content(field.resource_name)

    def _sources(self, planned: PlannedNode, path: Path) -> tuple[bytes, ...]:
        """The cache keys of what a node's inputs came from, through nodes that are not cached."""
        origins, inputs = self._origins, planned.inputs
        if not inputs:
            return ()
        if len(inputs) == 1 and planned.kind.is_plain:
            return origins.get(source_key(inputs[0], path), ())
        keys = self.session.source_keys(planned, path)
        return tuple(dict.fromkeys([source for key in keys for source in origins.get(key, ())]))

    def _seed(self, prepared: Prepared) -> int | None:
        return next(iter(self.session.seeds.get(prepared.key, {}).values()), None)

    def _finish(self, prepared: Prepared, node: str, status: str, cached: bool, error: str = "") -> None:
        planned = prepared.planned
        seed = self._seed(prepared)
        self._probe.finish(node, planned.id, planned.kind.type, prepared.path, status, cached, seed, error)

    def _fail(self, prepared: Prepared, node: str, error: BaseException) -> None:
        """Note a failure as text, and let go of the exception: its frames would keep tensors alive."""
        planned = prepared.planned
        message = self._message(error, planned)
        text = "".join(traceback.format_exception(error))[-ERROR_TEXT_LIMIT:]
        traceback.clear_frames(error.__traceback__)
        failure = NodeError(node, planned.kind.type, message, self._inputs_as_text(prepared), text)
        self.failures.append(failure)
        self.session.fail(prepared, message)
        if self._journal is not None:
            self._journal.failed(prepared, message)
        self._finish(prepared, node, FAILED, False, message)
        if is_out_of_memory(error):
            error.__traceback__ = None
            self._free_memory()
        self._tell(NodeFailed(self.session.id, node, planned.id, planned.kind.type, message))

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
        values = {**prepared.planned.node.literals(), **arriving}
        return {name: _short(value) for name, value in values.items()}


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


def _short(value: Any, limit: int = 60) -> str:
    try:
        text = repr(value)
    except Exception:
        text = f"a {type(value).__name__} (it cannot be shown as text)"
    return text if len(text) <= limit else text[: limit - 3] + "..."
