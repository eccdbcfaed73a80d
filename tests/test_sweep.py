"""Sweeps: a graph for each combination of values."""

from typing import NamedTuple

import PIL.Image
import pytest
from pictures import apple

import nbgraph as nb
from nbgraph.errors import GraphError, NotFoundError
from nbgraph.invocations import Add, BlankImage, Collect, Divide, Iterate, ModelLoader, Noise, Range
from nbgraph.progress import ProgressTracker
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.library import Exposed, LibraryGraph


@nb.node(category="test")
def sweep_inverse(number: int) -> float:
    """One over a number."""
    return 1 / number


class Clock(NamedTuple):
    minutes: int
    seconds: int


@nb.node(category="test")
def sweep_clock(hours: int) -> Clock:
    """Hours in other units."""
    return Clock(60 * hours, 3600 * hours)


@nb.node(category="test")
def sweep_square(side: int) -> nb.Image:
    """A white square; there is none of a side of 0."""
    return PIL.Image.new("L", (100 // side, 100 // side), 255)


def test_a_sweep_multiplies_its_axes_and_has_a_row_for_each_cell(studio):
    grid = studio.sweep(apple(), {"denoise.cfg_scale": [2, 4], "noise.seed": range(3)}, progress=False)
    frame = grid.frame
    assert len(grid) == len(frame) == 6
    assert list(frame["denoise.cfg_scale"]) == [2, 2, 2, 4, 4, 4]
    assert list(frame["noise.seed"]) == [0, 1, 2, 0, 1, 2]
    assert frame.image_name.nunique() == 6
    assert set(frame.status) == {"completed"}


def seeds_of(grid):
    return [run.session.graph["noise"].seed for run in grid.runs]


def test_cells_of_a_sweep_share_a_seed_that_is_left_open_unless_they_are_repeated(studio):
    noise = Noise(id="noise", unet=ModelLoader(model="emoji"))
    first, second, *repeated = seeds_of(studio.sweep(noise, {"noise.width": [16, 32]}, runs=2, progress=False))
    assert first == second != repeated[0] == repeated[1]
    assert seeds_of(studio.sweep(noise, {"noise.seed": [3, 4]}, progress=False)) == [3, 4]


def test_a_seed_below_an_iteration_is_drawn_for_each_item_of_a_sweep_too(studio):
    sides = Iterate(id="each", collection=[16, 16])
    noise = Noise(id="noise", unet=ModelLoader(model="emoji"), width=sides)
    grid = studio.sweep(noise, {"noise.height": [16, 32]}, progress=False)
    assert seeds_of(grid) == [None, None]
    assert len({name for names in grid.frame.noise_name for name in names}) == 4


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


def test_a_value_that_is_seen_to_be_wrong_is_told_before_any_cell_runs(studio):
    with pytest.raises(GraphError, match="q.b"):
        studio.sweep(Divide(id="q", a=10, b=1), {"q.b": [5, 4, 0]}, progress=False)
    assert len(studio.queue.frame) == 0
    assert studio.run(Add(id="after", a=1, b=2), progress=False)["after"].value == 3


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


def test_a_sweep_of_a_node_that_gives_a_number_has_it_in_its_frame(studio):
    grid = studio.sweep(Add(id="sum", b=2), {"sum.a": [1, 2]}, progress=False)
    assert list(grid.frame.columns) == ["sum.a", "value", "seconds", "vram_peak_mb", "status", "error"]
    assert list(grid.frame.seconds) == [run.stats.seconds.sum() for run in grid.runs]
    assert list(grid.frame.value) == [3, 4]
    assert str(grid.frame.value.dtype) == "Int64"


def test_a_sweep_without_pictures_shows_itself_as_a_table(studio):
    grid = studio.sweep(Add(id="sum", b=2), {"sum.a": [1, 2]}, progress=False)
    assert grid._repr_png_() is None
    assert ">4</td>" in grid._repr_html_()
    pictures = studio.sweep(BlankImage(id="page"), {"page.width": [8, 16]}, progress=False)
    assert pictures._repr_html_().count("<img") == 2


def test_a_sweep_under_an_iterate_has_a_list_in_each_cell(studio):
    each = Add(id="sum", a=Iterate(collection=Range(id="range", stop=3)))
    grid = studio.sweep(each, {"sum.b": [10, 20], "range.stop": [0, 2]}, progress=False)
    assert list(grid.frame.value) == [[], [10, 11], [], [20, 21]]


def test_a_cell_that_failed_is_missing_and_the_others_keep_their_values(studio):
    frame = studio.sweep(sweep_inverse(id="inverse"), {"inverse.number": [2, 0]}, progress=False).frame
    assert frame.value[0] == 0.5
    assert frame.value.isna()[1]
    assert list(frame.status) == ["completed", "failed"]


def test_a_cell_of_a_graph_node_that_gave_only_a_part_has_that_part(studio):
    inner = Graph.of(Add(id="sum", a=1), sweep_inverse(id="inverse", number=1))
    exposed = [Exposed("sum", "sum", "value"), Exposed("inverse", "inverse", "value")]
    library = LibraryGraph("Both", inner, [Exposed("number", "inverse", "number")], exposed)
    grid = studio.sweep(library.node_class()(id="both"), {"both.number": [2, 0]}, progress=False)
    assert list(grid.frame["sum"]) == [1, 1]
    assert grid.frame.inverse[0] == 0.5
    assert grid.frame.inverse.isna()[1]
    assert "failed" in grid._repr_html_()


def test_an_output_named_like_a_column_of_the_sweep_stands_under_its_address(studio):
    grid = studio.sweep(sweep_clock(id="clock"), {"clock.hours": [1, 2]}, progress=False)
    assert list(grid.frame.columns) == [
        "clock.hours",
        "minutes",
        "clock.seconds",
        "seconds",
        "vram_peak_mb",
        "status",
        "error",
    ]
    assert list(grid.frame["clock.seconds"]) == [3600, 7200]


def test_a_sweep_of_tensors_has_their_names(studio):
    noise = Noise(id="noise", unet=ModelLoader(model="emoji"))
    names = studio.sweep(noise, {"noise.seed": [1, 2]}, progress=False).frame.noise_name
    assert names.nunique() == 2
    assert all(studio.services.latents.exists(name) for name in names)


def test_pictures_under_an_iterate_are_one_picture_of_their_cell(studio):
    page = BlankImage(id="page", width=Iterate(collection=[100, 120, 140]))
    grid = studio.sweep(page, {"page.height": [100, 200]}, progress=False)
    assert [picture.size for picture in grid.images] == [(2 * 140, 2 * 100), (2 * 140, 2 * 200)]
    assert [len(names) for names in grid.frame.image_name] == [3, 3]
    together = studio.sweep(Collect(id="all", item=page), {"page.height": [100, 200]}, progress=False)
    assert list(together.frame.collection) == list(grid.frame.image_name)
    assert all(studio.services.images.exists(name) for names in together.frame.collection for name in names)
    assert [picture.size for picture in together.images] == [picture.size for picture in grid.images]


def test_a_deleted_picture_leaves_its_cell_empty_and_says_so(studio):
    grid = studio.sweep(BlankImage(id="page", height=100), {"page.width": [100, 120]}, progress=False)
    before = grid.image
    studio.images.delete(grid.frame.image_name[0])
    assert [picture and picture.size for picture in grid.images] == [None, (120, 100)]
    assert grid._repr_png_().startswith(b"\x89PNG")
    assert grid.image.size == before.size
    assert grid.image.tobytes() != before.tobytes()
    assert ">deleted<" in grid._repr_html_()


def test_a_cell_that_failed_says_why_in_place_of_its_picture(studio):
    grid = studio.sweep(sweep_square(id="square"), {"square.side": [0, 1]}, progress=False)
    assert "ZeroDivisionError" in grid._repr_html_()
    assert grid.frame.error[0].startswith("square: ZeroDivisionError")
    assert grid.images[0] is None
    assert grid.images[1].size == (100, 100)


def test_a_graph_is_swept_by_the_node_it_ends_in(studio):
    graph = Graph([Add(id="sum"), Add(id="total", b=1)])
    graph.add_edge("sum.value", "total.a")
    assert list(studio.sweep(graph, {"sum.a": [1, 2]}, progress=False).frame.value) == [2, 3]
    assert list(studio.sweep(graph, {"sum.a": [1, 2]}, node="sum", progress=False).frame.value) == [1, 2]


def test_a_graph_that_ends_in_several_nodes_asks_for_one(studio):
    graph = Graph([Add(id="one"), Add(id="two", b=1)])
    with pytest.raises(GraphError, match=r"ends in 2 nodes \(one, two\), .*; name it: node='one'"):
        studio.sweep(graph, {"two.a": [1, 2]}, progress=False)
    assert list(studio.sweep(graph, {"two.a": [1, 2]}, node="two", progress=False).frame.value) == [2, 3]
    with pytest.raises(NotFoundError, match=r"no node 5 \(possible: one, two\)"):
        studio.sweep(graph, {"two.a": [1, 2]}, node=5, progress=False)


def test_a_graph_without_nodes_cannot_be_swept(studio):
    with pytest.raises(GraphError, match="has no nodes; add what is to be swept"):
        studio.sweep(Graph(), {"two.a": [1, 2]}, progress=False)


def test_the_events_of_a_cell_reach_its_own_tracker_alone(studio, monkeypatch):
    heard = []
    plain = ProgressTracker.__call__
    monkeypatch.setattr(ProgressTracker, "__call__", lambda self, event: (heard.append(self), plain(self, event)))
    sweep = studio.sweep(Add(id="sum", a=1, b=2), {"sum.a": range(20)}, progress=False)
    # a start and an end each
    assert len(heard) == 2 * 20
    assert [run.progress.status for run in sweep.runs] == ["completed"] * 20
    assert not studio.services.events.is_heard
