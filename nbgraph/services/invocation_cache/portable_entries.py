"""Cached results as plain values that travel between processes, and the cache that follows that of another process."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypedDict, cast, runtime_checkable

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from nbgraph.errors import NbgraphError
from nbgraph.invocations.base import BaseInvocation
from nbgraph.invocations.node_registry import registry
from nbgraph.invocations.types import JsonObject, JsonValue
from nbgraph.services.invocation_cache.invocation_cache_base import resource_names
from nbgraph.services.invocation_cache.invocation_cache_common import CacheEntry


class EntryRow(TypedDict):
    """The fields of a `CacheEntry`, the output as JSON has it."""

    key: bytes
    node: str
    type: str
    head: str
    inputs: bytes
    sources: tuple[bytes, ...]
    seconds: float
    output: JsonObject


class EntryAnswer(EntryRow):
    """An entry with the records of the images and tensors that it names: (`image` or `tensors`, record)."""

    records: list[tuple[str, JsonObject]]


@runtime_checkable
class FollowsHead(Protocol):
    """A cache on a worker that does not see the studio's folder: the head's cache decides what is cached."""

    def begin(self, keys: Sequence[bytes], base: int = 0) -> None:
        """Begin a session.

        Parameters
        ----------
        keys
            Those that the head has, in the order in which they were stored, after the first `base` ones.
        base
            How many of those that were given before are still there; 0 forgets them.
        """
        ...

    def take_fresh(self) -> list[CacheEntry]:
        """Return the entries that were made since the last time, for the head."""
        ...


def entry_to_wire(entry: CacheEntry) -> EntryRow | None:
    """Return a cached result as plain values; None for one that is not JSON, which stays where it is."""
    try:
        output = entry.output.model_dump(mode="json")
    except (PydanticSerializationError, ValueError):
        return None
    return EntryRow(
        key=entry.key,
        node=entry.node,
        type=entry.type,
        head=entry.head,
        inputs=entry.inputs,
        sources=entry.sources,
        seconds=entry.seconds,
        output=output,
    )


def entry_from_wire(
    row: EntryRow, localise: Callable[[JsonValue], JsonValue] = lambda output: output
) -> CacheEntry | None:
    """Return the cached result in plain values.

    Parameters
    ----------
    row
        What `entry_to_wire` returned.
    localise
        Returns the JSON of an output with the paths that its models have here.

    Returns
    -------
    CacheEntry or None
        None if its node type or a model is not here: the result is computed anew then, if at all.
    """
    try:
        cls = cast(type[BaseInvocation], registry()[row["type"]])
        output = cls.output_class.model_validate(localise(row["output"]))
    except (NbgraphError, ValidationError):
        return None
    entry = CacheEntry(
        key=row["key"],
        node=row["node"],
        type=row["type"],
        head=row["head"],
        inputs=row["inputs"],
        sources=row["sources"],
        seconds=row["seconds"],
        output=output,
    )
    entry.resources = resource_names(output)
    return entry
