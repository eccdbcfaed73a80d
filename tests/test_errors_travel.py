"""Errors come through pickle, copies and pools of processes with the same text and attributes."""

import copy
import multiprocessing
import pickle
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest

import nbgraph as nb
from nbgraph import errors
from nbgraph.cli.shell import NotText
from nbgraph.errors import NbgraphError, NodeError, Problem, suggest
from nbgraph.grammar.graph_from_python import CodeError
from nbgraph.grammar.lexer import GrammarError
from nbgraph.invocations import Divide, Iterate
from nbgraph.widgets.document import ReadOnlyError, StaleRevisionError

PROBLEM = Problem("bad_value", "is too small", "noise", "width")
ARGUMENTS = {
    errors.GraphError: ([PROBLEM, Problem("late", "is late")],),
    errors.IterationLimitError: ("each", 100_000, 10_000),
    errors.TargetError: (3,),
    errors.ChoiceError: ("progress", "txt", ["'text'"]),
    errors.SettingsError: (["one is wrong", "another too"],),
    errors.PositionalError: ("Add", (1, 2), ["a", "b"], []),
    errors.UnknownNodeTypeError: ("ad", ["add", "div"]),
    errors.NodeError: ("noise", "noise", "no room", {"seed": "7"}, "Traceback ...", "cell [5], line 3: 1 / 0"),
    errors.OwnWorkerError: (),
    errors.NotFoundError: ("there is no picture",),
    errors.StoreTooNewError: ("nbgraph.db", 9, 4),
    GrammarError: ("no option", 7),
    CodeError: (3, [PROBLEM]),
}
"""What is given to make an error of each class; the others take a text."""


def classes(base: type[NbgraphError] = NbgraphError) -> Iterator[type[NbgraphError]]:
    yield base
    for each in base.__subclasses__():
        yield from classes(each)


OURS = sorted({each for each in classes() if each.__module__.startswith("nbgraph.")}, key=lambda each: each.__name__)


def test_the_errors_of_all_parts_are_among_them():
    assert {NodeError, NotText, GrammarError, ReadOnlyError, StaleRevisionError} < set(OURS)


@pytest.mark.parametrize("error_class", OURS)
def test_every_error_is_the_same_after_pickle_and_copies(error_class):
    error = error_class(*ARGUMENTS.get(error_class, ("what happened",)))
    error.add_note("and a note")
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):  # noqa: S301
        assert type(again) is error_class
        assert (str(again), repr(again), again.args) == (str(error), repr(error), error.args)
        assert vars(again) == vars(error)


def run_what_fails() -> None:
    with nb.Studio() as studio:
        studio.run(Divide(id="ratio", a=1, b=Iterate(collection=[0])), progress=False)


@pytest.fixture(scope="module")
def failure() -> NodeError:
    with pytest.raises(NodeError) as caught:
        run_what_fails()
    return caught.value


def is_same(error: NodeError, failure: NodeError) -> bool:
    return (str(error), error.node, error.type, error.message, error.inputs) == (
        str(failure),
        failure.node,
        failure.type,
        failure.message,
        failure.inputs,
    )


def test_the_error_of_a_node_comes_out_of_pools_of_processes(failure):
    fork = multiprocessing.get_context("fork")
    with fork.Pool(1) as pool, pytest.raises(NodeError) as caught:
        pool.apply_async(run_what_fails).get(timeout=60)
    assert is_same(caught.value, failure)
    with ProcessPoolExecutor(1, mp_context=fork) as pool, pytest.raises(NodeError) as caught:
        pool.submit(run_what_fails).result(timeout=60)
    assert is_same(caught.value, failure)


def test_a_suggestion_is_quoted_once():
    assert suggest("'stp'", ["'stop'", "'continue'"]) == "; did you mean 'stop'?"
    assert suggest("stp", ["stop", "continue"]) == "; did you mean 'stop'?"
    with nb.Studio() as studio, pytest.raises(errors.ChoiceError, match=r"; did you mean 'stop'\?"):
        studio.submit(Divide(), on_error="stp")  # type: ignore[arg-type]


def test_only_near_names_are_suggested_and_at_most_three_of_them():
    sizes = ["width", "height", "width_1", "width_2", "width_3"]
    assert suggest("widht", ["width", "height"]) == "; did you mean 'width'?"
    assert suggest("Nois", ["Noise", "noise"]) == "; did you mean 'Noise' or 'noise'?", "names may differ by case alone"
    assert suggest("width_", sizes) == "; did you mean 'width_3', 'width_2' or 'width_1'?"
    assert suggest("Width_1", ["height", "width_1"]) == "; did you mean 'width_1'?"


def test_all_names_are_listed_where_none_is_near_and_they_are_few():
    assert suggest("zzz", ["width", "height"]) == " (possible: height, width)"
    assert suggest("'tensor'", ["'runs'", "'stats'"]) == " (possible: 'runs', 'stats')"
    assert suggest("zzz", []) == " (possible: none)"
    assert suggest("zzz", map(str, range(500))) == " (none of the 500 possible ones is like it)"
