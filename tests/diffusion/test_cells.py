"""For every cell of docs/models.md: its steps in pieces are the whole, and a cancelled run leaves nothing behind."""

from pathlib import Path

import numpy as np
import pytest

from nbgraph.diffusion.abilities import ABILITIES, TESTED
from nbgraph.errors import NodeError
from tests.diffusion.cells import CELLS, STEPS, Cell, Cells, tensor
from tests.diffusion.drawing import pixels
from tests.diffusion.table import TINY, able

IN_PIECES = [cell for cell in CELLS if cell.model in able("pieces")]
AT_ONCE = [cell for cell in CELLS if cell.model not in able("pieces")]
PAGE = Path(__file__).parents[2] / "docs" / "models.md"


@pytest.mark.parametrize("cell", IN_PIECES, ids="-".join)
def test_two_pieces_are_the_whole(cell: Cell, cells: Cells) -> None:
    middle = cell.start + 3
    first = cells.node(cell, "first", end=middle)
    with cells.told() as steps:
        run = cells.run(cells.rest(cell, first, middle))
    assert [(step.node, step.step) for step in steps] == [
        ("first" if step <= middle else "rest", step) for step in range(cell.start + 1, STEPS + 1)
    ]
    assert (tensor(run, "rest") - cells.whole(cell)).abs().max() == 0
    assert (tensor(run, "first") - cells.whole(cell)).abs().max() > 1e-2


@pytest.mark.parametrize("cell", AT_ONCE, ids="-".join)
def test_pieces_that_a_family_cannot_do_are_refused_before_a_step(cell: Cell, cells: Cells) -> None:
    for node in (cells.node(cell, end=3), cells.node(cell, start=3)):
        with cells.told() as steps, pytest.raises(NodeError, match="cannot start or stop part-way"):
            cells.run(node)
        assert not steps


@pytest.mark.parametrize("cell", CELLS, ids="-".join)
def test_a_cancelled_run_leaves_the_next_and_the_plain_model_as_they_were(cell: Cell, cells: Cells) -> None:
    last = cell.start + 3
    before = {each: cells.whole(each) for each in (cell.plain, cell)}
    assert cells.cancelled_at(cell, last) == list(range(cell.start + 1, last + 1))
    for each, latents in before.items():
        assert (tensor(cells.run(cells.node(each)), "whole") - latents).abs().max() == 0


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell != cell.plain], ids="-".join)
def test_every_ability_shows(cell: Cell, cells: Cells) -> None:
    assert (cells.whole(cell) - cells.whole(cell.plain)).abs().max() > 1e-5


@pytest.mark.parametrize("cell", CELLS, ids="-".join)
def test_pictures_drawn_together_are_those_drawn_alone(cell: Cell, cells: Cells) -> None:
    node = cells.pictures(cell, 2)
    together, alone = (cells.studio.run(node, progress=False, strict=strict) for strict in (False, True))
    for run, size in ((together, 2), (alone, 1)):
        rows = run.stats[run.stats.type.isin(["denoise_latents", "l2i", *["i2l"] * bool(cell.start)])]
        assert len(rows) == 6 if cell.start else 4
        assert set(rows.batch) == {size}
    drawn, expected = ([pixels(result.image) for result in run.outputs("drawn")] for run in (together, alone))
    assert len(drawn) == 2
    assert max(np.abs(one - other).max() for one, other in zip(drawn, expected, strict=True)) <= 1
    assert np.abs(drawn[0] - drawn[1]).max() > 1


def test_every_cell_of_the_page_is_tried() -> None:
    families, _, _ = PAGE.read_text(encoding="utf-8").partition("## Kinds of files")
    lines = [line for line in families.splitlines() if line.startswith("|")]
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    page = {(row[0], column) for row in rows for column, cell in zip(head[1:], row[1:], strict=True) if cell}
    tried = {(TESTED[TINY[cell.model]], ABILITIES[cell.ability]) for cell in CELLS}
    in_pieces = {(TESTED[TINY[cell.model]], ABILITIES["pieces"]) for cell in IN_PIECES}
    assert page == tried | in_pieces
    assert {cell.model for cell in CELLS} == set(TINY)
    assert sorted(IN_PIECES + AT_ONCE) == sorted(CELLS)
