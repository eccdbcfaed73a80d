"""The magics in a real IPython shell, and in a notebook that is executed."""

import nbformat
import pytest
from apple_line import APPLE_LINE
from IPython.core.interactiveshell import InteractiveShell
from nbclient import NotebookClient
from traitlets.config import Config

import nbgraph
from nbgraph.grammar.lexer import GrammarError


@pytest.fixture
def notebook():
    """A shell with the magics loaded; `run` runs a cell, `complete` gives what may come at its end."""
    # with a history, a database stays open, and a thread that writes into it
    shell = InteractiveShell(config=Config(HistoryManager={"enabled": False}))
    shell.Completer.use_jedi = False
    shell.run_line_magic("load_ext", "nbgraph")
    yield shell
    studio = shell.user_ns.get("studio")
    if isinstance(studio, nbgraph.Studio):
        studio.close()


def test_a_line_makes_a_studio_and_its_value_is_the_last_result(notebook):
    notebook.run_cell("%nbgraph integer --value 4 | add --b 1 | mul --link -2 value a --link -1 value b")
    assert notebook.user_ns["_"].value == 20
    assert isinstance(notebook.user_ns["studio"], nbgraph.Studio)


def test_a_line_can_be_assigned(notebook):
    notebook.run_cell("result = %nbgraph add --a 1 --b 2")
    assert notebook.user_ns["result"].value == 3


def test_the_session_lives_in_the_studio_of_the_notebook(notebook, studio):
    notebook.user_ns["studio"] = studio
    notebook.run_cell("%nbgraph add --a 1")
    assert len(studio.stats) == 1


def test_a_variable_studio_that_is_none_is_named_and_kept(notebook):
    notebook.user_ns["studio"] = {"name": "Abbey Road"}
    done = notebook.run_cell("%nbgraph add --a 1")
    assert isinstance(done.error_in_exec, nbgraph.NbgraphError)
    assert "the variable 'studio' is {'name': 'Abbey Road'}" in str(done.error_in_exec)
    assert notebook.complete("", "%nbgraph ad", 11)[1] == []
    assert notebook.user_ns["studio"] == {"name": "Abbey Road"}
    notebook.run_cell("del studio")
    assert notebook.run_cell("%nbgraph add --a 1").result.value == 1


def test_a_cell_performs_its_lines_and_keeps_the_last_result(notebook, capsys):
    notebook.run_cell("%%nbgraph\nadd --a 1 |\n  mul --b 3\n# a comment\ngraph\n")
    assert notebook.user_ns["_"].value == 3
    assert "mul --id 1 --b 3 --link 0 value a" in capsys.readouterr().out


def test_a_cell_stops_at_the_first_line_that_cannot_be_taken_and_says_which(notebook):
    done = notebook.run_cell("%%nbgraph\nadd --a 1\nad --a 1\nadd --a 2")
    assert isinstance(done.error_in_exec, GrammarError)
    assert str(done.error_in_exec).startswith("line 3, column 1: ")
    assert notebook.run_cell("%nbgraph add --a 5").result.value == 5


def test_braces_and_dollars_reach_the_line_as_they_are_typed(notebook):
    notebook.run_cell("""number = 3\nresult = %nbgraph cli_inputs --table '{"number": 1}' --text "{number} $number" """)
    assert "{number} $number" in notebook.user_ns["result"].value


def test_stats_come_as_a_frame(notebook):
    notebook.run_cell("%nbgraph add --a 1")
    notebook.run_cell("frame = %nbgraph stats")
    assert list(notebook.user_ns["frame"]["type"]) == ["add"]


def test_lines_are_completed_in_line_and_cell_magics(notebook):
    notebook.run_cell("%nbgraph integer --value 4")

    def complete(code):
        return notebook.complete("", code.splitlines()[-1], len(code.splitlines()[-1]))[1]

    assert "add" in complete("%nbgraph ad")
    assert "--b" in complete("%nbgraph add --")
    assert "bicubic" in complete("x = %nbgraph img_resize --resample_mode ")


def test_the_magics_draw_a_picture_in_an_executed_notebook(tmp_path):
    cells = ["%load_ext nbgraph", f"%%nbgraph\n{APPLE_LINE}\ndraw_graph", "assert _.image.size == (128, 128)\n_"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    shown = [output for output in notebook.cells[1].outputs if "image/png" in output.get("data", {})]
    assert len(shown) == 2, "the picture and the drawn graph"
