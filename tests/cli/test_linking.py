"""How the stages of a line are joined, and what of a line stays when it fails."""

import re

import pytest

from nbgraph.cli import ExitCode
from nbgraph.cli.shell import perform_shown
from nbgraph.errors import NodeError
from nbgraph.grammar.lexer import GrammarError
from nbgraph.invocations import Add, Multiply
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.library import Exposed, LibraryGraph


def test_negative_ids_count_back_from_the_stage_they_stand_in(shell, links, value):
    """The story of the seeds' line: five stages, each finding the ones it means by counting back."""
    shell.perform("integer --value 4 | add --b 1 | mul --link -2 value a --link -1 value b")
    assert links("2") == {"a": "0.value", "b": "1.value"}
    assert value("2") == 20


def test_two_links_on_one_node_both_survive(shell, links):
    """The story of the seeds' second fix: each --link threw away all earlier edges of the node."""
    shell.perform("integer --value 2 | integer --value 3")
    shell.perform("mul --link 0 value a --link 1 value b")
    assert links("2") == {"a": "0.value", "b": "1.value"}


def test_a_list_is_iterated_and_collected_on_one_line(shell, say):
    """The story of the seeds' third fix: iteration from the command line."""
    text = say("range --stop 4 | iterate | mul --b 10 | collect")
    assert text.splitlines()[-1] == "3 collect (item=2.value): collection=[0, 10, 20, 30]"
    assert [output.value for output in shell.state.execution.outputs_of("2").values()] == [0, 10, 20, 30]


def test_outputs_go_to_inputs_of_equal_name_and_fitting_type(shell, links):
    shell.perform("range --stop 2 | iterate")
    assert links("1") == {"collection": "0.collection"}


def test_a_single_output_goes_to_the_first_input_that_fits(shell, links):
    shell.perform("integer --value 1 | add")
    assert links("1") == {"a": "0.value"}


def test_a_single_output_goes_past_an_input_that_is_typed(shell, links, value):
    shell.perform("integer --value 1 | add --a 5")
    assert links("1") == {"b": "0.value"}
    assert value("1") == 6


def test_a_single_output_that_fits_nothing_is_not_linked(shell, links):
    shell.perform("string --value x | range --stop 2")
    assert links("1") == {}


def test_link_node_takes_the_place_of_implicit_links_of_the_same_inputs_only(shell, links):
    shell.perform("integer --value 1 --id one | integer --value 2 --id two")
    shell.perform("integer --value 3 --id three | add --link_node one --link two value b")
    assert links("3") == {"a": "one.value", "b": "two.value"}


def test_a_later_link_replaces_an_earlier_one_of_the_same_input(shell, links):
    shell.perform("integer --value 1 | integer --value 2 | add --link -2 value a --link -1 value a")
    assert links("2") == {"a": "1.value"}


def test_an_input_that_takes_many_edges_keeps_them_all(shell, links):
    shell.perform("integer --value 1 | integer --value 2 | collect --link -2 value item --link -1 value item")
    assert links("2") == {"item": ["0.value", "1.value"]}


def test_a_typed_value_and_a_link_to_the_same_input_contradict_each_other(shell):
    with pytest.raises(GrammarError, match="column 37: .*typed value and a --link"):
        shell.perform("integer | add --a 1 --link -1 value a")


def test_nodes_are_named_and_found_by_name(shell, links):
    shell.perform("integer --value 7 --id seven")
    shell.perform("add --b 1 --link seven value a")
    assert links("1") == {"a": "seven.value"}


def test_a_name_that_looks_like_a_relative_id_is_meant_when_quoted(shell, links):
    shell.perform('integer --value 7 --id "-1" | integer --value 8')
    shell.perform('add --link "-1" value a --link -1 value b')
    assert links("2") == {"a": "-1.value", "b": "1.value"}


@pytest.mark.parametrize(
    ("line", "column", "words"),
    [
        ("ad --a 1", 1, "did you mean 'add'"),
        ("add --aa 1", 5, "did you mean 'a'"),
        ("add --a x", 9, "valid integer"),
        ("img_resize --resample_mode bicubi", 28, "did you mean 'bicubic'"),
        ("add | mul --link 7 value a", 18, "no node '7'"),
        ("add --id first | mul --link frist value a", 29, "did you mean 'first'"),
        ("add | mul --link -2 value a", 18, "counts back"),
        ("add | mul --link -1 vale a", 21, "did you mean 'value'"),
        ("add | mul --link -1 value c", 27, "no input 'c'"),
        ("add | mul --link -1 value", 11, "three words"),
        ("string --value x | add --link -1 value a", 24, "takes int"),
        ("add --a 1 2", 11, "takes one value"),
        ("add 5", 5, "takes options only"),
        ("add --a", 5, "needs a value"),
        ("add --a 1 --a 2", 11, "given twice"),
        ("add --id x | mul --id x", 23, "already"),
        ("prompt --text x", 1, "needs clip"),
        ("add --no-a", 5, "flags"),
        ("prompt --link_node 3", 20, "no node '3'"),
        ("string | noise --link_node -1", 28, "fits an open input"),
        ("model_loader --model emojj", 14, "emoji"),
        ("history | add", 11, "follows a command"),
        ("add | history --count x", 23, "valid integer"),
    ],
)
def test_bad_lines_are_told_with_their_place_and_change_nothing(shell, line, column, words):
    shell.perform("integer --value 1 --id kept | undo")
    with pytest.raises(GrammarError, match=words) as raised:
        shell.perform(line)
    assert raised.value.column == column
    assert len(str(raised.value).splitlines()) == 1
    assert len(shell.graph) == 0


def test_a_line_whose_node_fails_leaves_the_session_as_it_was(shell, say):
    shell.perform("integer --value 1")
    before = shell.state
    with pytest.raises(NodeError, match="always fails"):
        shell.perform("add --a 1 | cli_fails")
    assert shell.state is before
    assert say("add --a 5") == "1 add: value=5"


def test_a_node_that_fails_is_shown_in_one_line_with_the_line_of_its_code(shell, capsys):
    assert perform_shown(shell, "cli_fails", "lines:1: ") == ExitCode.FAILED
    shown = capsys.readouterr().err
    place = r"at: \S*cli_nodes.py, line \d+, in Fails.invoke: raise ValueError\(\"this node always fails\"\); inputs: "
    assert re.search(rf"^lines:1: node .* failed: ValueError: this node always fails; {place}", shown)
    assert shown.count("\n") == 1


def test_a_line_whose_command_fails_leaves_the_session_as_it_was(shell):
    with pytest.raises(GrammarError, match="no node 'nothing'"):
        shell.perform("add --a 1 | show nothing")
    assert len(shell.graph) == 0
    assert shell.undo() is None


def test_what_has_run_is_not_run_again_by_the_next_line(shell, value):
    shell.perform("rand_int")
    first = value("0")
    for _ in range(5):
        shell.perform("integer")
    assert value("0") == first


def test_a_library_graph_is_a_stage(shell, say):
    inner = Graph.of(Multiply(id="twice", a=Add(id="sum", b=1), b=2))
    library = LibraryGraph(
        "Plus One Twice", inner, [Exposed("number", "sum", "a")], [Exposed("result", "twice", "value")]
    )
    shell.studio.services.graph_library.set(library)
    assert say("integer --value 4 | plus_one_twice | add --b 1").splitlines()[-1] == "2 add (a=1.result): value=11"
    assert say("graph").splitlines()[1] == "plus_one_twice --id 1 --link 0 value number"
