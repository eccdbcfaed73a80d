"""Typed values read from words, and written as words, by the annotation of an input.

text, path, choice           the word itself
bool                         true false yes no on off 1 0; the bare flag is true, --no-FLAG is false
number, union, model         JSON, or a word that one member of a union accepts; null is None
list                         [1, 2, 3] as one word, or one word for each item
image, latents               the name alone, too
"""

import json
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

from nbgraph.errors import suggest
from nbgraph.grammar.lexer import GrammarError, Word, quote
from nbgraph.invocations.types import is_optional, item_type, plain, type_name
from nbgraph.texts import value_text

TRUTHS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
NOTHING = ("null", "none")
WORDS = {"True": True, "False": False, "None": None}


def parse_value(annotation: Any, words: Sequence[Word], name: str, column: int, marks: Sequence[Any] = ()) -> Any:
    """Return the value that words give to an input of that annotation, checked against the limits in `marks`.

    Raises `GrammarError` at the word that does not fit; `column` is that of the option, where there is no word.
    """
    members = _members(annotation)
    if not words:
        if bool in members:
            return True
        raise GrammarError(f"--{name} needs a value: {type_name(annotation)}", column)
    if len(words) > 1:
        item = _item(annotation)
        if item is None:
            text = f"--{name} takes one value ({type_name(annotation)}), not {len(words)}; quote a text with spaces"
            raise GrammarError(text, words[1].column)
        return _validated(annotation, marks, [_read(item, word, name) for word in words], words[0], name)
    return _validated(annotation, marks, _read(annotation, words[0], name), words[0], name)


def without(annotation: Any, name: str, column: int) -> Any:
    """Return the value of `--no-NAME`: False for a flag, None for an optional input; others are a `GrammarError`."""
    if bool in _members(annotation):
        return False
    if is_optional(annotation):
        return None
    raise GrammarError(f"--no-{name} is for flags and optional inputs; {name} takes {type_name(annotation)}", column)


def format_value(annotation: Any, value: Any) -> str:
    """Return one word, quoted as needed, that `parse_value` reads as an equal value."""
    annotation = plain(annotation)
    if isinstance(value, str | Path | Enum) and takes_text(annotation):
        return quote(str(value.value if isinstance(value, Enum) else value))
    dumped = TypeAdapter(Any).dump_python(value, mode="json")
    text = json.dumps(dumped, ensure_ascii=False, allow_nan=False)
    return text if isinstance(value, int | float) else quote(text)


def _members(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union but None, or the annotation alone."""
    annotation = plain(annotation)
    if is_optional(annotation) or _is_union(annotation):
        found = [member for one in get_args(annotation) for member in _members(one)] or [annotation]
    else:
        found = [annotation]
    return tuple(member for member in found if member is not type(None))


def _item(annotation: Any) -> Any | None:
    """Return the type of the items, if exactly one member is a list."""
    found = [item for member in _members(annotation) if (item := item_type(member)) is not None]
    return found[0] if len(found) == 1 else None


def _is_union(annotation: Any) -> bool:
    return " | " in type_name(annotation) and get_origin(annotation) not in (Literal, list, dict, tuple, set)


def takes_text(annotation: Any) -> bool:
    """Whether a word is the value itself: every member is a text, a path or a choice among texts."""
    return all(
        (isinstance(member, type) and issubclass(member, str | Path))
        or (get_origin(member) is Literal and all(isinstance(choice, str) for choice in get_args(member)))
        or (isinstance(member, type) and issubclass(member, Enum))
        for member in _members(annotation)
    )


def choices(annotation: Any) -> list[str]:
    """Return the words that an input chooses among, if it does."""
    found: list[str] = []
    for member in _members(annotation):
        if get_origin(member) is Literal:
            found += [str(choice) for choice in get_args(member)]
        elif isinstance(member, type) and issubclass(member, Enum):
            found += [str(choice.value) for choice in member]
        elif member is bool:
            found += ["true", "false"]
    return found


def _read(annotation: Any, word: Word, name: str) -> Any:
    """Return what a word says, before pydantic validates it."""
    members, text = _members(annotation), word.text
    # a text is never read as JSON: `--text 3` is the text "3"
    if takes_text(annotation):
        possible = choices(annotation)
        if (
            possible
            and not any(isinstance(m, type) and not issubclass(m, Enum) for m in members)
            and text not in possible
        ):
            raise GrammarError(f"--{name} cannot be {text!r}{suggest(text, possible)}", word.column)
        return text
    if members == (bool,) and text.lower() in TRUTHS:
        return TRUTHS[text.lower()]
    if is_optional(annotation) and text.lower() in NOTHING and not word.is_quoted:
        return None
    value = _from_json(text)
    takes_anything = Any in members or object in members
    # a bool is an int in Python: without this, `--a true` would be the number 1
    if isinstance(value, bool) and not takes_anything and not _takes_truth(members):
        raise GrammarError(f"--{name} takes {type_name(annotation)}, not {text!r}", word.column)
    item = _item(annotation)
    if item is not None and not takes_anything and not _is_list_or_none(value) and not _fits(annotation, value):
        # one word for a list is its only item
        return [_read(item, word, name)]
    if isinstance(value, str):
        return _reference(members, value)
    return value


def _is_list_or_none(value: object) -> bool:
    return value is None or isinstance(value, list)


def _from_json(text: str) -> Any:
    """Return the text read as JSON, or the text itself where it is not JSON."""
    if text in WORDS:
        return WORDS[text]
    try:
        # NaN and Infinity are not JSON, though Python reads them
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return text


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _takes_truth(members: tuple[Any, ...]) -> bool:
    found = [choice for member in members if get_origin(member) is Literal for choice in get_args(member)]
    return bool in members or any(isinstance(choice, bool) for choice in found)


def _fits(annotation: Any, value: Any) -> bool:
    try:
        TypeAdapter(annotation).validate_python(value)
    except ValidationError:
        return False
    return True


def _reference(members: tuple[Any, ...], text: str) -> Any:
    """Read a name alone as a model that consists of a name: `--image NAME`."""
    for member in members:
        if isinstance(member, type) and issubclass(member, BaseModel) and str not in members:
            required = [name for name, info in member.model_fields.items() if info.is_required()]
            if len(required) == 1 and member.model_fields[required[0]].annotation is str:
                return {required[0]: text}
    return text


def _validated(annotation: Any, marks: Sequence[Any], value: Any, word: Word, name: str) -> Any:
    marked: Any = annotation
    for mark in marks:
        marked = Annotated[marked, mark]
    try:
        return TypeAdapter(marked).validate_python(value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = "".join(f"[{part}]" for part in found["loc"] if isinstance(part, int))
        # pydantic adds how it tried to read the text, which helps nobody who typed it
        message = f"{found['msg'][0].lower()}{found['msg'][1:]}".partition(", unable to parse")[0]
        if len(_members(annotation)) > 1:
            message = f"takes {type_name(annotation)}"
        raise GrammarError(f"--{name}{place}: {message}, not {value_text(word.text, 60)}", word.column) from None
