"""A notebook over a folder, run again by a new kernel: everything comes from the cache, and the stats frame says so."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "07_a_folder_studio.ipynb"
RUNS = "assert studio.stats.groupby('session', sort=False).cached.all().tolist() == {}"


@pytest.fixture
def run_notebook(folder):
    def run(*more: str) -> None:
        notebook = nbformat.read(NOTEBOOK, as_version=4)
        for cell in notebook.cells:
            if "parameters" in cell.metadata.get("tags", ()):
                cell.source = f"folder = {str(folder)!r}"
        notebook.cells[-1].source = "\n".join([*more, notebook.cells[-1].source])
        NotebookClient(notebook, timeout=300, kernel_name="python3").execute()

    return run


def test_a_restarted_kernel_finds_everything_cached(run_notebook):
    run_notebook(RUNS.format([False, True]))
    run_notebook("assert before == 12 and figures.cached.all()", RUNS.format([False, True, True, True]))
