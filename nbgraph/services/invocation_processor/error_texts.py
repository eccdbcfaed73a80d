"""Errors of nodes as texts for a person, and memory that ran out among them. No exception is kept: it holds tensors."""

import re
import traceback
from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

from pydantic import ValidationError

from nbgraph.errors import NbgraphError
from nbgraph.invocations.base import BaseInvocation
from nbgraph.invocations.input_problems import input_problems
from nbgraph.services.neighbours import Models
from nbgraph.texts import as_utf8, shorten

if TYPE_CHECKING:
    from nbgraph.diffusion.cache_reports import LoadedComponent

TRACEBACK_LIMIT = 64 * 1024
MESSAGE_LIMIT = 4096
"""Characters of an error message, which is shown whole; the traceback has the end of a longer one."""
PHRASES = ("out of memory", "can't allocate memory", "not enough memory")
ASKED = re.compile(r"[Tt]ried to allocate ([\d.]+ ?[KMGT]?i?B|\d+ bytes)")
SHOWN = 6
MB = 2**20
REMEDY = (
    "draw a smaller picture, or fewer at once (Settings(batch_size=...) or strict=True), set tiled=True where a node "
    "has it, or make room with studio.unload_models()"
)


def message_of(error: BaseException, node: BaseInvocation, models: Models) -> str:
    """Return the message for an error of a node, at most 4,096 characters.

    Parameters
    ----------
    error
        What the node raised.
    node
        The node.
    models
        Asked which models hold memory, if it ran out.
    """
    if is_out_of_memory(error):
        return out_of_memory_message(error, node.title, models.loaded())
    if isinstance(error, ValidationError):
        return "; ".join(str(problem) for problem in input_problems(type(node), node.id, error))
    if isinstance(error, NotImplementedError | NbgraphError):
        return _text_of(error)
    return f"{type(error).__name__}: {_text_of(error)}"


def traceback_of(error: BaseException) -> str:
    """Return the traceback as text, of a long one its end."""
    return as_utf8("".join(traceback.format_exception(error))[-TRACEBACK_LIMIT:])


def _text_of(error: BaseException) -> str:
    try:
        return as_utf8(shorten(str(error), MESSAGE_LIMIT))
    except Exception:
        return "(it cannot be shown as text)"


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether memory ran out. Torch is not imported for it; on the CPU its error has no class of its own."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return type(error) is RuntimeError and any(phrase in str(error) for phrase in PHRASES)


def out_of_memory_message(error: BaseException, doing: str, loaded: "Sequence[LoadedComponent]") -> str:
    """Return a message: what was done, how much was asked for, which models are in memory, and what to do."""
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
