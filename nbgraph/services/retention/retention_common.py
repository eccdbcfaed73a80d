"""Limits of what a studio keeps, its usage, and the resources that a session needs."""

from collections.abc import Iterable
from dataclasses import dataclass

from nbgraph.invocations.control_flow import IterateOutput
from nbgraph.invocations.fields import resources_in
from nbgraph.invocations.node_output import may_name_resources
from nbgraph.invocations.types import NodeValue
from nbgraph.services.shared.defensive_copy import SMALL
from nbgraph.services.shared.graph.execution_state import GraphExecutionState

DAY = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Limit:
    """Bytes and days after which the oldest are deleted; None is no limit."""

    bytes: int | None = None
    days: float | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of what a studio keeps but does not need.

    `runs` limits the number of ended runs in memory; `orphan_days` is how long a file without a record is kept.
    """

    intermediates: Limit = Limit()
    sessions: Limit = Limit()
    stats: Limit = Limit()
    pictures: Limit = Limit()
    runs: int | None = None
    orphan_days: float = 1.0


@dataclass(frozen=True, slots=True)
class Usage:
    """The count and bytes of one part, with its limit."""

    part: str
    count: int
    bytes: int
    limit: Limit = Limit()


def resources_of(session: GraphExecutionState) -> set[str]:
    """Return the names of all resources that a session's outputs and its graph refer to.

    Outputs of iterate nodes are skipped: their items are in the list that they iterate over.
    """
    found: set[str] = set()
    for output in list(session.outputs.values()):
        if may_name_resources(type(output)) and not isinstance(output, IterateOutput):
            found.update(_names_in(output.__dict__.values()))
    for planned in session.plan.with_resources:
        found.update(_names_in(planned.node.literals().values()))
    return found


def _names_in(values: Iterable[NodeValue]) -> list[str]:
    """Return the names in values; numbers, texts and lists of these, which may be long, are skipped quickly."""
    # most outputs are numbers and texts, and there may be thousands
    larger = [value for value in values if not _is_small(value)]
    return [field.resource_name for field in resources_in(larger)] if larger else []


def _is_small(value: NodeValue) -> bool:
    kind: type[object] = value.__class__
    return kind in SMALL or (kind is list and SMALL.issuperset(map(type, value)))
