"""Operations on numbers by name, and the problems of their operands: (field, problem), found before computing."""

import math
import operator
from collections.abc import Callable, Iterator
from typing import Literal

from nbgraph.errors import NbgraphError

IntegerOperation = Literal["ADD", "SUB", "MUL", "DIV", "EXP", "MOD", "ABS", "MIN", "MAX"]
FloatOperation = Literal["ADD", "SUB", "MUL", "DIV", "EXP", "ABS", "SQRT", "MIN", "MAX"]
# Python prints whole numbers of at most 4,300 digits, some 14,000 bits
MAX_BITS = 12_000


def divide(a: int, b: int) -> int:
    """Return a / b truncated towards zero, exact for numbers of any size."""
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


INTEGER: dict[str, Callable[[int, int], int]] = {
    "ADD": operator.add,
    "SUB": operator.sub,
    "MUL": operator.mul,
    "DIV": divide,
    "EXP": lambda a, b: a**b,
    "MOD": operator.mod,
    "ABS": lambda a, b: abs(a),
    "MIN": min,
    "MAX": max,
}
FLOAT: dict[str, Callable[[float, float], float]] = {
    "ADD": operator.add,
    "SUB": operator.sub,
    "MUL": operator.mul,
    "DIV": lambda a, b: a / b,
    "EXP": lambda a, b: a**b,
    "ABS": lambda a, b: abs(a),
    "SQRT": lambda a, b: math.sqrt(a),
    "MIN": min,
    "MAX": max,
}


def integer_problem(operation: str, a: int, b: int) -> Iterator[tuple[str, str]]:
    """Yield (field, problem) if an operation on whole numbers has no result, or one that is too long."""
    if operation in ("DIV", "MOD") and b == 0:
        yield "b", "is 0, and a number cannot be divided by zero; give it another value"
    if operation == "EXP" and b < 0:
        yield "b", f"is {b}, and a negative power is not a whole number; use float_math"
    if (operation == "EXP" and b > 0 and a.bit_length() * b > MAX_BITS and abs(a) > 1) or (
        operation == "MUL" and a.bit_length() + b.bit_length() > MAX_BITS
    ):
        yield "b", f"makes a number of more than {MAX_BITS} bits; use a smaller one"


def float_problem(operation: str, a: float, b: float) -> Iterator[tuple[str, str]]:
    """Yield (field, problem) if an operation on numbers has no finite real result."""
    if operation == "DIV" and b == 0:
        yield "b", "is 0, and a number cannot be divided by zero; give it another value"
    elif operation == "SQRT" and a < 0:
        yield "a", f"is {a}, and a negative number has no square root; give it one from 0 up"
    elif operation == "EXP" and a == 0 and b < 0:
        yield "b", f"is {b}, and zero has no negative powers; give it one from 0 up"
    elif operation == "EXP" and a < 0 and b != int(b):
        yield "b", f"is {b}, and a negative number has only whole powers; give it a whole one"
    # last, because it computes the operation, which the others show to be possible
    elif not _is_finite(operation, a, b):
        yield "b", f"makes {operation} of {a} and {b} too large for a float; use smaller numbers"


def compute_integer(operation: str, a: int, b: int) -> int:
    """Return the result; raise `NbgraphError` with the problem if there is none."""
    for field, problem in integer_problem(operation, a, b):
        raise NbgraphError(f"{field} {problem}")
    return INTEGER[operation](a, b)


def compute_float(operation: str, a: float, b: float) -> float:
    """Return the result; raise `NbgraphError` with the problem if there is none."""
    for field, problem in float_problem(operation, a, b):
        raise NbgraphError(f"{field} {problem}")
    return FLOAT[operation](a, b)


def _is_finite(operation: str, a: float, b: float) -> bool:
    try:
        return math.isfinite(FLOAT[operation](a, b))
    except OverflowError:
        return False
