"""Whole numbers that a page cannot hold: above 2**53 they go there and back as `{"$int": "18446744073709551615"}`."""

import re
from typing import Any, cast

SAFE = 2**53 - 1
TAG = "$int"
_DIGITS = re.compile(r"-?[0-9]{1,400}")


def to_page(value: Any) -> Any:
    """JSON-able values as a page can take them: whole numbers it would round are tagged texts."""
    if isinstance(value, int) and not -SAFE <= value <= SAFE:
        return {TAG: str(value)}
    if isinstance(value, dict):
        return {key: to_page(one) for key, one in cast("dict[str, Any]", value).items()}
    return [to_page(one) for one in cast("list[Any]", value)] if isinstance(value, list | tuple) else value


def from_page(value: Any) -> Any:
    """The reverse of `to_page`; `ValueError` for a tagged text that is no whole number."""
    if isinstance(value, dict):
        given = cast("dict[str, Any]", value)
        if given.keys() == {TAG}:
            digits = given[TAG]
            if not isinstance(digits, str) or not _DIGITS.fullmatch(digits):
                raise ValueError(f"{str(digits)[:40]!r} is no whole number")
            return int(digits)
        return {key: from_page(one) for key, one in given.items()}
    return [from_page(one) for one in cast("list[Any]", value)] if isinstance(value, list) else value
