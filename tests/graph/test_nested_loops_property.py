"""Random graphs of iterators, collectors and diamonds mean what plain nested loops mean, and run depth first."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.graph.oracle import MAKES_LISTS, Program, Step
from tests.graph.running import Ran, run

MOST_STEPS = 12
MOST_RUNS = 400


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Graphs whose steps are wired to any earlier step that fits."""
    steps = [Step("numbers", numbers=tuple(draw(st.lists(st.integers(0, 5), max_size=3))))]
    for _ in range(draw(st.integers(2, MOST_STEPS))):
        steps.append(draw(next_steps(steps)))
    return Program(steps)


def next_steps(steps: list[Step]) -> st.SearchStrategy[Step]:
    """The steps that may come after these."""
    flat = [n for n, step in enumerate(steps) if step.kind in ("numbers", "spread") or _flat(steps, n)]
    lists = [n for n, step in enumerate(steps) if step.kind in MAKES_LISTS]
    numbers = [n for n, step in enumerate(steps) if step.kind in ("add", "total") or _number(steps, n)]
    one_of = [
        st.builds(Step, st.just("numbers"), numbers=st.lists(st.integers(0, 5), max_size=3).map(tuple)),
        st.builds(Step, st.just("total"), st.tuples(st.sampled_from(lists))),
        st.builds(Step, st.just("iterate"), st.tuples(st.sampled_from(flat))),
    ]
    if numbers:
        number = st.sampled_from(numbers)
        several = st.lists(number, min_size=1, max_size=3, unique=True).map(tuple)
        chained = st.lists(st.sampled_from(flat), max_size=1).map(tuple)
        one_of += [
            st.builds(Step, st.just("iterate"), st.tuples(st.sampled_from(flat))),
            st.builds(Step, st.just("add"), st.tuples(number, number)),
            st.builds(Step, st.just("spread"), st.tuples(number)),
            st.builds(Step, st.just("collect"), several, chained),
        ]
    collects = [n for n, step in enumerate(steps) if step.kind == "collect"]
    if collects:
        one_of.append(st.builds(Step, st.just("collect"), st.tuples(st.sampled_from(collects))))
    return st.one_of(one_of)


def _flat(steps: list[Step], number: int) -> bool:
    """Whether a collect gathers numbers, not lists."""
    return steps[number].kind == "collect" and all(steps[n].kind != "collect" for n in steps[number].inputs)


def _number(steps: list[Step], number: int) -> bool:
    return steps[number].kind == "iterate"


def small(program: Program) -> bool:
    """Whether the program runs few prepared nodes, found by counting no further than that."""
    runs = 0
    for number in range(len(program.steps)):
        for _ in program.paths(program.axes(number), {}):
            runs += 1
            if runs > MOST_RUNS:
                return False
    return True


def prepared_ids(ran: Ran) -> list[tuple[int, tuple[int, ...]]]:
    """What ran as (step number, path), in order."""
    found = []
    for name in ran.order:
        node, _, path = name.rstrip("]").partition("[")
        found.append((int(node[1:]), tuple(map(int, path.split(","))) if path else ()))
    return found


@given(programs().filter(small))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
def test_a_graph_means_what_nested_loops_mean_and_runs_depth_first(program: Program) -> None:
    ran = run(program.graph)
    assert ran.session.status == "completed"
    for number, step in enumerate(program.steps):
        output = {"iterate": "item", "add": "value", "total": "value"}.get(step.kind, "collection")
        found = {path: getattr(out, output) for path, out in ran.session.outputs_of(f"n{number}").items()}
        expected = program.results(number)
        assert found == expected, f"n{number}"
        assert list(found) == list(expected), f"n{number} in path order"
    check_order(program, prepared_ids(ran))


def check_order(program: Program, order: list[tuple[int, tuple[int, ...]]]) -> None:
    """Each step is the first that can run by (path, place in the graph), or goes on at the path where it is."""
    everything = {(n, path) for n in range(len(program.steps)) for path in program.results(n)}
    assert sorted(order) == sorted(everything), "everything runs exactly once"
    needs = {prepared: program.needs(*prepared) for prepared in everything}
    done: set[tuple[int, tuple[int, ...]]] = set()
    before: tuple[int, tuple[int, ...]] | None = None
    for prepared in order:
        assert needs[prepared] <= done, f"{prepared} ran before what it needs"
        ready = [one for one in everything if one not in done and needs[one] <= done]
        first = min((path, number) for number, path in ready)
        goes_on = before is not None and before[1] == prepared[1]
        assert goes_on or (prepared[1], prepared[0]) == first, f"{prepared} ran, and {first} could"
        done.add(prepared)
        before = prepared


@pytest.mark.parametrize("seed", range(1))
def test_the_programs_reach_what_they_are_for(seed: int) -> None:
    nested = Program([
        Step("numbers", numbers=(1, 2)),
        Step("iterate", (0,)),
        Step("spread", (1,)),
        Step("iterate", (2,)),
        Step("collect", (3, 1)),
    ])  # fmt: skip
    assert nested.results(4) == {(0,): [1, 10], (1,): [2, 20, 21]}
