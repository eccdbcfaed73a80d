"""Edits of code against a studio without results: no result is stale, and `explain` says what then happens."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from code_edits import EDITS, notebook_of, outcome, wrong_after, wrong_before

from nbgraph import Studio

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def in_memory():
    with Studio() as studio:
        yield studio


@pytest.fixture(scope="module")
def in_folder(tmp_path_factory):
    with Studio(tmp_path_factory.mktemp("edits")) as studio:
        yield studio


@pytest.fixture(scope="module")
def fresh():
    with Studio() as studio:
        yield studio


@pytest.mark.parametrize("number", range(len(EDITS)), ids=[edit.name for edit in EDITS])
def test_after_an_edit_a_node_gives_what_it_gives_without_a_cache(number, in_memory, in_folder, fresh):
    notebook = notebook_of(number)
    studios = (in_memory, in_folder)
    for studio in studios:
        outcome(studio, notebook.target)
    problems = [problem for studio in studios for problem in wrong_before(studio, notebook)]
    notebook.run(EDITS[number].change)
    problems += [problem for studio in studios for problem in wrong_after(studio, fresh, notebook, EDITS[number])]
    notebook.close()
    assert problems == []


def test_so_it_does_after_a_restart_and_what_was_not_edited_is_cached(tmp_path):
    with Studio(tmp_path) as studio:
        for number in range(len(EDITS)):
            notebook = notebook_of(number)
            outcome(studio, notebook.target)
            notebook.close()
    command = [sys.executable, str(HERE / "code_edits_child.py"), str(tmp_path)]
    child = subprocess.run(command, capture_output=True, text=True, timeout=300)
    found = dict(map(json.loads, child.stdout.splitlines()))
    assert len(found) == len(EDITS), child.stderr
    assert {name: problems for name, problems in found.items() if problems} == {}
