"""What the head of a cluster and its workers send each other.

The *head* is the kernel that a person sits at. A *leg* is what a worker runs of a session: all of it, or a range of
indices. Legs whose nodes can share calls of a model are sent together.
"""

from dataclasses import dataclass
from typing import Any, TypedDict

from nbgraph.services.invocation_cache.portable_entries import EntryRow
from nbgraph.services.invocation_processor.cluster_keys import KnownKeys
from nbgraph.services.invocation_stats.invocation_stats_common import Measured
from nbgraph.services.shared.graph.plan import Path

OutputRow = tuple[str, Path, dict[str, Any], bool, float]
"""Source node, path, the output as JSON has it, whether it came from the cache, seconds."""
ResultRow = tuple[str, Path, dict[str, Any]]
"""Source node, path, the output as JSON has it."""
Resource = tuple[str, dict[str, Any], bytes]
"""`image` or `tensors`, the record, the bytes of a file."""
ResourceName = tuple[str, str]
"""`image` or `tensors`, and the name."""
EventRow = tuple[str, dict[str, Any]]
"""The class of an event, and its fields."""
ProblemRow = tuple[str, str, str | None, str | None]
"""The fields of a problem of a graph."""
Outputs = list[ResultRow]


@dataclass(frozen=True)
class StudioFacts:
    """What a worker has to know of the studio that it works for.

    `id` names the studio's topic and plugin. `folder` is absolute, "" in memory; `kernel` is the head's name there.
    `message_bytes` is the size of the largest message that may be sent unasked, `letter_bytes` that of all images and
    tensors that come with mail which is fetched; the head asks for others by name.
    """

    id: str
    folder: str
    kernel: str
    settings: dict[str, Any]
    versions: dict[str, str]
    message_bytes: int
    letter_bytes: int


class WorkerFacts(TypedDict):
    """What a worker says about itself: the models that it holds, names by fingerprint, and why it cannot be used."""

    name: str
    shares_folder: bool
    device: str
    models: dict[str, str]
    problem: str


class Part(TypedDict):
    """A part of a session: the indices `first` to `last` - 1 of an iterate node with `total` items.

    Without an iterate node all of `targets`, and what they need, is run.
    """

    targets: list[str]
    iterate: str
    first: int
    last: int
    total: int


@dataclass(frozen=True)
class Job:
    """What a worker is sent.

    `modules` are imported there and `classes` defined; `models` are fingerprints by name. `keys` are those of the
    head's cache that a worker which does not see the folder has not learnt. A job `is_alone` after one that ran
    out of memory. The worker at the address `first` may begin it the first time without asking.
    """

    session: dict[str, Any]
    part: Part | None
    is_checked: bool
    modules: list[str]
    classes: bytes
    models: dict[str, str]
    keys: KnownKeys | None
    is_cache_on: bool
    is_alone: bool
    leg: str = ""
    first: str = ""


class MailBatch(TypedDict):
    """What happened in a leg since the batch before it, and which node runs now."""

    number: int
    outputs: list[OutputRow]
    seeds: list[tuple[str, Path, dict[str, int]]]
    rows: list[Measured]
    zero: float
    entries: list[EntryRow]
    resources: list[ResourceName]
    events: list[EventRow]
    node: str
    source: str


class FailureRow(TypedDict):
    """The fields of a `NodeError`."""

    node: str
    type: str
    message: str
    inputs: dict[str, str]
    traceback: str
    place: str


class LegResult(TypedDict):
    """How a session, or its part, ended on a worker, and the mail that the head has not got."""

    status: str
    errors: dict[str, str]
    failures: list[FailureRow]
    failed: list[tuple[str, Path]]
    refusal: list[ProblemRow]
    ran_out_of_memory: bool
    batches: list[MailBatch]
    facts: WorkerFacts


@dataclass(frozen=True)
class Letter:
    """Batches of mail of a leg, or its end, with images and tensors that they name."""

    leg: str
    batches: list[MailBatch]
    resources: list[Resource]
    result: LegResult | None = None


@dataclass(frozen=True)
class Begun:
    """Legs have begun on a worker that may begin them without asking."""

    worker: str
    legs: list[str]
    facts: WorkerFacts


@dataclass(frozen=True)
class Mail:
    """Letters that are small enough to be sent unasked, and legs whose mail the head has to fetch.

    `begun` came first: what begins and ends within a moment is one message.
    """

    worker: str
    letters: list[Letter]
    waiting: list[str]
    begun: Begun | None = None


@dataclass(frozen=True)
class Question:
    """A worker waits for an answer; `what` is `start`, `keys`, or what `HeadLike.ask` takes."""

    worker: str
    number: int
    what: str
    arguments: tuple[object, ...]


Message = Mail | Question


def nothing_done(status: str, facts: WorkerFacts, refusal: list[ProblemRow] | None = None) -> LegResult:
    """Return the result of a leg that did nothing."""
    return LegResult(
        status=status,
        errors={},
        failures=[],
        failed=[],
        refusal=refusal or [],
        ran_out_of_memory=False,
        batches=[],
        facts=facts,
    )
