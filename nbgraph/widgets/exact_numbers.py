"""Integers that a page cannot hold: above 2**53 they are sent and received as `{"$int": "18446744073709551615"}`."""

import re
from typing import Any, cast

SAFE = 2**53 - 1
TAG = "$int"
_DIGITS = re.compile(r"-?[0-9]{1,400}")


def to_page(value: Any) -> Any:
    """Return a JSON value for a page, with the integers that it would round as tagged texts."""
    if isinstance(value, int) and not -SAFE <= value <= SAFE:
        return {TAG: str(value)}
    if isinstance(value, dict):
        return {key: to_page(one) for key, one in cast("dict[str, Any]", value).items()}
    return [to_page(one) for one in cast("list[Any]", value)] if isinstance(value, list | tuple) else value


def from_page(value: Any) -> Any:
    """Return a value from a page as it is in Python; `ValueError` for a tagged text that is no integer."""
    if isinstance(value, dict):
        given = cast("dict[str, Any]", value)
        if given.keys() == {TAG}:
            digits = given[TAG]
            # Reading digits takes quadratic time, so that a long text could hold up the kernel.
            if not isinstance(digits, str) or not _DIGITS.fullmatch(digits):
                raise ValueError(f"{str(digits)[:40]!r} is not an integer")
            return int(digits)
        return {key: from_page(one) for key, one in given.items()}
    return [from_page(one) for one in cast("list[Any]", value)] if isinstance(value, list) else value
