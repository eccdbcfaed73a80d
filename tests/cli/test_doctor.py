"""`nbgraph doctor`: what a report of a fault needs, without what is private, and without changing anything."""

import os
import sqlite3
from hashlib import sha256
from pathlib import Path

import pytest
from typer.testing import CliRunner

import nbgraph as nb
from nbgraph.cli.app import app
from nbgraph.doctor import report, without_home
from nbgraph.invocations import BlankImage


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with a studio in it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    with nb.Studio(tmp_path / "studio") as studio:
        studio.run(BlankImage(width=8, height=8), progress=False)
    return tmp_path


def digest(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path): sha256(path.read_bytes()).hexdigest() for path in files}


def test_it_tells_versions_devices_sqlite_front_end_and_settings():
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 0
    assert max(map(len, done.stdout.splitlines())) <= 80
    for part in ("system: ", "Python 3.", "nbgraph 0", "torch ", "diffusers ", "devices: ", "cpu", "front end: "):
        assert part in done.stdout
    assert f"SQLite: {sqlite3.sqlite_version}" in done.stdout


def test_it_tells_the_state_of_a_folder_and_changes_nothing_in_it(home):
    before = digest(home)
    text = report(home / "studio")
    for part in ("folder: ~/studio", "format ", "check: ok; 1 sessions, 1 images", "images: 1 files", "0 have it open"):
        assert part in text
    assert digest(home) == before


def test_an_open_folder_one_that_is_damaged_and_one_without_a_studio_are_told(home):
    with nb.Studio(home / "studio"):
        assert "1 have it open" in report(home / "studio")
    (home / "studio" / "nbgraph.db").write_bytes(b"not a database at all " * 500)
    assert "cannot be read: file is not a database" in report(home / "studio")
    assert "there is no studio in it" in report(home / "nothing")
    assert "it is a file, not a folder" in report(home / "studio" / "nbgraph.db")
    assert not (home / "nothing").exists()


def test_no_home_path_and_no_value_of_the_environment_is_told(home, monkeypatch):
    monkeypatch.setenv("NBGRAPH_MODEL_FOLDERS", '["/secret/place"]')
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    text = report(home / "studio")
    assert "HF_TOKEN, NBGRAPH_MODEL_FOLDERS" in text
    assert "secret" not in text.replace("secrets", "")
    assert str(home) not in text
    assert os.uname().nodename not in text
    assert without_home(f"{home}/a and {home}") == "~/a and ~"
