"""Problems of the inputs of a node, in sentences."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import ValidationError

from nbgraph.errors import Problem, suggest
from nbgraph.invocations.types import type_name
from nbgraph.texts import value_text


def input_problems(cls: Any, node: Any, error: ValidationError) -> list[Problem]:
    """Return what pydantic found wrong with the inputs of a node of a class, each as a sentence with its place."""
    problems: list[Problem] = []
    where = node if isinstance(node, str) and node else cls.type
    for found in error.errors(include_url=False, include_context=False):
        place = ".".join(map(str, found["loc"])) or None
        first = str(found["loc"][0]) if found["loc"] else ""
        if found["type"] == "extra_forbidden":
            text = f"{cls.type!r} has no input {first!r}{suggest(first, cls.inputs())}"
            problems.append(Problem("unknown_field", text, where, place))
        elif found["type"] == "model_type" and place == first and first in cls.inputs():
            kind = type_name(cls.inputs()[first].annotation)
            text = f"takes {kind}: give it a node with such an output, not {value_text(found['input'])}"
            problems.append(Problem("bad_value", text, where, place))
        elif first in cls.inputs() and cls.inputs()[first].seed:
            text = f"a seed is a whole number from 0 to 2**64 - 1, not {value_text(found['input'])}"
            problems.append(Problem("bad_value", f"{text}; leave it out to draw one", where, place))
        else:
            text = f"{found['msg'][0].lower()}{found['msg'][1:]}, not {value_text(found['input'])}"
            if found["type"] == "literal_error":
                text += _near(found["input"], get_args(cls.model_fields[first].annotation))
            problems.append(Problem("bad_value", text, where, place))
    return problems


def _near(given: Any, possible: Iterable[Any]) -> str:
    near = get_close_matches(str(given), [one for one in possible if isinstance(one, str)], n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""
