"""The log in a studio's folder: runs, warnings, and errors with tracebacks; never what a person typed into a node."""

import gc
import logging
import subprocess
import sys
from time import monotonic, sleep

import pytest
from descriptors import open_descriptors, opened_since

import nbgraph as nb
from nbgraph.errors import NodeError
from nbgraph.invocations import Add, Divide, Integer, Iterate, JoinStrings
from nbgraph.services.shared.sqlite import folder_log
from nbgraph.services.shared.sqlite.folder_log import FolderLog

SECRET = "a portrait of nobody else's business"


def test_runs_are_noted_without_what_is_in_them(folder):
    with nb.Studio(folder) as studio:
        run = studio.run(JoinStrings(id="joined", string_left=SECRET, string_right="x"), progress=False)
    text = (folder / "nbgraph.log").read_text()
    assert "opened, format" in text
    assert f"run {run.id} started, 1 nodes" in text
    assert f"run {run.id} completed after" in text
    assert SECRET not in text


def test_an_error_is_noted_with_its_traceback_and_without_the_inputs(folder):
    failing = Divide(id="ratio", a=31_337, b=Iterate(collection=[0]))
    with nb.Studio(folder) as studio, pytest.raises(NodeError):
        studio.run(failing, progress=False)
    text = (folder / "nbgraph.log").read_text()
    assert "ERROR" in text
    assert "ratio[0] (div): " in text
    assert "Traceback" in text
    assert "ZeroDivisionError" in text
    assert "31337" not in text


def test_warnings_of_the_package_are_noted_while_the_folder_is_open(folder, caplog):
    logger = logging.getLogger("nbgraph")
    with nb.Studio(folder):
        logger.warning("the disk is nearly full")
        logger.debug("too small to keep")
    logger.warning("after it was closed")
    text = (folder / "nbgraph.log").read_text()
    assert "WARNING the disk is nearly full" in text
    assert "small" not in text
    assert "closed" not in text
    assert "the disk is nearly full" in caplog.text


def test_warnings_are_still_printed_where_nobody_set_logging_up(folder):
    code = f"""
import logging, nbgraph as nb
with nb.Studio({str(folder)!r}):
    logging.getLogger("nbgraph").warning("said aloud")
    logging.getLogger("nbgraph.widgets").warning("said by a child")
    logging.getLogger("nbgraph").info("noted only")
    logging.basicConfig(format="set up: %(message)s")
    logging.getLogger("nbgraph.widgets").warning("said once")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr.splitlines() == ["said aloud", "said by a child", "set up: said once"]


@pytest.mark.parametrize("name", ["nbgraph.widgets.editor", "nbgraph.services.images", "nbgraph.a.b.c"])
def test_records_of_loggers_below_the_package_are_noted(folder, name):
    with nb.Studio(folder):
        logging.getLogger(name).warning("the editor lost a message")
        logging.getLogger("another.package").warning("none of this")
    text = (folder / "nbgraph.log").read_text()
    assert text.count("WARNING the editor lost a message") == 1
    assert "none of this" not in text


def test_each_open_folder_notes_a_record_once(folder, tmp_path):
    other = tmp_path / "other"
    with nb.Studio(folder), nb.Studio(other):
        logging.getLogger("nbgraph.widgets").warning("seen by both")
    assert [(each / "nbgraph.log").read_text().count("seen by both") for each in (folder, other)] == [1, 1]


def test_studios_that_come_and_go_leave_no_listener_and_no_open_file(folder):
    logger = logging.getLogger("nbgraph")
    with nb.Studio(folder) as studio:  # SQLite keeps a descriptor of the first studio for the next one
        studio.run(Add(id="sum"), progress=False)
    before, opened = (list(logger.filters), list(logger.handlers)), open_descriptors()
    for _ in range(50):
        nb.Studio(folder).close()
    nb.Studio(folder)  # dropped without being closed; a thread of its own may hold it for a moment
    deadline = monotonic() + 60
    while logger.handlers != before[1] and monotonic() < deadline:
        gc.collect()
        sleep(0.01)
    assert (list(logger.filters), list(logger.handlers)) == before
    assert opened_since(opened) == {}


def test_the_log_is_cut_into_files_and_the_oldest_go(folder, monkeypatch):
    monkeypatch.setattr(folder_log, "MAX_BYTES", 2000)
    folder.mkdir()
    log = FolderLog(folder / "nbgraph.log")
    for number in range(500):
        log.note(f"note {number}")
    log.close()
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["nbgraph.log", "nbgraph.log.1", "nbgraph.log.2", "nbgraph.log.3"]
    assert all(path.stat().st_size <= 2000 for path in folder.iterdir())
    assert "note 499" in (folder / "nbgraph.log").read_text()


def test_a_log_that_cannot_be_written_fails_nothing_and_prints_nothing(folder, capfd):
    folder.mkdir()
    (folder / "nbgraph.log").mkdir()
    with nb.Studio(folder) as studio:
        assert studio.run(Integer(id="one", value=1), progress=False)["one"].value == 1
    assert capfd.readouterr().err == ""
