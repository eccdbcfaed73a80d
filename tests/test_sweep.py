"""Sweeps: a graph for each combination of values."""

import pytest
from pictures import apple

from nbgraph.errors import GraphError


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
