"""Running out of memory: how that is told from other errors, and what a person is told about it."""

import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbgraph.diffusion.cache_reports import LoadedComponent

PHRASES = ("out of memory", "can't allocate memory", "not enough memory")
ASKED = re.compile(r"[Tt]ried to allocate ([\d.]+ ?[KMGT]?i?B|\d+ bytes)")
SHOWN = 6
MB = 2**20
REMEDY = (
    "draw a smaller picture, or fewer at once (Settings(batch_size=...) or strict=True), set tiled=True where a node "
    "has it, or make room with studio.unload_models()"
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; of torch, without importing it: on the CPU its error has no class."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return type(error) is RuntimeError and any(phrase in str(error) for phrase in PHRASES)


def out_of_memory_message(error: BaseException, doing: str, loaded: "Sequence[LoadedComponent]") -> str:
    """What was done, what was asked for, which components of models are in memory, and what to do."""
    asked = ASKED.search(str(error))
    amount = f", which asked for {_readable(asked[1])} more" if asked else ""
    return f"out of memory in {doing}{amount}; {_holders(loaded)}. Its own memory is free again. To go on, {REMEDY}"


def _holders(loaded: "Sequence[LoadedComponent]") -> str:
    if not loaded:
        return "no models are loaded"
    largest = sorted(loaded, key=lambda one: -one.bytes)
    named = [f"{PurePath(one.model).name} {one.component} {one.bytes / MB:,.1f} MB on {one.device}" for one in largest]
    more = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
    total = sum(one.bytes for one in loaded) / MB
    return f"models hold {total:,.1f} MB: {', '.join(named[:SHOWN])}{more}"


def _readable(amount: str) -> str:
    """`1073741824 bytes` as `1,024.0 MB`; what has a larger unit already as it is."""
    number, _, unit = amount.partition(" ")
    return f"{int(number) / MB:,.1f} MB" if unit == "bytes" else amount
