"""Random graphs of iterators, collectors and diamonds mean what plain nested loops mean, and run depth first."""

from typing import Any

from hypothesis import HealthCheck, assume, given, note, settings
from hypothesis import strategies as st

from tests.graph.oracle import MAKES_LISTS, Prepared, Program, Step
from tests.graph.running import Ran, run, run_examined

MOST_STEPS = 12
MOST_RUNS = 400


CHOICE = st.tuples(st.integers(0, 9), st.lists(st.integers(0, 50), min_size=3, max_size=3))
NUMBERS = st.lists(st.integers(0, 5), max_size=3).map(tuple)
PROGRAMS = st.tuples(NUMBERS, NUMBERS, st.lists(CHOICE, min_size=2, max_size=MOST_STEPS))


def program_of(first: tuple[int, ...], second: tuple[int, ...], choices: list[tuple[int, list[int]]]) -> Program:
    """Two lists, and then the steps those choices make, wired to any earlier step that fits."""
    steps = [Step("numbers", numbers=first), Step("numbers", numbers=second)]
    for kind, picks in choices:
        steps.append(next_step(steps, kind, picks))
    return Program(steps)


def next_step(steps: list[Step], kind: int, picks: list[int]) -> Step:
    """The step that a choice makes after these; another kind where nothing fits."""
    flat = [n for n, step in enumerate(steps) if step.kind in ("numbers", "spread") or gathers_numbers(steps, n)]
    numbers = [n for n, step in enumerate(steps) if step.kind in ("add", "total", "iterate")]
    collects = [n for n, step in enumerate(steps) if step.kind == "collect"]
    if kind == 9 and collects:
        return Step("collect", (pick(collects, picks[0]),))
    if kind == 8:
        return Step("total", (pick([n for n, step in enumerate(steps) if step.kind in MAKES_LISTS], picks[0]),))
    if kind <= 2 or not numbers:
        return Step("iterate", (pick(flat, picks[0]),))
    one, other = pick(numbers, picks[0]), pick(numbers, picks[1])
    if kind == 3:
        return Step("add", (one, other))
    if kind <= 6:
        return Step("spread", (one,))
    chained = (pick(flat, picks[2]),) if picks[2] % 3 == 0 else ()
    return Step("collect", tuple(dict.fromkeys((one, other))), chained)


def pick(numbers: list[int], choice: int) -> int:
    """One of these, more often one of the last three."""
    return numbers[-1 - choice % min(3, len(numbers))] if choice < 30 else numbers[choice % len(numbers)]


def gathers_numbers(steps: list[Step], number: int) -> bool:
    """Whether a collect gathers numbers, not lists."""
    return steps[number].kind == "collect" and all(steps[n].kind != "collect" for n in steps[number].inputs)


def small(program: Program) -> bool:
    """Whether the program runs few prepared nodes, found by counting no further than that."""
    runs = 0
    for number in range(len(program.steps)):
        for _ in program.paths(program.axes(number), {}):
            runs += 1
            if runs > MOST_RUNS:
                return False
    return True


def prepared_ids(ran: Ran) -> list[Prepared]:
    """What ran as (step number, path), in order."""
    found = []
    for name in ran.order:
        node, _, path = name.rstrip("]").partition("[")
        found.append((int(node[1:]), tuple(map(int, path.split(","))) if path else ()))
    return found


@given(PROGRAMS)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_graph_means_what_nested_loops_mean_and_runs_depth_first(choices: Any) -> None:
    program = program_of(*choices)
    assume(small(program))
    note(program)
    ran = run(program.graph)
    assert ran.session.status == "completed"
    examined = run_examined(program.graph)
    assert examined.order == ran.order
    assert dict(examined.session.outputs) == dict(ran.session.outputs)
    assert examined.session.status == "completed"
    for number, step in enumerate(program.steps):
        output = {"iterate": "item", "add": "value", "total": "value"}.get(step.kind, "collection")
        found = {path: getattr(out, output) for path, out in ran.session.outputs_of(f"n{number}").items()}
        expected = program.results(number)
        assert found == expected, f"n{number}"
        assert list(found) == list(expected), f"n{number} in path order"
    check_order(program, prepared_ids(ran))


def check_order(program: Program, order: list[Prepared]) -> None:
    """Each is the first that can run by (path, place in the graph), or goes on at the path where it is."""
    everything = [(n, path) for n in range(len(program.steps)) for path in program.results(n)]
    assert sorted(order) == sorted(everything), "everything runs exactly once"
    needs = {prepared: program.needs(*prepared) for prepared in everything}
    place = {prepared: program.place(*prepared) for prepared in everything}
    done: set[Prepared] = set()
    before: Prepared = (-1, (-1,))
    for prepared in order:
        assert needs[prepared] <= done, f"{prepared} ran before what it needs"
        first = min((one for one in everything if one not in done and needs[one] <= done), key=place.__getitem__)
        goes_on = before[1] == prepared[1]
        assert goes_on or prepared == first, f"{prepared} ran, and {first} could"
        done.add(prepared)
        before = prepared
