"""A node of a person's own that fails shows file, line and code of the last line of that person's code that ran."""

import importlib
import logging
import os
import pickle
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Annotated, Any

import numpy as np
import pytest
from pydantic import AfterValidator, BaseModel, field_validator

import nbgraph as nb
from nbgraph.errors import NodeError, Problem
from nbgraph.invocations import Divide, Float, Iterate
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.outputs import FloatOutput, IntegerOutput
from nbgraph.services.invocation_cache.code_packages import is_own_file
from nbgraph.services.invocation_processor.own_frames import place_of
from nbgraph.widgets.run_feed import RunFeed
from nbgraph.widgets.run_state import run_state
from nbgraph.widgets.run_static import static_bundle
from tests.services.batched_nodes import Square, record, squares, values

HERE = os.path.relpath(__file__)


def halve(value: float) -> float:
    return value / 0  # half


@nb.node
def calls_a_helper(value: float = 1) -> float:
    return halve(value)


@nb.node
def fails_in_numpy(count: int = 3) -> float:
    return np.linalg.inv(np.zeros((count, count)))[0, 0]  # inverse


@nb.node
def fails_in_the_standard_library(text: str = "x") -> float:
    return float(Path("/nowhere").joinpath(text).read_text())  # read


@nb.node
def fails_for_another_reason(value: int = 0) -> float:
    try:
        return 1 / value
    except ZeroDivisionError as error:
        raise ValueError("value is 0") from error  # chained


@nb.node
def fails_while_it_handles(value: int = 0) -> float:
    try:
        return 1 / value
    except ZeroDivisionError:
        return halve(value)


def again(value: int) -> int:
    return again(value + 1)  # again


@nb.node
def never_ends(value: int = 0) -> int:
    return again(value)


@nb.node
def reads_wrong_code(text: str = "x = = 2") -> int:
    exec(text)  # noqa: S102
    return 1


@dataclass
class Point:
    x: int
    y: list[int]

    def __post_init__(self) -> None:
        self.x = 1 / self.x  # type: ignore[assignment]


@dataclass(frozen=True)
class Fixed:
    x: int


@nb.node
def makes_a_dataclass(x: int = 0) -> float:
    return Point(x, []).x


@nb.node
def changes_what_is_fixed(x: int = 0) -> float:
    fixed = Fixed(x)
    fixed.x = 2  # type: ignore[misc]  # assigned
    return 1.0


class Size(BaseModel):
    width: int

    @field_validator("width")
    @classmethod
    def _even(cls, width: int) -> int:
        if width % 2:
            raise ValueError("a width is even")  # in a model
        return width


@nb.node
def makes_a_model(width: int = 3) -> int:
    return Size(width=width).width


def small(value: float) -> float:
    if value > 1:
        raise ValueError("a share is at most 1")  # validated
    return value


@nb.node
def takes_a_share(share: Annotated[float, AfterValidator(small)] = 1) -> float:
    return share


@invocation("test_fails_as_a_class", category="test")
class FailsAsAClass(BaseInvocation):
    def invoke(self, context: InvocationContext) -> FloatOutput:
        return FloatOutput(value=self._scale / 0)

    @property
    def _scale(self) -> float:
        return {}["scale"]  # looked up


def failure(studio: nb.Studio, node: Any) -> NodeError:
    with pytest.raises(NodeError) as raised:
        studio.run(node, progress=False)
    return raised.value


def line_with(words: str) -> str:
    """`line 12`, the number of the line of this file that ends with these words."""
    lines = Path(__file__).read_text().splitlines()
    return f"line {next(number for number, line in enumerate(lines, 1) if line.endswith(words))}"


@pytest.mark.parametrize(
    ("node", "words", "name"),
    [
        (calls_a_helper, "# half", "halve"),
        (fails_in_numpy, "# inverse", "fails_in_numpy"),
        (fails_in_the_standard_library, "# read", "fails_in_the_standard_library"),
        (fails_for_another_reason, "# chained", "fails_for_another_reason"),
        (fails_while_it_handles, "# half", "halve"),
        (never_ends, "# again", "again"),
        (makes_a_dataclass, "# type: ignore[assignment]", "Point.__post_init__"),
        (makes_a_model, "# in a model", "Size._even"),
        (FailsAsAClass, "# looked up", "FailsAsAClass._scale"),
    ],
    ids=lambda value: getattr(value, "type", ""),
)
def test_the_last_own_line_is_shown_with_its_file_and_code(studio, node, words, name):
    error = failure(studio, node(use_cache=False))
    source = next(line.strip() for line in Path(__file__).read_text().splitlines() if line.endswith(words))
    assert error.place == f"{HERE}, {line_with(words)}, in {name}: {source}"
    assert f"\n  at: {error.place}\n  inputs: " in str(error)


def test_a_validator_that_refuses_what_arrives_is_the_last_own_line(studio):
    error = failure(studio, takes_a_share(share=Float(value=2)))
    assert "a share is at most 1" in error.message
    assert error.place.startswith(f"{HERE}, {line_with('# validated')}, in small: raise ValueError(")


def test_the_nodes_of_nbgraph_show_no_line(studio):
    error = failure(studio, Divide(a=1, b=Iterate(collection=[0])))
    assert error.place == ""
    assert "  at: " not in str(error)


def test_a_value_that_is_no_output_is_an_error_without_a_line(studio):
    @nb.node
    def gives_text() -> int:
        return "text"  # type: ignore[return-value]

    assert failure(studio, gives_text()).place == ""


def test_code_made_by_exec_is_shown_by_its_name_and_line_alone(studio):
    namespace = {"nb": nb, "__name__": "__main__"}
    exec("@nb.node\ndef made(value: int = 0) -> float:\n\n    return 1 / value\n", namespace)  # noqa: S102
    assert failure(studio, namespace["made"](use_cache=False)).place == "<string>, line 4, in made"


def test_code_without_a_source_names_its_nearest_caller_that_has_one(studio):
    namespace: dict[str, Any] = {}
    exec("def inner(value):\n    return 1 / value", namespace)  # noqa: S102

    @nb.node(use_cache=False)
    def calls_made_code(value: int = 0) -> float:
        return namespace["inner"](value)  # made

    place = failure(studio, calls_made_code()).place
    assert place == (
        f"<string>, line 2, in inner, called from {HERE}, {line_with('# made')}, in calls_made_code: "
        'return namespace["inner"](value)  # made'
    )


def test_what_a_dataclass_made_names_the_line_that_called_it(studio):
    place = failure(studio, changes_what_is_fixed()).place
    assert place.startswith("<string>, line ")
    assert f"called from {HERE}, {line_with('# assigned')}, in changes_what_is_fixed: fixed.x = 2" in place


def test_what_a_dataclass_of_an_installed_package_made_is_not_ones_own(studio):
    @nb.node(use_cache=False)
    def changes_a_problem() -> int:
        Problem("kind", "message").kind = "other"  # type: ignore[misc]  # not own
        return 1

    place = failure(studio, changes_a_problem()).place
    assert place.startswith(f"{HERE}, {line_with('# not own')}, in changes_a_problem: Problem(")


def test_a_wrong_syntax_is_shown_with_its_text_and_with_what_read_it(studio):
    error = failure(studio, reads_wrong_code(use_cache=False))
    assert error.message.startswith("SyntaxError: invalid syntax")
    assert error.place.startswith(f"<string>, line 1: x = = 2, called from {HERE}, line ")


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Makes a module of a text, in a folder of its own."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(name: str, text: str, folder: str = "") -> Any:
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / f"{name}.py").write_text(dedent(text), encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path / folder)
        importlib.invalidate_caches()
        try:
            return importlib.import_module(name)
        finally:
            made.append(name)

    made: list[str] = []
    yield make
    for name in made:
        sys.modules.pop(name, None)


FAILS = """
import nbgraph as nb

@nb.node(use_cache=False)
def fails_in_a_module(value: int = 0) -> float:
    return 1 / value
"""


def test_a_module_is_shown_by_its_path_from_the_working_folder_or_home(studio, module, tmp_path, monkeypatch):
    node = module("own_colours", FAILS).fails_in_a_module()
    rest = "own_colours.py, line 6, in fails_in_a_module: return 1 / value"
    assert failure(studio, node).place.endswith(f"/{tmp_path.name}/{rest}")  # whose beginning may be cut off
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    assert failure(studio, node).place == f"~/{tmp_path.name}/{rest}"
    monkeypatch.chdir(tmp_path)
    assert failure(studio, node).place == rest


def test_a_working_folder_that_is_gone_hides_no_failure(studio, module, tmp_path, monkeypatch):
    node = module("own_colours", FAILS).fails_in_a_module()
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert failure(studio, node).place.endswith("own_colours.py, line 6, in fails_in_a_module: return 1 / value")


def test_an_installed_package_is_not_ones_own_even_without_a_version(studio, module):
    module("without_a_version", "def divide(value):\n    return 1 / value\n", "site-packages")

    @nb.node(use_cache=False)
    def calls_an_installed_one(value: int = 0) -> float:
        import without_a_version  # type: ignore[import-not-found]

        return without_a_version.divide(value)  # installed

    assert line_with("# installed") in failure(studio, calls_an_installed_one()).place


def test_a_module_that_cannot_be_imported_shows_the_line_that_is_wrong(studio, module, monkeypatch, tmp_path):
    with pytest.raises(SyntaxError):
        module("own_mistake", "x = 1\ny = = 2\n")
    monkeypatch.chdir(tmp_path)

    @nb.node(use_cache=False)
    def imports_a_mistake(value: int = 0) -> int:
        import own_mistake  # type: ignore[import-not-found]

        return own_mistake.x

    assert failure(studio, imports_a_mistake()).place == "own_mistake.py, line 2: y = = 2"


def test_long_lines_and_paths_are_cut_and_what_cannot_be_printed_is_escaped(studio, module, tmp_path, monkeypatch):
    odd = FAILS.replace("fails_in_a_module", "odd").replace("1 / value", f"1 /\tvalue # \x1b\u202e{'long' * 10_000}")
    place = failure(studio, module("own_odd", odd, "/".join(["long"] * 30)).odd()).place
    where, _, code = place.partition(", line 6, in odd: ")
    assert len(where) == 80
    assert where.startswith("...")
    assert where.endswith("/long/own_odd.py")
    assert code.startswith("return 1 /")
    assert "\\x1b\\u202elonglong" in code
    assert code.endswith("...")
    assert len(code) == 120
    assert place.isprintable()


def test_the_place_comes_through_pickle_and_pins_nothing(studio):
    error = failure(studio, calls_a_helper(use_cache=False))
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (again.place, str(again)) == (error.place, str(error))
    assert error.place
    assert error.__cause__ is None
    assert all(isinstance(value, str | dict) for value in vars(error).values())


@nb.node
def fails_with_markup(value: int = 0) -> str:
    raise ValueError("<b>markup</b>" * value + "<script>" * 5000 * (not value))  # <script>planted</script>


def test_the_card_of_a_run_shows_the_line_escaped_however_long_the_message_is(studio):
    run = studio.run(fails_with_markup(id="bad"), progress=False, on_error="continue")
    place = run.errors[0].place
    assert place.endswith("# <script>planted</script>")
    (node,) = run_state(run).nodes
    assert node.error.endswith(f"\n  at: {place}")
    assert len(node.error) < 4500
    html = static_bundle(run)["text/html"]
    assert "# &lt;script&gt;planted&lt;/script&gt;" in html
    assert "<script" not in html


def test_the_canvas_shows_the_line_at_the_node(studio):
    graph = nb.Graph([calls_a_helper(id="bad", use_cache=False)])
    feed = RunFeed(studio.services, graph.id, lambda content, pictures: None, lambda: None)
    run = studio.submit(graph, on_error="continue").wait()
    feed.close()
    assert feed.states["bad"].error == f"ZeroDivisionError: float division by zero\n  at: {run.errors[0].place}"
    assert run.errors[0].place


@invocation("test_joined_wrongly", category="test")
class JoinedWrongly(Square):
    @staticmethod
    def invoke_batch(nodes: Any, contexts: Any) -> list[IntegerOutput]:
        if len(nodes) > 1:
            return nodes[len(nodes)]  # beyond
        return Square.invoke_batch(nodes, contexts)


@pytest.mark.usefixtures("no_calls")
def test_a_node_that_fails_in_a_batch_shows_its_line(small):
    def fail(given: list[int]) -> None:
        if 3 in given:
            raise ValueError("3 has no square")  # in a batch

    record().before = fail
    error = failure(small, squares(range(8)))
    assert error.node == "square[2]"
    assert line_with("# in a batch") in error.place


@pytest.mark.usefixtures("no_calls")
def test_a_batch_that_fails_where_single_nodes_do_not_is_logged_with_its_line(small, caplog):
    with caplog.at_level(logging.WARNING, "nbgraph"):
        run = small.run(JoinedWrongly(id="square", value=Iterate(collection=[1, 2, 3])), progress=False)
    assert values(run) == [1, 4, 9]
    assert line_with("# beyond") in caplog.text


def test_an_error_that_was_never_raised_has_no_place():
    assert place_of(ValueError("no frames")) == ""


def test_files_of_python_and_of_installed_packages_are_not_ones_own():
    assert not any(map(is_own_file, (os.__file__, np.__file__, nb.__file__, "<frozen importlib._bootstrap>")))
    assert all(map(is_own_file, (__file__, "script.py", "<string>", "<ipython-input-1-abc>")))
