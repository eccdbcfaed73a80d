"""The notebooks as documents: short, clean, ending in asserts, and together they use every public name."""

import ast
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

import nbgraph

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
MOST_CELLS = 12


def code_cells(path: Path) -> list[str]:
    return [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


def names_used(source: str) -> set[str]:
    """Names and attributes in the Python of a cell; magics are turned into calls first."""
    tree = ast.parse(TransformerManager().transform_cell(source))
    found = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    found |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return found | {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_short_titled_and_ends_with_asserts(path):
    cells = nbformat.read(path, 4).cells
    assert len(cells) <= MOST_CELLS
    assert cells[0].cell_type == "markdown"
    assert cells[0].source.startswith("# ")
    assert "assert " in cells[-1].source
    nbformat.validate(nbformat.read(path, 4))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_its_outputs(path):
    notebook = nbformat.read(path, 4)
    assert "widgets" not in notebook.metadata
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_the_notebooks_are_numbered_from_one_without_gaps():
    assert [int(path.stem[:2]) for path in NOTEBOOKS] == list(range(1, len(NOTEBOOKS) + 1))


def test_every_public_name_occurs_in_a_notebook():
    used = set().union(*(names_used(source) for path in NOTEBOOKS for source in code_cells(path)))
    assert set(nbgraph.__all__) - used == set()


def parameters(path: Path) -> str:
    cells = nbformat.read(path, 4).cells
    return "\n".join(cell.source for cell in cells if "parameters" in cell.metadata.get("tags", []))


@pytest.mark.parametrize("path", [path for path in NOTEBOOKS if parameters(path)], ids=lambda path: path.stem)
def test_each_parameter_has_a_line_of_its_own_as_papermill_reads_them(path):
    assignments = [node for node in ast.parse(parameters(path)).body if isinstance(node, ast.Assign)]
    assert assignments
    assert all(isinstance(target, ast.Name) for node in assignments for target in node.targets)


def test_most_notebooks_have_parameters():
    assert 2 * sum(bool(parameters(path)) for path in NOTEBOOKS) > len(NOTEBOOKS)
