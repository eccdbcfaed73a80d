"""The interactive shell, driven through a pseudo-terminal, and what completion offers."""

import os
import sys

import pexpect
import pytest

from nbgraph.cli.completion import complete, surroundings

TAB, CTRL_C, CTRL_D = "\t", "\x03", "\x04"


def test_a_person_types_completes_errs_interrupts_and_leaves(tmp_path):
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
    code = (
        f"import sys; sys.path.insert(0, {os.path.dirname(os.path.dirname(__file__))!r}); import cli_nodes;"
        " from nbgraph.cli.app import main; main()"
    )
    shell = pexpect.spawn(sys.executable, ["-c", code, "shell"], env=environment, encoding="utf-8", timeout=25)
    shell.setwinsize(40, 150)
    shell.expect("nbgraph>")
    shell.send(f"rand_i{TAB}")
    shell.expect("nt")
    shell.send(" --low 4 --high 5 | add --b 1\r")
    shell.expect("1 add \\(a=0.value\\): value=5")
    shell.expect("nbgraph>")
    shell.send("ad --a 'x\r")
    shell.expect("column 8: this quote ' is never closed")
    shell.expect("nbgraph>")
    shell.send("cli_slow --seconds 60\r")
    shell.expect("running", timeout=30)
    shell.send(CTRL_C)
    shell.expect("interrupted; the line was taken back")
    shell.expect("nbgraph>")
    shell.send("show 1\r")
    shell.expect("value=5")
    shell.expect("nbgraph>")
    shell.send(CTRL_D)
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus == 0
    assert "rand_int --low 4 --high 5 | add --b 1" in (tmp_path / "nbgraph" / "shell_history").read_text()


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("dra", ["draw_execution_graph", "draw_graph"]),
        ("add --a 1 | mul --link ", ["0", "1", "-1", "-2"]),
        ("add | mul --link -1 ", ["value"]),
        ("add | mul --link -1 value ", ["a", "b"]),
        ("add | mul --link_node ", ["0", "1", "-1", "-2"]),
        ("model_loader --model ", ["emoji", "emoji_x2.safetensors"]),
        ("img_resize --resample_mode b", ["box", "bilinear", "bicubic"]),
        ("l2i --tiled ", ["true", "false"]),
        ("cache ", ["explain", "forget", "list"]),
        ('prompt --text "a ', []),
        ("nonsense --", []),
    ],
)
def test_what_may_come_next(shell, text, offered):
    shell.perform("integer --value 4")
    assert [one.text for one in complete(text, surroundings(shell))[1]] == offered


def test_options_that_are_given_are_not_offered_again(shell):
    offered = [one.text for one in complete("add --a 3 --", surroundings(shell))[1]]
    assert "--a" not in offered
    assert {"--b", "--link", "--link_node", "--id"} <= set(offered)


def test_files_and_folders_are_completed_where_a_path_is_taken(shell, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "graphs").mkdir()
    for name in ("apple.png", ".hidden", "graphs/one.json"):
        (tmp_path / name).touch()

    def offered(text):
        return [one.text for one in complete(text, surroundings(shell))[1]]

    assert offered("load ") == offered("load_image --path ") == ["apple.png", "graphs/"]
    assert offered("save graphs/o") == ["graphs/one.json"]
    assert offered("load_image --path .h") == [".hidden"]
    assert offered(f"load {tmp_path}/ap") == [f"{tmp_path}/apple.png"]
    assert offered("load missing/") == []
