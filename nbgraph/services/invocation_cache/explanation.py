"""Why a node will run, or not: a session is walked as if it ran, with what the cache holds in place of invoking."""

from collections.abc import Mapping
from dataclasses import dataclass

from nbgraph.errors import NbgraphError
from nbgraph.invocations.base import BaseInvocation
from nbgraph.invocations.fields import ResourceField, models_in
from nbgraph.invocations.node_type import Code, KeyHead, node_type_of
from nbgraph.services.invocation_cache.code_hash import REMEDY, code_of
from nbgraph.services.invocation_cache.contents import Contents
from nbgraph.services.invocation_cache.invocation_cache_common import (
    MADE_EARLIER,
    MADE_LATER,
    describe_change,
)
from nbgraph.services.neighbours import Services
from nbgraph.services.shared.graph.execution_state import GraphExecutionState, Prepared

Heads = Mapping[type[BaseInvocation], KeyHead]
HANDS_OUT, PUTS_TOGETHER = "hands out items", "puts together what is there"
COMPARED = "; the model's files are unchanged (inode, size and times of each, whole content where these differ)"
"""Says how a model was compared before a result that names it is used again."""


@dataclass(frozen=True, slots=True)
class Reason:
    """The answer whether a prepared node will run, and why; the key of its result where it is known."""

    node: str
    source: str
    type: str
    will_run: bool
    because: str
    key: bytes | None = None


def explain(session: GraphExecutionState, services: Services) -> list[Reason]:
    """Return a reason for each prepared node that is known before anything runs.

    How often nodes run inside an iteration whose list is not known yet cannot be predicted; they appear once, without
    path.
    """
    session.on_error = "continue"
    heads = {cls: node_type_of(cls).key_head(code_of(cls)) for cls in session.plan.node_types}
    reasons: list[Reason] = []
    while (prepared := session.next()) is not None:
        reasons.append(_look(session, prepared, heads, services))
    told = {reason.source for reason in reasons}
    running = {
        reason.source for reason in reasons if reason.will_run and reason.because not in (HANDS_OUT, PUTS_TOGETHER)
    }
    for planned in session.plan.nodes:
        if planned.id not in told:
            sources = [session.plan.nodes[edge.parent].id for edge in planned.inputs]
            causes = [source for source in dict.fromkeys(sources) if source in running]
            running.add(planned.id)
            because = f"{', '.join(causes)} will run" if causes else "what it needs will run"
            reasons.append(Reason(planned.id, planned.id, planned.node.type, True, because))
    rank = session.plan.ranks
    return sorted(reasons, key=lambda reason: rank[reason.source])


def _look(session: GraphExecutionState, prepared: Prepared, heads: Heads, services: Services) -> Reason:
    planned = prepared.planned
    node = planned.node
    head = heads[type(node)]

    def reason(will_run: bool, because: str, key: bytes | None = None) -> Reason:
        return Reason(prepared.id, planned.id, node.type, will_run, because, key)

    if planned.axis is not None:
        session.complete(prepared, session.iterate_output(prepared))
        return reason(True, HANDS_OUT)
    if planned.node_type.collects or node.type == "if":
        arriving = session.arriving(prepared)
        session.complete(prepared, type(node)(**{**node.literals(), **arriving}).invoke(None))  # type: ignore[arg-type]
        return reason(True, PUTS_TOGETHER)
    if not head.keeps(node.use_cache):
        session.fail(prepared, "")
        return reason(True, _uncached(node, head.code))
    open_seeds = [name for name in planned.node_type.seeds if node.__dict__[name] is None]
    arriving = session.arriving(prepared)
    if open_seeds and not {edge.field for edge in planned.inputs} & set(open_seeds):
        session.fail(prepared, "")
        return reason(True, f"{open_seeds[0]} is drawn anew each time")
    try:
        key, key_source = _key(prepared, head, arriving, services)
    except TypeError as refused:
        session.fail(prepared, "")
        return reason(True, str(refused))
    entry = services.invocation_cache.peek(key) if key else None
    if entry is not None:
        session.complete(prepared, entry.output)
        because = f"cached, used {entry.hits} time{'' if entry.hits == 1 else 's'}" if entry.hits else "cached"
        return reason(False, because + COMPARED * bool(models_in(entry.output)), key)
    session.fail(prepared, "")
    return reason(True, _because(prepared, key_source, key, services), key)


def _uncached(node: BaseInvocation, code: Code) -> str:
    """Say why results of a node are not cached."""
    if node.use_cache is not None:
        return "use_cache is off"
    if not node.cached_by_default:
        return f"{node.type} is never cached"
    return f"it is not cached: {code.refusal}; {REMEDY}"


def _key(
    prepared: Prepared, head: KeyHead, arriving: dict[str, object], services: Services
) -> tuple[bytes | None, str]:
    """Return the key of a node and the source it is the hash of; None and "" where a resource is gone."""

    def content_of(field: ResourceField) -> str:
        return (services.images if field.kind == "image" else services.latents).content(field.resource_name)

    node, contents = prepared.planned.node, Contents(content_of, services.model_manager.content)
    values = {**node.__dict__, **arriving}
    try:
        key, inputs = contents.key(head, prepared.planned.node_type.pick(values))
    except NbgraphError:
        return None, ""
    return key, head.key_source(inputs)


def _because(prepared: Prepared, key_source: str, key: bytes | None, services: Services) -> str:
    if not services.invocation_cache.enabled:
        return "the cache is off"
    if key is None:
        return "a resource it needs was deleted"
    if services.invocation_cache.went_with_resource(key):
        return "its result was dropped when the picture or tensors it names were deleted"
    if models := services.invocation_cache.changed_models(key):
        names = ", ".join(repr(name) for name in dict.fromkeys(models))
        return f"the files of {names} have changed (whole content compared)"
    known = services.invocation_cache.entries(node=prepared.id)
    if not known:
        return services.invocation_cache.why_discarded(prepared.id) or "it has not run before"
    changes = describe_change(known[-1].key_source, key_source)
    if changes in ([MADE_EARLIER], [MADE_LATER]):
        return changes[0]
    return ", ".join(f"{prepared.planned.id}.{change}" for change in changes) or "its result was dropped"
