"""Curves: where they begin, end and turn."""

import typing

import pytest

from nbgraph.errors import GraphError
from nbgraph.invocations import StepEasing
from nbgraph.invocations.easing import Easing, ease

NAMES = typing.get_args(Easing)
NOTHING = None


def steps(**inputs):
    return StepEasing(**inputs).invoke(NOTHING).collection


@pytest.mark.parametrize("name", NAMES)
def test_every_curve_leads_from_0_to_1_and_never_breaks(name):
    assert ease(name, 0) == pytest.approx(0, abs=1e-3)
    assert ease(name, 1) == pytest.approx(1, abs=1e-3)
    points = [ease(name, place / 1000) for place in range(1001)]
    assert max(abs(a - b) for a, b in zip(points, points[1:])) < 0.05


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("Out") and "InOut" not in name])
def test_out_is_in_turned_round(name):
    inner = name.removesuffix("Out") + "In"
    for t in (0.1, 0.3, 0.7):
        assert ease(name, t) == pytest.approx(1 - ease(inner, 1 - t))


def test_there_is_a_number_for_each_step():
    assert steps(num_steps=5, start_value=2, end_value=4) == [2, 2.5, 3, 3.5, 4]
    assert steps(num_steps=1, start_value=2, end_value=4) == [2]


def test_before_and_after_the_curve_stand_the_values_given_also_when_they_are_0():
    shared = {"num_steps": 11, "start_value": 2, "end_value": 4, "start_step_percent": 0.2, "end_step_percent": 0.8}
    assert steps(**shared)[:3] == [2, 2, 2]
    assert steps(**shared)[-3:] == [4, 4, 4]
    found = steps(**shared, pre_start_value=0, post_end_value=0)
    assert (found[:3], found[-3:]) == ([0, 0, 2], [4, 0, 0])


def test_a_mirrored_curve_comes_back():
    assert steps(num_steps=5, mirror=True) == [0, 0.5, 1, 0.5, 0]
    assert steps(num_steps=4, mirror=True) == [0, 1, 1, 0]


def test_an_end_before_the_start_is_refused(studio):
    with pytest.raises(GraphError, match=r"end_step_percent: is 0.1, and must not be less"):
        studio.run(StepEasing(start_step_percent=0.5, end_step_percent=0.1), progress=False)
