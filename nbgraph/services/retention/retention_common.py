"""How much is kept, and how much there is."""

from collections.abc import Iterable
from dataclasses import dataclass

from nbgraph.invocations.control_flow import IterateOutput
from nbgraph.invocations.fields import resources_in
from nbgraph.invocations.node_output import may_name_resources
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.own_copies import SMALL

DAY = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Limit:
    """Bytes and days after which the oldest go; None is no limit."""

    bytes: int | None = None
    days: float | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept of what a studio can do without.

    `runs` counts runs that ended, where these are in memory; `orphan_days` is how long a file in the folder that has no
    record is left alone.
    """

    intermediates: Limit = Limit()
    sessions: Limit = Limit()
    stats: Limit = Limit()
    pictures: Limit = Limit()
    runs: int | None = None
    orphan_days: float = 1.0


@dataclass(frozen=True, slots=True)
class Usage:
    """How many of one part there are, and how many bytes they take; `limit` says what is done about it."""

    part: str
    count: int
    bytes: int
    limit: Limit = Limit()


def resources_of(session: GraphExecutionState) -> set[str]:
    """The names of all resources that a session's results and its graph refer to.

    What an iterate node hands out is in the list it has it from.
    """
    found: set[str] = set()
    for output in list(session.outputs.values()):
        if may_name_resources(type(output)) and not isinstance(output, IterateOutput):
            found.update(_names_in(output.__dict__.values()))
    for planned in session.plan.with_resources:
        found.update(_names_in(planned.node.literals().values()))
    return found


def _names_in(values: Iterable[object]) -> list[str]:
    """The names in values; numbers, texts and lists of these, which may be long, are passed over at once."""
    larger = [
        value
        for value in values
        if type(value) not in SMALL and not (type(value) is list and SMALL.issuperset(map(type, value)))
    ]
    return [field.resource_name for field in resources_in(larger)] if larger else []
