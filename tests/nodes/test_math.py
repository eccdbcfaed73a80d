"""Numbers: exact results, and errors before anything runs where the numbers are known."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbgraph.errors import GraphError, NodeError
from nbgraph.invocations import (
    Add,
    Divide,
    FloatMath,
    FloatToInteger,
    Integer,
    IntegerMath,
    RandomFloat,
    RandomInteger,
    RoundFloat,
)
from nbgraph.invocations.arithmetic import divide

BIG = 2**60 + 1
NOTHING = None


@given(st.integers(), st.integers().filter(bool))
def test_division_cuts_off_towards_zero_for_whole_numbers_of_any_size(a, b):
    assert divide(a, b) == math.trunc(Fraction(a, b))


@pytest.mark.parametrize(
    ("operation", "a", "b", "value"),
    [
        ("ADD", BIG, 1, BIG + 1),
        ("SUB", 1, 3, -2),
        ("MUL", BIG, 3, BIG * 3),
        ("DIV", -BIG, 1, -BIG),
        ("DIV", -7, 2, -3),
        ("EXP", 3, 40, 3**40),
        ("MOD", -7, 3, 2),
        ("ABS", -7, 0, 7),
        ("MIN", 2, 1, 1),
        ("MAX", 2, 1, 2),
        ("EXP", 1, 10**9, 1),
    ],
)
def test_operations_on_whole_numbers(operation, a, b, value):
    assert IntegerMath(operation=operation, a=a, b=b).invoke(NOTHING).value == value


@pytest.mark.parametrize(
    ("operation", "a", "b", "value"),
    [
        ("ADD", 0.5, 0.25, 0.75),
        ("SUB", 0.5, 0.25, 0.25),
        ("MUL", 0.5, 0.5, 0.25),
        ("DIV", 1.0, 4.0, 0.25),
        ("EXP", -2.0, 3.0, -8.0),
        ("SQRT", 9.0, 0.0, 3.0),
        ("ABS", -0.5, 0.0, 0.5),
        ("MIN", 1.5, 1.0, 1.0),
        ("MAX", 1.5, 1.0, 1.5),
    ],
)
def test_operations_on_numbers(operation, a, b, value):
    assert FloatMath(operation=operation, a=a, b=b).invoke(NOTHING).value == value


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (Divide(a=1, b=0), r"div\.b: is 0, .*give it another value"),
        (IntegerMath(operation="DIV", b=0), r"integer_math\.b: is 0"),
        (IntegerMath(operation="MOD", b=0), r"integer_math\.b: is 0"),
        (IntegerMath(operation="EXP", a=2, b=-1), r"a negative power .* use float_math"),
        (IntegerMath(operation="EXP", a=10, b=10**6), r"more than 12000 bits"),
        (FloatMath(operation="DIV", b=0), r"float_math\.b: is 0"),
        (FloatMath(operation="SQRT", a=-1), r"float_math\.a: is -1.0, .*no square root"),
        (FloatMath(operation="EXP", a=-8, b=0.5), r"only whole powers"),
        (FloatMath(operation="EXP", a=0, b=-1), r"zero has no negative powers"),
        (FloatMath(operation="EXP", a=10, b=400), r"too large"),
        (FloatMath(operation="MUL", a=1e300, b=1e300), r"too large"),
        (RandomInteger(low=3, high=3), r"rand_int\.high: is 3, and must be more than low"),
        (RandomFloat(low=3, high=2), r"rand_float\.high"),
        (IntegerMath(operation="DIV", a=1, b=Add(a=1, b=-1)), r"integer_math\.b: is 0"),
    ],
)
def test_what_cannot_be_computed_is_refused_before_anything_runs(studio, node, text):
    with pytest.raises(GraphError, match=text):
        studio.run(node, progress=False)
    assert len(studio.stats) == 0


def test_a_divisor_that_is_only_known_when_it_runs_is_an_error_with_its_inputs(studio):
    node = IntegerMath(operation="DIV", a=1, b=RandomInteger(low=0, high=1))
    with pytest.raises(NodeError, match="b is 0, and a number cannot be divided by zero"):
        studio.run(node, progress=False)


@pytest.mark.parametrize(
    ("method", "value", "multiple", "whole"),
    [
        ("Nearest", 2.5, 1, 3),
        ("Nearest", -2.5, 1, -3),
        ("Nearest", 0.49999999999999994, 1, 0),
        ("Nearest", 516.0, 8, 520),
        ("Floor", -0.5, 1, -1),
        ("Ceiling", 513.0, 64, 576),
        ("Truncate", -2.9, 1, -2),
        ("Truncate", 1e300, 1, int(1e300)),
    ],
)
def test_floats_become_whole_numbers_exactly(method, value, multiple, whole):
    assert FloatToInteger(value=value, multiple=multiple, method=method).invoke(NOTHING).value == whole


def test_floats_are_rounded_to_decimals():
    assert RoundFloat(value=3.14159, decimals=2).invoke(NOTHING).value == 3.14
    assert RoundFloat(value=1234.0, decimals=-2).invoke(NOTHING).value == 1200.0


def test_the_same_seed_draws_the_same_number(result):
    assert result(RandomInteger(seed=1)).value == result(RandomInteger(seed=1)).value
    assert result(RandomFloat(seed=1, decimals=6)).value == result(RandomFloat(seed=1, decimals=6)).value


def test_a_drawn_seed_is_recorded_and_gives_the_number_again(studio):
    node = RandomInteger()
    run = studio.run(node, progress=False)
    seed = int(run.stats.seed.iloc[0])
    assert RandomInteger(seed=seed).invoke(NOTHING).value == run[node].value
    assert studio.run(node, progress=False)[node].value != run[node].value


def test_rounding_never_leaves_the_limits():
    for seed in range(50):
        value = RandomFloat(low=0.001, high=0.004, decimals=2, seed=seed).invoke(NOTHING).value
        assert 0.001 <= value <= 0.004


def test_a_linked_value_is_computed_with(result):
    assert result(IntegerMath(operation="MUL", a=Integer(value=6), b=Integer(value=7))).value == 42
