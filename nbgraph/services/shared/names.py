"""Names of resources: generated, and checked wherever a caller gives one."""

import re
from collections.abc import Callable
from uuid import uuid4

from nbgraph.errors import InvalidNameError

# `\Z`, because `$` also matches before a line break at the end
_NAME = re.compile(r"[0-9a-f]{32}\Z")

Unless = Callable[[], bool]
"""Called before resources are deleted; if it returns True, none are."""


def new_name() -> str:
    """Return a new name for a resource: 32 hexadecimal digits, never derived from what a person typed."""
    return uuid4().hex


def text_name(name: object) -> str:
    """Return a name that is a text, of whatever form; one of another form names no resource.

    Raises
    ------
    InvalidNameError
        It is not a text.
    """
    if not isinstance(name, str):
        raise InvalidNameError(f"the name of a resource is a text, not {repr(name)[:80]}")
    return name


def is_name(text: str) -> bool:
    """Return whether a text has the form of a generated name."""
    return _NAME.match(text) is not None


def checked_name(name: object) -> str:
    """Return a name that has the form of a generated one.

    Raises
    ------
    InvalidNameError
        It has another form; as part of a path it could lead out of the studio's folder.
    """
    if not isinstance(name, str) or not is_name(name):
        text = f"{repr(name)[:80]} is not the name of a resource; expected 32 hexadecimal digits"
        raise InvalidNameError(f"{text}, as listed in studio.images.frame.image_name")
    return name
