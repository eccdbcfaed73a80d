"""What the commands answer, and what undo and files give back."""

import re

import pytest
from PIL import Image

from nbgraph.cli.commands import COMMANDS, ExitShell, new_session
from nbgraph.cli.figure import draw_execution_graph, draw_graph
from nbgraph.errors import NbgraphError
from nbgraph.frames import STATS
from nbgraph.grammar.lexer import GrammarError
from nbgraph.grammar.parser import parse_line


def test_undo_takes_lines_back_one_after_the_other(say, shell):
    say("integer --value 1")
    say("add --b 1 | mul")
    assert say("undo") == "took back 1 add, 2 mul"
    assert say("undo") == "took back 0 integer"
    assert say("undo") == "nothing to take back"
    assert say("add --a 3") == "0 add: value=3"


def test_a_saved_graph_is_loaded_and_run(say, tmp_path, shell):
    say("integer --value 4 | add --b 1")
    say(f"save {tmp_path / 'graph.json'}")
    other = new_session(shell.studio, progress=False)
    other.perform(f"load {tmp_path / 'graph.json'}")
    assert other.perform("show 1")[0].text == "1 add (a=0.value): value=5"
    assert other.graph == shell.graph


def test_files_that_cannot_be_are_told_by_name(say, tmp_path):
    with pytest.raises(NbgraphError, match="nowhere"):
        say(f"load {tmp_path / 'nowhere.json'}")
    with pytest.raises(NbgraphError, match="nowhere"):
        say(f"save {tmp_path / 'nowhere' / 'graph.json'}")


def test_a_graph_is_drawn_as_text_in_a_terminal(say):
    say("integer --value 4 | add --b 1 | mul --link -2 value a --link -1 value b")
    assert say("draw_graph").splitlines() == [
        "●    0 integer  value=4",
        "├─●  1 add  b=1  a<-0.value",
        "●─╯  2 mul  a<-0.value  b<-1.value",
    ]
    assert say("draw_execution_graph").splitlines()[-1] == "●─╯  2 mul  value=20"


def test_drawings_show_nodes_typed_values_paths_and_results(say, shell, tmp_path):
    say("range --stop 3 | iterate | mul --b 2 | collect")
    source = {text.get_text() for text in draw_graph(shell.graph).texts}
    prepared = {text.get_text() for text in draw_execution_graph(shell.state.execution).texts}
    assert {"2 mul", "b=2", "a ← 1.item"} <= source
    assert {"2 mul", "[0] value=0", "[2] value=4", "collection=[0, 2, 4]"} <= prepared
    say(f"draw_execution_graph --out {tmp_path / 'graph.png'}")
    with Image.open(tmp_path / "graph.png") as picture:
        assert picture.width > picture.height


def test_text_with_dollars_is_drawn_as_it_is(say, tmp_path):
    say('string --value "$x^2$ {a} \\\\frac"')
    say(f"draw_graph --out {tmp_path / 'graph.png'}")


def test_the_cache_is_explained_and_forgotten(say):
    say("integer --value 4 | add --b 1")
    assert "cached" in say("cache explain")
    assert say("cache forget 0") == "2 results forgotten"
    assert "it has not run before" in say("cache explain")
    with pytest.raises(NbgraphError, match="takes exactly one of"):
        say("cache forget")


def test_stats_are_written_with_all_columns(say, tmp_path):
    say("integer --value 4 | add --b 1")
    say(f"stats --csv {tmp_path / 'stats.csv'}")
    header = (tmp_path / "stats.csv").read_text().partition("\n")[0].split(",")
    assert header[:3] == ["node", "type", "status"]
    assert sorted(header) == sorted(STATS)


def test_pictures_are_listed_and_written(say, studio, tmp_path):
    name = studio.services.images.save(Image.new("RGB", (8, 6), "red")).image_name
    assert name in say("images")
    say(f"images save {name[:10]} {tmp_path / 'red.png'}")
    with Image.open(tmp_path / "red.png") as picture:
        assert picture.getpixel((3, 3)) == (255, 0, 0)
    shown = say(f"image --image {name}")
    assert shown.endswith(".png, width=8, height=6")


def test_the_python_of_the_graph_is_printed(say):
    say("integer --value 4 --id four | add --b 1")
    assert "four = Integer(id='four', value=4)" in say("python")


def test_help_covers_every_command_and_node(say, shell):
    page = say("help")
    assert all(name in page for name in shell.commands.commands)
    assert say("add --help") == say("nodes describe add") == say("help add")


def test_leaving_is_told_to_who_reads_the_lines(say):
    with pytest.raises(ExitShell):
        say("exit")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("cache forgt", "did you mean 'forget'"),
        ("default", "no defaults"),
        ("default set", "needs FIELD"),
        ("default set nothing 3", "no node type has an input"),
        ("default set width x", "not 'x'"),
        ("default unset width", "no default"),
        ("history 0", "1 node or more"),
        ("nodes list --category colour", "no category"),
        ("images save", "needs NAME"),
        ("show 1 2", "no node '1'"),
    ],
)
def test_commands_that_cannot_be_taken_say_why(say, line, words):
    try:
        answer = say(line)
    except (GrammarError, NbgraphError) as error:
        answer = str(error)
    assert words in answer


def test_the_help_of_the_shell_fits_eighty_columns_and_shows_how_commands_are_typed(say):
    text = say("help")
    assert max(map(len, text.splitlines())) <= 80
    assert "    history [COUNT]               the newest nodes" in text
    assert "    cache forget [NODE] [--type TYPE] [--key KEY] [--all]\n" in text
    assert say("--help") == say("-h") == text
    assert say("history --help").startswith("    history [COUNT] ")


def test_every_usage_that_help_shows_can_be_typed(shell):
    for name, command in COMMANDS.commands.items():
        words = (
            re.sub(r"[][]|--\w+ \w+|--\w+|\.\.\.", "", command.usage.removeprefix(name)).replace("COUNT", "3").split()
        )
        shell.commands.bind(parse_line(" ".join([name, *words]))[0])
