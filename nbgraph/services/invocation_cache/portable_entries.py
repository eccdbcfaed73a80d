"""Cached results as plain values that travel between processes."""

from collections.abc import Callable, Mapping
from typing import Any, cast

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from nbgraph.errors import NbgraphError
from nbgraph.invocations.base import BaseInvocation
from nbgraph.invocations.node_registry import registry
from nbgraph.services.invocation_cache.invocation_cache_base import resource_names
from nbgraph.services.invocation_cache.invocation_cache_common import CacheEntry

SENT = ("key", "node", "type", "head", "inputs", "sources", "seconds")


def entry_to_wire(entry: CacheEntry) -> dict[str, Any] | None:
    """Return a cached result as plain values; None for one that is not JSON, which stays where it is."""
    try:
        output = entry.output.model_dump(mode="json")
    except (PydanticSerializationError, ValueError):
        return None
    return {**{name: getattr(entry, name) for name in SENT}, "output": output}


def entry_from_wire(
    row: Mapping[str, Any], localise: Callable[[Any], Any] = lambda output: output
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
    entry = CacheEntry(**{name: row[name] for name in SENT}, output=output)
    entry.resources = resource_names(output)
    return entry
