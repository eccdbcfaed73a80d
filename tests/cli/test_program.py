"""The program, started for real: what it prints where, and its exit codes."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import pytest
from apple_line import APPLE_LINE
from cli_nodes import Fails
from PIL import Image
from services.test_read_only_folders import as_nobody
from typer.testing import CliRunner

from nbgraph import __version__
from nbgraph.cli.app import app
from nbgraph.cli.run_program import check_destination
from nbgraph.cli.shell import perform_shown
from nbgraph.errors import NbgraphError
from nbgraph.invocations import Add, Integer, Multiply
from nbgraph.services.shared.graph.graph import Graph
from tests.processes import run_python
from tests.tiny_models.headers import write_header

PROGRAM = [sys.executable, "-c", "from nbgraph.cli.app import main; main()"]


def started(*arguments, stdin=b"", code=0, cwd=None, **environment):
    """(stdout, stderr) of the program in a process of its own, which must end with that code."""
    line, surrounding = [*PROGRAM, *map(str, arguments)], {**os.environ, **environment}
    done = subprocess.run(line, input=stdin, capture_output=True, timeout=120, cwd=cwd, env=surrounding)
    assert done.returncode == code, done.stderr.decode()
    return done.stdout.decode(), done.stderr.decode()


def nbgraph(*arguments, stdin=b"", code=0):
    """The same in this process."""
    done = CliRunner().invoke(app, [*map(str, arguments)], input=stdin)
    assert done.exit_code == code, (done.stderr, done.exception)
    return done.stdout, done.stderr


@pytest.fixture
def sum_file(tmp_path):
    graph = Graph.of(Multiply(id="product", a=Add(id="sum", a=Integer(id="number", value=4), b=1), b=2))
    path = tmp_path / "sum.json"
    path.write_text(graph.to_json())
    return path


def test_lines_on_stdin_are_performed_and_a_bad_one_does_not_end_the_loop():
    out, err = started("shell", stdin=b"add --a 1\nad --a 1\nadd --b 'x\nadd --a 2 |\n  mul --b 3\n", code=2)
    assert out == "0 add: value=1\n1 add: value=2\n2 mul (a=1.value): value=6\n"
    assert err.splitlines() == [
        "stdin:2: column 1: no node type, library graph or command 'ad'; did you mean 'add'?;"
        ' "nodes list" and "help" list them',
        "stdin:3: column 9: this quote ' is never closed",
    ]


def test_lines_from_a_file_end_with_zero_if_all_is_well(tmp_path):
    script = tmp_path / "lines.txt"
    script.write_text("# a script\ninteger --value 3 --id three\nadd --b 1 --link three value a\nexit\nad\n")
    out, err = nbgraph("shell", script)
    assert out.splitlines()[-1] == "1 add (a=three.value): value=4"
    assert err == ""


def test_a_node_that_fails_ends_with_one():
    _, err = nbgraph("shell", "-c", "integer --value 0 | cli_fails", "-c", "add", code=1)
    assert "failed" in err
    assert len(err.splitlines()) == 1


def test_binary_on_stdin_is_one_error_with_its_place():
    out, err = nbgraph("shell", stdin=b"add --a 1\n\x89PNG\r\n\x1a\n\xff\xfe\n" * 50, code=2)
    assert err == "stdin:2: column 1: this is binary, not UTF-8 text\n"
    assert out == "0 add: value=1\n"


def test_run_prints_results_and_shows_progress_on_stderr(sum_file):
    out, err = nbgraph("run", sum_file, "--set", "number.value=9")
    assert out == "product mul (a=sum.value): value=20\n"
    assert "3 done" in err


def test_run_prints_json_for_scripts(sum_file):
    out, _ = nbgraph("run", sum_file, "--json", "--set", "sum.b=2")
    found = json.loads(out)
    assert found["status"] == "completed"
    assert found["outputs"]["product"] == [{"path": [], "value": 12}]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("numbr.value=1", "did you mean 'number'"),
        ("number.vale=1", "did you mean 'value'"),
        ("number.value=x", "valid integer"),
        ("number.value", "NODE.FIELD=VALUE"),
    ],
)
def test_run_refuses_values_that_do_not_fit_before_anything_runs(sum_file, change, words):
    out, err = nbgraph("run", sum_file, "--set", change, code=2)
    assert out == ""
    assert words in err
    assert len(err.splitlines()) == 1


def test_run_refuses_a_destination_that_cannot_be_before_anything_runs(sum_file, tmp_path):
    assert "no folder" in nbgraph("run", sum_file, "--out", tmp_path / "no" / "a.png", code=2)[1]
    assert "format" in nbgraph("run", sum_file, "--out", tmp_path / "a.qqq", code=2)[1]
    assert "made no image" in nbgraph("run", sum_file, "--out", tmp_path / "a.png", code=1)[1]


def test_run_ends_with_one_if_a_node_fails(tmp_path):
    path = tmp_path / "bad.json"
    path.write_text(Graph.of(Fails(id="ratio", value=Add(id="sum"))).to_json())
    _, err = nbgraph("run", path, code=1)
    assert "ratio" in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "JSON"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"[" * 100_000, "nested"),
        (b'{"nodes": {"a": {"type": "ad"}}}', "did you mean 'add'"),
        (b'{"nodes": {"a": {"type": "add", "c": 1}}}', "no input 'c'"),
        (b'{"nodes": {"a": {"type": "add", "a": NaN}}}', "NaN"),
        (b'{"nodes": {"a": {"type": "prompt"}}}', "needs clip"),
        (b'{"nodes": {"a\\u001b[2J": {"type": "ad"}}}', "did you mean"),
    ],
)
def test_hostile_files_are_refused_in_lines_a_terminal_can_show(tmp_path, content, words):
    path = tmp_path / "hostile.json"
    path.write_bytes(content)
    for command in ("validate", "run"):
        out, err = nbgraph(command, path, code=2)
        assert words in err
        assert out == ""
        assert len(err.splitlines()) == 1
        assert "\x1b" not in err


@pytest.mark.parametrize("from_stdin", [False, True])
def test_validate_names_the_file_once(tmp_path, from_stdin):
    path = tmp_path / "bad.json"
    path.write_text("{")
    file = "-" if from_stdin else str(path)
    _, err = nbgraph("validate", file, stdin=b"{", code=2)
    assert err.count("stdin: " if from_stdin else f"{path}: ") == 1
    assert "-: " not in err


def test_a_circle_is_told_by_validate(tmp_path):
    path = tmp_path / "circle.json"
    ends = [("a", "b"), ("b", "a")]
    edges = [{"source": {"node_id": s, "field": "value"}, "destination": {"node_id": t, "field": "a"}} for s, t in ends]
    path.write_text(json.dumps({"nodes": {name: {"type": "add"} for name in "ab"}, "edges": edges}))
    assert "cycle" in nbgraph("validate", path, code=2)[1]


def test_validate_reads_stdin_and_names_missing_files(sum_file, tmp_path):
    assert nbgraph("validate", "-", stdin=sum_file.read_bytes())[0] == "-: valid, 3 nodes, 2 edges\n"
    assert "there is no file" in nbgraph("validate", tmp_path / "none.json", code=2)[1]


def test_a_file_that_is_too_large_is_refused_without_reading_it_whole(tmp_path):
    path = tmp_path / "large.json"
    with path.open("wb") as file:
        file.truncate(2**31)
    assert "larger than a graph may be" in nbgraph("validate", path, code=2)[1]


def test_a_graph_is_exported_as_python_and_as_lines_that_build_it(sum_file, tmp_path):
    lines, _ = nbgraph("export", sum_file, "--lines")
    assert nbgraph("shell", stdin=lines.encode())[0].splitlines()[-1] == "product mul (a=sum.value): value=10"
    nbgraph("export", sum_file, "--python", "--out", tmp_path / "graph.py")
    check = f"exec(open({str(tmp_path / 'graph.py')!r}).read()); print(len(graph))"
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True).stdout == "3\n"
    assert "one of --python, --lines, --diffusers and --comfyui" in nbgraph("export", sum_file, code=2)[1]
    assert "has no counterpart in ComfyUI" in nbgraph("export", sum_file, "--comfyui", code=2)[1]


def test_describe_tells_what_a_node_takes_and_the_nearest_name():
    assert "--width: int | None" in nbgraph("describe", "noise")[0]
    for wrong in ("nois", "Noise", "NOISE"):
        assert "no node type" in (err := nbgraph("describe", wrong, code=2)[1])
        assert "did you mean 'noise'" in err
        assert "column" not in err
    assert "math" in nbgraph("describe")[0]


def test_results_of_a_studio_in_a_folder_outlive_the_program(sum_file, tmp_path):
    folder, table = tmp_path / "studio", tmp_path / "stats.csv"
    nbgraph("run", sum_file, "--studio", folder)
    assert "3 cached" in nbgraph("run", sum_file, "--studio", folder)[1]
    assert "sum" in nbgraph("cache", "--studio", folder)[0]
    nbgraph("stats", "--csv", table, "--studio", folder)
    assert len(table.read_text().splitlines()) == 7
    assert "results forgotten" in nbgraph("cache", "forget", "--all", "--studio", folder)[0]
    assert nbgraph("cache", "--studio", folder)[0] == "the cache is empty\n"


@pytest.mark.parametrize("words", [("cache",), ("cache", "forget", "--all"), ("stats",), ("models",)])
def test_asking_about_a_studio_that_is_not_there_makes_none(tmp_path, words):
    folder = tmp_path / "stuido"
    err = nbgraph(*words, "--studio", folder, code=2)[1]
    assert err == f"nbgraph: there is no studio in '{folder}'; nbgraph run FILE --studio {folder} makes one\n"
    assert not folder.exists()


@pytest.mark.parametrize(("name", "value"), [("NBGRAPH_MODEL_FOLDERS", "/tmp"), ("NBGRAPH_CACHE_ENTRIES", "abc")])
def test_a_bad_setting_in_the_environment_is_one_line_that_names_it(sum_file, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    for arguments in (("run", sum_file), ("models",)):
        out, err = nbgraph(*arguments, code=2)
        assert (out, len(err.splitlines())) == ("", 1)
        assert err.startswith(f"nbgraph: {name} cannot be '{value}': ")


def test_results_are_printed_where_stdout_cannot_say_them_all(tmp_path):
    file = tmp_path / "add.json"
    file.write_text(Graph([Add(id="Grüße", a=1, b=2)]).to_json())
    out, _ = started("run", file, PYTHONIOENCODING="ascii", LC_ALL="C", PYTHONUTF8="0")
    assert out == "Gr\\xfc\\xdfe add: value=3\n"


def test_models_lists_the_shipped_one():
    assert "emoji" in nbgraph("models")[0]


def test_models_inspect_says_what_a_file_is_or_what_to_do(tmp_path):
    out, _ = nbgraph("models", "--inspect", write_header(tmp_path / "cats.safetensors", {"emb_params": (2, 768)}))
    assert "embedding of stable-diffusion, 1, float16" in out
    (tmp_path / "page.safetensors").write_text("<html>")
    _, error = nbgraph("models", "--inspect", tmp_path / "page.safetensors", code=2)
    assert "is a web page" in error


def test_unknown_options_end_with_two():
    assert "No such option" in nbgraph("run", "--nonsense", code=2)[1]


def test_an_interrupt_ends_with_130_and_keeps_what_had_finished(tmp_path):
    lines = tmp_path / "lines.txt"
    here = os.path.dirname(os.path.dirname(__file__))
    lines.write_text("add --a 1\ncli_slow --seconds 60\nadd --a 2\n")
    code = f"import sys; sys.path.insert(0, {here!r}); import cli_nodes; from nbgraph.cli.app import main; main()"
    running = subprocess.Popen(
        [sys.executable, "-c", code, "shell", str(lines)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert running.stdout.readline() == b"0 add: value=1\n"
    time.sleep(1.0)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=30)
    assert running.returncode == 130
    assert out == b""
    assert b"interrupted" in err


def test_a_whole_picture_from_one_line_in_a_file_and_a_graph(tmp_path):
    """Text to image on the shipped model: the line in the shell, its graph saved, and run with another seed."""

    def drawn(*arguments):
        done = run_python(*PROGRAM[1:], *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    drawn("shell", "-c", f"{APPLE_LINE} | save apple.json")
    changes = ["--set", "noise.seed=3", "--studio", "my-studio", "--out", "apple.png"]
    assert drawn("run", "apple.json", *changes) == "apple.png\n"
    with Image.open(tmp_path / "apple.png") as picture:
        assert picture.size == (128, 128)
        assert len(set(picture.convert("RGB").get_flattened_data())) > 50


def test_lab_hands_its_options_to_jupyterlab():
    out, _ = started("lab", "--version")
    assert out.strip() == version("jupyterlab")


def test_lab_refuses_a_folder_that_is_not_there_before_jupyterlab_starts(tmp_path):
    _, err = nbgraph("lab", tmp_path / "nowhere", "--no-browser", code=2)
    assert f"there is no folder or notebook '{tmp_path / 'nowhere'}'" in err


def test_the_short_help_is_the_help_and_the_version_is_told():
    assert nbgraph("-h") == nbgraph("--help")
    assert nbgraph("run", "-h") == nbgraph("run", "--help")
    assert nbgraph("--version")[0] == f"nbgraph {__version__}\n"


def test_a_folder_that_may_not_be_written_is_told_before_anything_runs():
    def refuse():
        with pytest.raises(
            NbgraphError, match=f"--out .*apple.png': the folder '{re.escape(folder)}' may not be written"
        ):
            check_destination(Path(folder) / "apple.png")

    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        as_nobody(refuse)


def test_the_demo_names_a_folder_that_cannot_be_made_before_it_draws(tmp_path):
    (tmp_path / "file").write_text("")
    command = [sys.executable, "-m", "nbgraph.cli.demo", "--out", tmp_path / "file" / "out"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert f"--out {tmp_path / 'file' / 'out'} cannot be made (Not a directory)" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("cache",), "nbgraph cache is about what the folder of a studio keeps; give --studio FOLDER"),
        (("cache", "forget", "--all"), "give --studio FOLDER"),
        (("stats",), "give --studio FOLDER"),
        (("run", "missing.json"), "there is no file 'missing.json' (looked in "),
        (("run", "."), "'.' cannot be read: Is a directory"),
        (("run", "-"), "stdin is empty; a graph is a JSON file"),
        (("run", "{file}", "--studio", "{file}"), "is a file; give a folder"),
        (("run", "{file}", "--set", "m.b"), "is not of the form NODE.FIELD=VALUE, such as --set noise.seed=7"),
        (("run", "{file}", "--set", "number.value=x"), "--set number.value: input should be a valid integer, not 'x'"),
        (("export", "{file}"), "export takes one of --python, --lines, --diffusers and --comfyui"),
        (("export", "{file}", "--python", "--out", "missing/a.py"), "there is no folder 'missing'"),
        (("export", "{file}", "--python", "--out", "."), "it is a folder; give the name of a file"),
        (("shell", "."), "'.' is a folder; give a text file of lines"),
        (("shell", "missing"), "'missing' does not exist; give a text file of lines"),
        (("shell", "{file}", "-c", "add"), "both the file"),
        (("lab", "missing"), "there is no folder or notebook 'missing' (looked in "),
    ],
)
def test_an_error_of_the_program_names_what_was_given_and_what_to_do(sum_file, monkeypatch, arguments, text):
    monkeypatch.chdir(sum_file.parent)
    out, err = nbgraph(*(each.format(file=sum_file) for each in arguments), code=2)
    assert text in err
    assert (out, len(err.splitlines())) == ("", 1)
    assert "column" not in err, "nobody typed a line here"


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("stats --csv missing/a.csv", "'missing/a.csv' cannot be written: there is no folder 'missing'"),
        ("draw_graph --out missing/a.png", "'missing/a.png' cannot be written: there is no folder 'missing'"),
        ("python --out missing/a.py", "'missing/a.py' cannot be written: there is no folder 'missing'"),
        ("save missing/a.json", "'missing/a.json' cannot be written: there is no folder 'missing'"),
        ("images delete zz", "column 15: no image has a name that begins with 'zz'; images list has them"),
        ("add | add | add --link -5 value a", "column 24: -5 counts back from here, and there are 3 nodes before"),
        ("add --link 0 value", "column 5: --link takes three words, not 2: SRC FIELD DEST, which are a node"),
        ("add x", "column 5: 'x' is not an option; add takes options only, such as --a"),
        ("add || add", 'column 6: this "|" has no stage on one side'),
        ("exit now", "column 6: 'now' is one word too many (usage: exit)"),
    ],
)
def test_an_error_of_a_line_names_its_place_and_what_to_do(shell, capsys, monkeypatch, tmp_path, line, text):
    monkeypatch.chdir(tmp_path)
    shell.perform("add")
    perform_shown(shell, line)
    assert text in capsys.readouterr().err


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_the_caller_closed_are_empty_ones(closed):
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", *PROGRAM, "validate", "-"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "" if "2>" in closed else "stdin is empty; a graph is a JSON file, such as `save` of the shell writes\n"
    )
