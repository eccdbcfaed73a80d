"""Names of resources: generated, and checked wherever one comes in."""

import re
from collections.abc import Callable
from uuid import uuid4

from nbgraph.errors import InvalidNameError

_NAME = re.compile(r"[0-9a-f]{32}\Z")

Unless = Callable[[], bool]
"""Asked before resources are deleted; if it gives True, none are."""


def new_name() -> str:
    """A name for a resource: 32 hexadecimal digits, never made from what a person typed."""
    return uuid4().hex


def text_name(name: object) -> str:
    """The name, if it is a text; `InvalidNameError` otherwise. A text of another form names nothing that is there."""
    if not isinstance(name, str):
        raise InvalidNameError(f"a resource is named by a text, not by {repr(name)[:80]}")
    return name


def is_name(text: str) -> bool:
    """Return whether a text has the form of a generated name."""
    return _NAME.match(text) is not None


def checked_name(name: object) -> str:
    """The name, if it has the form of a generated one; `InvalidNameError` otherwise."""
    if not isinstance(name, str) or not is_name(name):
        raise InvalidNameError(f"{repr(name)[:80]} is no name of a resource; such names are 32 hexadecimal digits")
    return name
