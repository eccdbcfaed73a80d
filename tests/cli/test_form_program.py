"""`nbgraph app` serves the form of a graph by Voila, for this machine alone unless another address is given."""

import json
import os
import signal
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from typer.testing import CliRunner

import nbgraph as nb
from nbgraph.cli import form_program
from nbgraph.cli.app import app
from nbgraph.invocations import Add
from nbgraph.widgets.form import GraphForm


@pytest.fixture(autouse=True)
def _handlers_of_signals():
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def file(tmp_path):
    (tmp_path / "sum.json").write_text(nb.Graph.of(Add(id="sum", a=1, b=2)).to_json())
    return str(tmp_path / "sum.json")


def served(monkeypatch, *words: str) -> tuple[list[str], str]:
    """The command that would be run, and the code of the notebook it serves; voila is taken to be installed."""
    found: list[str] = []

    class Ended:
        returncode = 0

    def run(command, check):
        found.extend([*command, json.loads(Path(command[3]).read_text())["cells"][0]["source"]])
        return Ended

    monkeypatch.setattr(form_program, "find_spec", lambda name: ModuleSpec(name, None))
    monkeypatch.setattr(form_program.subprocess, "run", run)
    done = CliRunner().invoke(app, ["app", *words])
    assert done.exit_code == 0, done.output
    return found[:-1], found[-1]


def test_without_voila_the_line_that_installs_it_is_given(monkeypatch, file):
    monkeypatch.setattr(form_program, "find_spec", lambda name: None)
    done = CliRunner().invoke(app, ["app", file])
    assert done.exit_code == 2
    assert "pip install voila" in done.output


def test_it_is_served_on_this_machine_alone_unless_told(monkeypatch, file):
    command, _ = served(monkeypatch, file)
    assert command[1:3] == ["-m", "voila"]
    assert "--Voila.ip=127.0.0.1" in command
    command, _ = served(monkeypatch, file, "--host", "0.0.0.0", "--port", "9000")
    assert {"--Voila.ip=0.0.0.0", "--port=9000"} <= {*command}


def test_kernels_of_pages_that_were_closed_end(monkeypatch, file):
    command, _ = served(monkeypatch, file)
    assert "--MappingKernelManager.cull_idle_timeout=600" in command


def test_it_ends_and_leaves_no_folder_when_it_is_terminated(monkeypatch, file):
    places: list[Path] = []

    def run(command, check):
        places.append(Path(command[3]))
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(form_program, "find_spec", lambda name: ModuleSpec(name, None))
    monkeypatch.setattr(form_program.subprocess, "run", run)
    assert CliRunner().invoke(app, ["app", file]).exit_code == 128 + signal.SIGTERM
    assert not places[0].parent.exists()


def test_the_notebook_shows_the_form_of_the_graph(monkeypatch, file, tmp_path):
    _, code = served(monkeypatch, file, "--studio", str(tmp_path / "studio"))
    *lines, last = code.rstrip().split("\n")
    names: dict[str, object] = {}
    exec("\n".join(lines), names)
    form = eval(last, names)
    names["studio"].close()
    assert isinstance(form, GraphForm)
    assert (tmp_path / "studio").is_dir()


def test_a_graph_that_cannot_run_is_named_and_not_served(monkeypatch, tmp_path):
    monkeypatch.setattr(form_program, "find_spec", lambda name: ModuleSpec(name, None))
    (tmp_path / "bad.json").write_text('{"nodes": {"sum": {"id": "sum", "type": "ad"}}, "edges": []}')
    done = CliRunner().invoke(app, ["app", str(tmp_path / "bad.json")])
    assert done.exit_code == 2
    assert "'ad'" in done.output
