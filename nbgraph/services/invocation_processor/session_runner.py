"""The run loop: one session, node by node. For each prepared node: inputs, key, cache or invoke, stats, events.

Everything this loop costs is paid once for each prepared node, so what can be known of a source node is made once and
kept in a `_Recipe`.
"""

import copy
import traceback
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from nbgraph.errors import CancelledError, NbgraphError, NodeError
from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput, input_problems
from nbgraph.invocations.fields import ResourceField
from nbgraph.services.events.events_common import NodeCompleted, NodeFailed, NodeStarted, SessionFinished, SessionStarted
from nbgraph.services.invocation_cache.invocation_cache_common import KeyTemplate, content_text, key_of
from nbgraph.services.invocation_processor.node_context import NodeContext
from nbgraph.services.invocation_stats.invocation_stats_common import CANCELLED, COMPLETED, FAILED
from nbgraph.services.shared.graph.execution_state import GraphExecutionState, Prepared
from nbgraph.services.shared.graph.plan import PlannedNode

OWN_PACKAGE = "nbgraph."
ERROR_TEXT_LIMIT = 64 * 1024


class _Recipe:
    """What is the same for all prepared copies of a source node."""

    __slots__ = ("cls", "defaults", "opaque", "template", "validate")

    def __init__(self, planned: PlannedNode, content_of: Callable[[ResourceField], str]) -> None:
        node = planned.node
        self.cls = type(node)
        self.cls.model_rebuild()
        self.validate = self.cls.__pydantic_validator__.validate_python
        self.defaults = dict(node.__dict__)
        cached = node.use_cache if node.use_cache is not None else node.cached_by_default
        self.template = KeyTemplate(planned, content_of) if cached else None
        foreign = not self.cls.__module__.startswith(OWN_PACKAGE)
        self.opaque = tuple(edge.field for edge in planned.inputs) if foreign else ()

    def bind(self, arriving: dict[str, Any]) -> BaseInvocation:
        """The node with all its inputs, assembled, then validated once. Foreign code gets lists of its own."""
        for name in self.opaque:
            if isinstance(arriving[name], list | dict | set):
                arriving[name] = copy.deepcopy(arriving[name])
        cls = self.cls
        node = cls.__new__(cls)
        self.validate({**self.defaults, **arriving}, self_instance=node)
        return node


class SessionRunner:
    """Runs a session to its end, its first error, or its cancellation."""

    def __init__(self, session: GraphExecutionState, services: Any, is_cancelled: Callable[[], bool]) -> None:
        self.session = session
        self.failures: list[NodeError] = []
        self._services = services
        self._cache = services.invocation_cache
        self._events = services.events
        self._is_cancelled = is_cancelled
        self._probe = services.performance_statistics.probe(session.id)
        self._context = NodeContext(services, session.id, is_cancelled)
        self._recipes: dict[int, _Recipe] = {}
        self._contents: dict[int, str] = {}
        self._origins: dict[Any, tuple[bytes, ...]] = {}

    def run(self) -> str:
        """Run what is left of the session; returns its status. Never raises for what a node does."""
        self._events.dispatch(SessionStarted(self.session.id, len(self.session.plan.nodes)))
        session, is_cancelled = self.session, self._is_cancelled
        try:
            while (prepared := session.next()) is not None:
                if is_cancelled():
                    session.cancel()
                    break
                self._run_node(prepared)
        finally:
            self._probe.flush()
        status = "completed" if session.status == "running" else session.status
        self._events.dispatch(SessionFinished(session.id, status))
        return status

    def _run_node(self, prepared: Prepared) -> None:
        planned = prepared.planned
        heard = self._events.is_heard
        node = prepared.id
        if heard:
            self._events.dispatch(NodeStarted(self.session.id, node, planned.id, planned.node.type))
        self._context.prepared = prepared
        self._probe.start()
        try:
            output, cached = self._output(prepared, node)
        except CancelledError:
            self._finish(prepared, node, CANCELLED, False)
            self.session.cancel()
            return
        except BaseException as error:
            self._fail(prepared, node, error)
            return
        self.session.complete(prepared, output)
        seconds = self._finish(prepared, node, COMPLETED, cached)
        if heard:
            self._events.dispatch(
                NodeCompleted(self.session.id, node, planned.id, planned.node.type, output, cached, seconds)
            )

    def _output(self, prepared: Prepared, node: str) -> tuple[BaseInvocationOutput, bool]:
        """(output, whether it came from the cache)"""
        planned, path, key = prepared
        session = self.session
        if planned.axis is not None:
            output = session.iterate_output(prepared)
            self._origins[key] = self._sources(planned, path[:-1])
            return output, False
        recipe = self._recipes.get(planned.rank)
        if recipe is None:
            recipe = self._recipes[planned.rank] = _Recipe(planned, self._content_of)
        arriving = session.arriving(prepared)
        template = recipe.template
        if template is None:
            self._origins[key] = self._sources(planned, path)
            return self._checked(recipe.bind(arriving).invoke(self._context), planned), False
        material = template.material(tuple([self._content(arriving[name]) for name in template.fields]))
        cache_key = key_of(material)
        self._origins[key] = (cache_key,)
        entry = self._cache.get(cache_key)
        if entry is not None:
            return entry.output, True
        output = self._checked(recipe.bind(arriving).invoke(self._context), planned)
        sources = self._sources(planned, path)
        self._cache.save(cache_key, output, material, node, planned.node.type, self._probe.elapsed(), sources)
        return output, False

    def _checked(self, output: Any, planned: PlannedNode) -> BaseInvocationOutput:
        if output.__class__ is not planned.node.output_class and not isinstance(output, planned.node.output_class):
            wanted = planned.node.output_class.__name__
            raise TypeError(f"invoke returned {type(output).__name__}, and is annotated to return {wanted}")
        return output

    def _content(self, value: Any) -> str:
        kind = value.__class__
        if kind is int:
            return int.__repr__(value)
        if kind in _SMALL:
            return content_text(value, self._content_of)
        known = self._contents.get(id(value))
        if known is None:
            known = self._contents[id(value)] = content_text(value, self._content_of)
        return known

    def _content_of(self, field: ResourceField) -> str:
        store = self._services.images if field.kind == "image" else self._services.latents
        return store.content(field.resource_name)

    def _sources(self, planned: PlannedNode, path: tuple[int, ...]) -> tuple[bytes, ...]:
        """The cache keys of what a node's inputs came from, through nodes that are not cached."""
        origins = self._origins
        keys = self.session.source_keys(planned, path)
        if len(keys) == 1:
            return origins.get(keys[0], ())
        return tuple(dict.fromkeys(source for key in keys for source in origins.get(key, ())))

    def _finish(self, prepared: Prepared, node: str, status: str, cached: bool, error: str = "") -> float:
        planned = prepared.planned
        seed = None
        if planned.seeds:
            seed = next(iter(self.session.seeds.get(prepared.key, {}).values()), None)
        return self._probe.finish(node, planned.id, planned.node.type, prepared.path, status, cached, seed, error)

    def _fail(self, prepared: Prepared, node: str, error: BaseException) -> None:
        """Note a failure as text, and let go of the exception: its frames would keep tensors alive."""
        planned = prepared.planned
        message = _message(error, planned.node)
        text = "".join(traceback.format_exception(error))[-ERROR_TEXT_LIMIT:]
        traceback.clear_frames(error.__traceback__)
        failure = NodeError(node, planned.node.type, message, self._inputs_as_text(prepared), text)
        self.failures.append(failure)
        self.session.fail(prepared, message)
        self._finish(prepared, node, FAILED, False, message)
        self._events.dispatch(NodeFailed(self.session.id, node, planned.id, planned.node.type, message))

    def _inputs_as_text(self, prepared: Prepared) -> dict[str, str]:
        try:
            arriving = {} if prepared.planned.axis is not None else self.session.arriving(prepared)
        except KeyError:
            arriving = {}
        values = {**prepared.planned.node.literals(), **arriving}
        return {name: _short(value) for name, value in values.items()}


_SMALL = {str, float, bool, type(None)}


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
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
