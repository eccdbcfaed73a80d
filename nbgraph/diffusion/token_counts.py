"""How much of a text a model sees, counted from the calls of its tokenizers.

Each family cuts texts at its own length: one for each text encoder, with marks and templates around the text. So the
calls of the tokenizers are recorded while the pipeline encodes, and repeated without a limit. A text that one encoder
cuts and another reads whole, as CLIP and T5 of Flux, is noticed.
"""

import copy
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast


@dataclass(frozen=True)
class TokenizerCall:
    """A pipeline's call of a tokenizer: texts, each cut at `limit` tokens, marks and templates included.

    `dropped` is how many tokens of a template the pipeline removes afterwards, if it states that.
    """

    tokenizer: Any
    texts: Sequence[str]
    limit: int
    marked: bool
    dropped: int | None


@dataclass(frozen=True)
class _Reading:
    """What one text encoder reads of a text: of `tokens`, at most `limit`, both with marks; `cut` is the rest."""

    tokens: int
    limit: int
    cut: str
    unknown: tuple[str, ...]


@contextmanager
def watched_tokenizers(pipeline: Any) -> Generator[list[TokenizerCall]]:
    """Within the block, record the calls of the pipeline's tokenizers that cut texts, in the list that is yielded."""
    calls: list[TokenizerCall] = []
    dropped = getattr(pipeline, "prompt_template_encode_start_idx", None)
    parts = cast(dict[str, Any], vars(pipeline))
    plain = {name: part for name, part in parts.items() if name.startswith("tokenizer") and callable(part)}
    parts.update({name: _watched(tokenizer, calls, dropped) for name, tokenizer in plain.items()})
    try:
        yield calls
    finally:
        parts.update(plain)


def _watched(tokenizer: Any, calls: list[TokenizerCall], dropped: int | None) -> Any:
    """Return a copy of a tokenizer that records its calls.

    Of a subclass, as some pipelines check the tokenizer's class.
    """
    plain = cast(Any, type(tokenizer))

    def call(self: Any, text: Any = None, *given: Any, **options: Any) -> Any:
        texts = cast(Sequence[Any], [text] if isinstance(text, str) else text)
        if options.get("truncation") and isinstance(texts, list | tuple) and all(isinstance(t, str) for t in texts):
            limit = options.get("max_length") or tokenizer.model_max_length
            marked = options.get("add_special_tokens", True)
            calls.append(TokenizerCall(tokenizer, texts, limit, marked, dropped))
        return plain.__call__(self, text, *given, **options)

    watched = copy.copy(tokenizer)
    watched.__class__ = type(plain.__name__, (plain,), {"__call__": call, "__module__": plain.__module__})
    return watched


def count_tokens(
    calls: Sequence[TokenizerCall], number: int, text: str, style: str | None, longest: int | None
) -> dict[str, Any]:
    """Return the counts of the text of that number and its style: tokens, the limit, what is cut and unknown.

    With several encoders a part of the text counts as unread if none of them reads it. `longest` is how many tokens the
    pipeline uses, if it states that. {} if nothing is known.
    """
    readings: dict[str, list[_Reading]] = {}
    for call in calls:
        if number < len(call.texts):
            passed = call.texts[number]
            meant = style if style is not None and _holds(passed, style) and not _is(passed, text) else text
            readings.setdefault(meant, []).append(_read(call, passed, meant, longest))
    best = [min(found, key=lambda reading: len(reading.cut)) for found in readings.values()]
    if not best:
        return {}
    fullest = max(best, key=lambda reading: (bool(reading.cut), reading.tokens))
    unknown = [word for found in readings.values() for word in _unknown_to_all(found)]
    return {
        "tokens": fullest.tokens,
        "token_limit": fullest.limit,
        "cut": " ... ".join(reading.cut for reading in best if reading.cut),
        "unknown": tuple(dict.fromkeys(unknown)),
    }


def _read(call: TokenizerCall, passed: str, text: str, longest: int | None) -> _Reading:
    """Return what one encoder reads of a text that the pipeline passed on, maybe cleaned or within a template."""
    tokenizer = call.tokenizer
    before, bare, after = _parts(passed, text)
    own = tokenizer(bare, add_special_tokens=False, truncation=False, verbose=False).input_ids
    if before or after:
        marks = 0
        front = len(tokenizer(before, add_special_tokens=call.marked, truncation=False, verbose=False).input_ids)
    else:
        whole = tokenizer(passed, add_special_tokens=call.marked, truncation=False, verbose=False).input_ids
        marks = front = len(whole) - len(own)
    room = min(call.limit, 100_000)
    if longest is not None and room > longest:
        room = longest + (front if call.dropped is None else call.dropped)
    kept = max(0, room - front)
    cut = tokenizer.decode(own[kept:], skip_special_tokens=True).strip() if len(own) > kept else ""
    return _Reading(len(own) + marks, kept + marks, cut, _unknown_words(tokenizer, bare))


def _parts(passed: str, text: str) -> tuple[str, str, str]:
    """Return (what a template puts before the text, the text as it was passed on, what comes after it)."""
    stripped = text.strip()
    place = passed.casefold().find(stripped.casefold()) if stripped else -1
    if place < 0 or len(passed.casefold()) != len(passed) or _is(passed, text):
        return "", passed, ""
    end = place + len(stripped)
    return passed[:place], passed[place:end], passed[end:]


def _holds(passed: str, text: str) -> bool:
    return text.strip().casefold() in passed.casefold()


def _is(passed: str, text: str) -> bool:
    return passed.strip().casefold() == text.strip().casefold()


def _unknown_to_all(readings: Sequence[_Reading]) -> list[str]:
    return [word for word in readings[0].unknown if all(word in reading.unknown for reading in readings)]


def _unknown_words(tokenizer: Any, text: str) -> tuple[str, ...]:
    """Return the words of `text` that contain the unknown token.

    There are none for a tokenizer that spells every word.
    """
    unknown = tokenizer.unk_token_id
    words = dict.fromkeys(text.replace(",", " ").split())
    if unknown is None or not words:
        return ()
    found = [word for word in words if unknown in tokenizer(word, add_special_tokens=False).input_ids]
    return tuple(found)
