"""What went wrong in the command lines this one learnt from, each as a story."""

import threading

import pytest
from PIL import Image

from nbgraph.errors import NbgraphError, NodeError
from nbgraph.grammar.lexer import GrammarError


def inputs(shell, node_id):
    return shell.graph.nodes[node_id]


def test_several_links_on_one_node_do_not_throw_each_other_away(shell, links):
    shell.perform("integer | integer | mul -l 0 value a -l 1 value b")
    assert links("2") == {"a": "0.value", "b": "1.value"}


def test_history_shows_the_newest_nodes(say):
    for number in range(8):
        say(f"integer --value {number}")
    assert say("history --count 2") == "integer --id 6 --value 6\ninteger --id 7 --value 7"


def test_typed_values_win_over_defaults_and_defaults_can_be_unset(say, value):
    say("default set b 5")
    say("add --a 1 --b 2")
    say("add --a 1")
    say("default unset b")
    say("add --a 1")
    assert [value(node_id) for node_id in "012"] == [3, 6, 1]
    assert say("default show") == "no defaults"


def test_implicit_links_leave_typed_values_alone(shell, links, studio):
    name = studio.services.images.save(Image.new("RGB", (40, 30))).image_name
    result = shell.perform(f"image --image {name} | img_resize --width 8 --height 6")[0].value
    assert links("1") == {"image": "0.image"}
    assert result.image.size == (8, 6)


def test_a_pipe_inside_quotes_is_part_of_the_text(say, shell):
    say('string --value "a | b"')
    assert inputs(shell, "0").value == "a | b"


@pytest.mark.parametrize(
    ("typed", "expected"),
    [("--flag", True), ("--flag True", True), ("--flag False", False), ("--flag no", False), ("--no-flag", False)],
)
def test_a_flag_that_is_typed_false_is_false(shell, typed, expected):
    shell.perform(f"cli_inputs {typed}")
    assert inputs(shell, "0").flag is expected


@pytest.mark.parametrize(("typed", "expected"), [("7", 7.0), ("[7, 8]", [7.0, 8.0]), ("7 8", [7.0, 8.0])])
def test_a_union_takes_what_any_of_its_members_takes(shell, typed, expected):
    shell.perform(f"cli_inputs --cfg_scale {typed if ',' not in typed else repr(typed)}")
    assert inputs(shell, "0").cfg_scale == expected


@pytest.mark.parametrize("typed", ["1 2 3", '"[1, 2, 3]"', "[1,2,3]"])
def test_a_list_is_typed_as_words_or_as_json(shell, typed):
    shell.perform(f"cli_inputs --numbers={typed}" if typed.startswith("[") else f"cli_inputs --numbers {typed}")
    assert inputs(shell, "0").numbers == [1, 2, 3]


def test_one_word_is_a_list_of_one(shell):
    shell.perform("cli_inputs --numbers 5 --texts one")
    assert inputs(shell, "0").numbers == [5]
    assert inputs(shell, "0").texts == ["one"]


def test_a_reference_can_be_typed_by_its_name_or_as_json(shell, studio):
    name = studio.services.images.save(Image.new("RGB", (4, 3))).image_name
    shell.perform(f"cli_inputs --picture {name}")
    shell.perform(f"""cli_inputs --picture '{{"image_name": "{name}"}}'""")
    assert inputs(shell, "0").picture == inputs(shell, "1").picture


def test_a_stage_that_cannot_be_taken_leaves_no_earlier_stage_behind(shell, say):
    with pytest.raises(GrammarError):
        shell.perform("integer --value 1 | add --c 3")
    assert len(shell.graph) == 0
    assert say("add --a 2") == "0 add: value=2"


def test_a_stage_that_fails_leaves_no_earlier_stage_behind(shell, say):
    with pytest.raises(NodeError):
        shell.perform("integer --value 1 | cli_fails")
    assert len(shell.graph) == 0
    assert say("add --a 2") == "0 add: value=2"


def test_nothing_is_linked_to_the_line_before(shell, links):
    shell.perform("integer --value 1")
    shell.perform("add --b 1")
    assert links("1") == {}


def test_a_dead_worker_ends_the_waiting_with_an_error(shell, say, studio, monkeypatch):
    queue = studio.services.queue

    def broken():
        raise MemoryError("the worker broke")

    monkeypatch.setattr(queue, "take", broken)
    monkeypatch.setattr(threading, "excepthook", lambda arguments: None)
    raised = []

    def perform():
        try:
            shell.perform("add --a 1")
        except NbgraphError as error:
            raised.append(error)

    thread = threading.Thread(target=perform, daemon=True)
    thread.start()
    thread.join(15)
    assert not thread.is_alive(), "the line still waits for a worker that is gone"
    assert "worker" in str(raised[0])
    monkeypatch.undo()
    assert say("add --a 2") == "0 add: value=2"


def test_a_random_default_is_drawn_anew_for_each_node(shell, value):
    shell.perform("cli_draws")
    shell.perform("cli_draws")
    assert value("0") != value("1")
