"""Sweeps: a graph for each combination of values."""

import pytest
from pictures import apple

from nbgraph.errors import GraphError
from nbgraph.invocations import BlankImage


def test_a_sweep_multiplies_its_axes_and_has_a_row_for_each_cell(studio):
    grid = studio.sweep(apple(), {"denoise.cfg_scale": [2, 4], "noise.seed": range(3)}, progress=False)
    frame = grid.frame
    assert len(grid) == len(frame) == 6
    assert list(frame["denoise.cfg_scale"]) == [2, 2, 2, 4, 4, 4]
    assert list(frame["noise.seed"]) == [0, 1, 2, 0, 1, 2]
    assert frame.image_name.nunique() == 6
    assert set(frame.status) == {"completed"}


def test_the_picture_of_a_sweep_has_a_column_for_each_value_of_the_last_axis(studio):
    grid = studio.sweep(apple(), {"denoise.cfg_scale": [2, 4], "noise.seed": range(3)}, progress=False)
    width, height = grid.image.size
    assert width > 3 * 128
    assert 2 * 128 < height < 3 * 128
    assert grid._repr_png_().startswith(b"\x89PNG")


def test_a_tuple_of_addresses_goes_through_its_values_together(studio):
    grid = studio.sweep(apple(), {("prompt.text", "noise.seed"): [("a red apple", 1), ("a pear", 2)]}, progress=False)
    assert list(zip(grid.frame["prompt.text"], grid.frame["noise.seed"])) == [("a red apple", 1), ("a pear", 2)]


def test_a_sweep_over_an_input_that_is_not_there_runs_nothing(studio):
    with pytest.raises(GraphError, match="did you mean 'seed'"):
        studio.sweep(apple(), {"noise.sed": [1, 2]}, progress=False)
    assert len(studio.queue) == 0


@pytest.mark.parametrize(
    ("rows", "row", "given"),
    [
        ([(8, 16), (32, 48, 99)], 1, r"\(32, 48, 99\)"),
        ([(8,), (32, 48)], 0, r"\(8,\)"),
        ([1, 2], 0, "1"),
        ([(8, 16), "ab"], 1, "'ab'"),
        ([{"page.width": 8, "page.height": 16}], 0, r"\{'page.width': 8, 'page.height': 16\}"),
    ],
)
def test_a_row_without_one_value_for_each_input_is_named_and_nothing_runs(studio, rows, row, given):
    said = rf"\('page.width', 'page.height'\): row {row} is {given}, and a row has 2 values, one for each of"
    with pytest.raises(GraphError, match=said):
        studio.sweep(BlankImage(id="page"), {("page.width", "page.height"): rows}, progress=False)
    assert len(studio.queue) == 0


def test_every_row_that_does_not_fit_is_told_at_once(studio):
    with pytest.raises(GraphError) as raised:
        studio.sweep(BlankImage(id="page"), {("page.width", "page.height"): [(8,), 3, (8, 16)]}, progress=False)
    assert len(raised.value.problems) == 2


def test_a_tuple_of_addresses_without_rows_is_told_to_be_given_one(studio):
    with pytest.raises(GraphError, match="'page.width' has an empty list of values"):
        studio.sweep(BlankImage(id="page"), {("page.width", "page.height"): []}, progress=False)


def test_rows_may_be_anything_that_has_values_in_order(studio):
    pairs = zip([8, 16], [24, 32])
    grid = studio.sweep(BlankImage(id="page"), {("page.width", "page.height"): pairs}, progress=False)
    assert [picture.size for picture in grid.images] == [(8, 24), (16, 32)]


@pytest.mark.parametrize("values", [[("page.width", [8])], None, "page.width"])
def test_the_values_of_a_sweep_that_are_no_dict_are_told_to_be_one(studio, values):
    with pytest.raises(GraphError, match="a sweep takes a dict of lists, such as"):
        studio.sweep(BlankImage(id="page"), values, progress=False)
