"""A row of a folder's database that holds something else costs itself: the rest is read, and the log names it."""

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import torch

import nbgraph as nb
from nbgraph.invocations import Add, BlankImage

DAMAGE = {
    "images": [("metadata", "'{'"), ("created", "'x'"), ("width", "'wide'"), ("metadata", "CAST(x'ff' AS TEXT)")],
    "tensors": [("metadata", "'{'"), ("created", "3"), ("bytes", "'x'")],
    "node_stats": [("columns", "'{'"), ("columns", "'[]'"), ("columns", "'{\"rows\": 1}'"), ("columns", "x'ff'")],
    "cache_entries": [
        *(("output", "'{'"), ("resources", "'{'"), ("resources", "'3'")),
        *(("sources", "3"), ("key", "CAST(x'ff' || key AS TEXT)"), ("inputs", "CAST(x'ff' AS TEXT)")),
        *(("head", "77"), ("head", "'x'"), ("inputs", "x'ff'"), ("node", "x'ff'"), ("named", "'x'")),
    ],
    "queue": [("status", "'odd'"), ("submitted", "'x'"), ("started", "'x'"), ("ended", "x'00'")],
    "items": [("data", "'{'"), ("data", "'[]'"), ("data", "'{\"name\": 3}'"), ("data", "x'ff'")],
    "sessions": [("data", "'{'"), ("data", "'[]'"), ("data", "'{}'")],
    "session_results": [("data", "'{'"), ("data", "'3'"), ("data", "'[[1]]'"), ("data", "'[3]'")],
}
CASES = [(table, column, value) for table, found in DAMAGE.items() for column, value in found]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two rows in each table."""
    folder = tmp_path_factory.mktemp("whole")
    with nb.Studio(folder) as studio:
        for number in (1, 2):
            studio.run(BlankImage(id="blank", width=8 * number, height=8), progress=False)
            studio.run(Add(id="sum", a=number), progress=False)
            studio.services.latents.save({"one": torch.zeros(number)})
    return folder


@pytest.fixture
def broken(whole: Path, tmp_path: Path) -> Callable[[str, str, str], Path]:
    """Makes a copy of the folder in which the first row of a table has another value in a column."""

    def make(table: str, column: str, value: str) -> Path:
        folder = copytree(whole, tmp_path / "broken")
        connection = sqlite3.connect(folder / "nbgraph.db")
        first = f"(SELECT min(number) FROM {table})"
        connection.execute(f"UPDATE OR IGNORE {table} SET {column} = {value} WHERE number = {first}")
        connection.commit()
        connection.close()
        return folder

    return make


def counts(studio: nb.Studio) -> dict[str, int]:
    """How many of each kind are listed."""
    services = studio.services
    return {
        "images": len(studio.images.frame),
        "tensors": len(list(services.latents.list().items)),
        "node_stats": len(studio.stats),
        "cache_entries": len(studio.cache.frame),
        "queue": len(studio.queue.frame),
        "items": len(list(services.graph_library.list(per_page=99).items)),
        "sessions": len(list(services.graph_execution_manager.list(per_page=99).items)),
    }


@pytest.mark.parametrize(("table", "column", "value"), CASES)
def test_the_other_rows_are_listed_and_runs_go_on(whole, broken, caplog, table, column, value):
    with nb.Studio(whole) as studio:
        before = counts(studio)
    caplog.set_level(logging.WARNING, "nbgraph")
    with nb.Studio(broken(table, column, value)) as studio:
        after = counts(studio)
        assert all(before[kind] - 4 < after[kind] <= before[kind] for kind in before)
        assert min(after.values()) >= 1
        for number in (1, 2):
            assert studio.run(Add(id="sum", a=number), progress=False)["sum"].value == number
            assert studio.run(BlankImage(id="blank", width=8 * number, height=8), progress=False).status == "completed"
        studio.clean()
        studio.images.search("blank")
    kind = "sessions" if table == "session_results" else table
    if after[kind] < before[kind] and kind != "node_stats":
        assert "cannot be read" in caplog.text


@pytest.mark.parametrize(("table", "value"), [(table, value) for table, column, value in CASES if "session" in table])
def test_a_damaged_session_asked_for_by_name_is_a_typed_error(broken, table, value):
    with nb.Studio(broken(table, "data", value)) as studio:
        session = studio.queue.frame.session[0]
        with pytest.raises(nb.NbgraphError):
            studio.services.graph_execution_manager.get(session)
        with pytest.raises(nb.NbgraphError):
            studio.resume(session)
        assert studio.services.graph_execution_manager.condition(session) == "missing"


@pytest.mark.parametrize("given", [5, 1.5, ["a"], {"a": 1}, b"folder", object(), "a\0b", True])
def test_what_is_no_folder_is_refused_by_a_studio(given: Any):
    with pytest.raises(nb.NbgraphError, match="the folder of a studio is a text or a Path, not"):
        nb.Studio(given)


@pytest.mark.parametrize("given", [["a"], {"a": 1}, 5, None, b"a" * 32])
def test_what_is_no_name_is_refused_by_services(services, given: Any):
    for service in (services.images, services.latents):
        with pytest.raises(nb.NbgraphError, match="the name of a resource is a text, not"):
            service.exists(given)


def test_a_text_that_is_no_name_names_nothing(services):
    assert not services.images.exists("no such name")
    assert not services.latents.exists("x" * 5000)
