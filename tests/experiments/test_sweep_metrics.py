"""Metrics of a sweep: columns of its frame, from nodes that are cached and may fail by themselves."""

import PIL.Image
import pytest
from matplotlib.figure import Figure

import nbgraph as nb
from nbgraph.errors import ChoiceError, GraphError
from nbgraph.experiments.sheet_html import Cell, sheet_html
from nbgraph.invocations import Add, BlankImage, Sharpness, Ssim


@nb.node(category="test")
def metric_page(side: int, seed: int) -> nb.Image:
    """A page with a corner whose size is the side."""
    page = PIL.Image.new("RGB", (64, 64), "white")
    page.paste("black", (0, 0, side, side + seed))
    return page


@nb.node(category="test")
def metric_dark(image: nb.Image) -> float:
    """The share of black pixels; of a page without any there is none."""
    dark = image.convert("L").histogram()[0]
    if not dark:
        raise ValueError("nothing is dark")
    return dark / (image.width * image.height)


def page() -> metric_page:
    return metric_page(id="page", side=8, seed=0)


def test_metrics_are_columns_by_their_names(studio):
    grid = studio.sweep(page(), {"page.side": [8, 32]}, metrics=["sharpness", metric_dark], progress=False)
    assert grid.metrics == ["sharpness", "metric_dark"]
    frame = grid.frame
    assert list(frame.metric_dark) == [1 / 64, 1 / 4]
    assert frame.sharpness[1] > frame.sharpness[0] > 0
    assert list(frame.columns)[:1] == ["page.side"]
    assert {"image_name", "seconds", "vram_peak_mb", "status", "error"} <= set(frame.columns)


def test_a_metric_may_be_a_node_with_a_reference_or_a_node_of_the_graph(studio):
    dark = metric_dark(id="dark", image=page())
    grid = studio.sweep(
        dark,
        {"page.side": [8, 64]},
        node="page",
        metrics=["dark", Ssim(reference=BlankImage(width=64, height=64, color="white"))],
        progress=False,
    )
    assert list(grid.frame.dark) == [1 / 64, 1]
    assert list(grid.metrics) == ["dark", "ssim"]
    assert grid.frame.ssim[0] > grid.frame.ssim[1]


def test_a_metric_that_fails_on_one_cell_leaves_its_image_and_the_other_metrics(studio):
    grid = studio.sweep(page(), {"page.side": [0, 8]}, metrics=[metric_dark, "sharpness"], progress=False)
    frame = grid.frame
    assert frame.metric_dark.isna().tolist() == [True, False]
    assert frame.sharpness.notna().all()
    assert list(frame.status) == ["completed", "completed"]
    assert "metric_dark: ValueError: nothing is dark" in frame.error[0]
    assert frame.error[1] == ""
    assert all(grid.images)


def test_metrics_of_a_sweep_that_ran_before_run_alone(studio):
    studio.sweep(page(), {"page.side": [8, 16]}, progress=False)
    grid = studio.sweep(page(), {"page.side": [8, 16]}, metrics=["contrast"], progress=False)
    assert [set(run.stats.query("not cached").node) for run in grid.runs] == [{"contrast"}] * 2


def test_a_comparison_is_of_a_metric_within_seeds(studio):
    values = {"page.side": [8, 16], "page.seed": range(6)}
    grid = studio.sweep(page(), values, metrics=[metric_dark], progress=False)
    found = grid.compare("side", metric="metric_dark")
    assert found.frame.verdict[0] == "higher"
    assert found.frame.agree[0] == 1
    assert found.by == "page.seed"


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        (["sharpnes"], "did you mean 'sharpness'"),
        ("sharpness", 'metrics are a list, such as \\["sharpness"\\]'),
        (["ssim"], r"compares with a reference; give it: metrics=\[Ssim\(reference=...\)\]"),
        ([BlankImage], "a metric gives one number, and 'blank_image' gives"),
        ([Add], "has no open image input"),
        (["page"], "a metric gives one number, and 'page' gives image"),
        ([3], "a metric is a name"),
        (["entropy", "entropy"], "two metrics would give the column 'entropy'"),
    ],
)
def test_a_metric_that_is_none_is_named_and_nothing_runs(studio, metrics, said):
    with pytest.raises(GraphError, match=said):
        studio.sweep(page(), {"page.side": [8]}, metrics=metrics, progress=False)
    assert len(studio.queue) == 0


def test_a_sweep_without_images_cannot_be_measured_by_one(studio):
    with pytest.raises(GraphError, match="metrics measure an image, and 'sum' gives value"):
        studio.sweep(Add(id="sum", a=1, b=2), {"sum.a": [1]}, metrics=[Sharpness], progress=False)


def test_a_comparison_of_what_was_not_measured_names_the_columns(studio):
    grid = studio.sweep(page(), {"page.side": [8, 16]}, metrics=["contrast"], progress=False)
    with pytest.raises(ChoiceError, match="contrast"):
        grid.compare("side", metric="sharpness")
    with pytest.raises(ChoiceError, match="page.side"):
        grid.compare("seed", metric="contrast")


def test_a_sweep_is_written_as_csv_png_and_a_page_that_stands_alone(studio, tmp_path):
    values = {"page.seed": [0, 1], "page.side": [8, 16]}
    grid = studio.sweep(page(), values, metrics=["contrast"], progress=False)
    text = grid.to_csv(tmp_path / "sweep.csv").read_text(encoding="utf-8")
    assert text.startswith("page.seed,page.side,image_name,contrast,seconds")
    assert len(text.splitlines()) == 5
    assert PIL.Image.open(grid.to_png(tmp_path / "sweep.png")).format == "PNG"
    html = grid.to_html(tmp_path / "sweep.html").read_text(encoding="utf-8")
    assert html.count("data:image/webp;base64,") == 4
    assert "http" not in html
    assert "contrast 0.1" in html


def test_more_than_two_axes_are_a_grid_for_each_outer_value(studio):
    values = {"page.is_intermediate": [False, True], "page.seed": [0, 1], "page.side": [8, 16]}
    html = studio.sweep(page(), values, progress=False)._repr_html_()
    assert html.count("<details") == 2
    assert html.count("<table") == 2
    assert html.count("<img") == 8


def test_what_a_person_typed_is_escaped_in_labels(studio):
    page = BlankImage(id="page", width=8, height=8)
    grid = studio.sweep(page, {"page.color": ["red", "#00f"], "page.mode": ["RGB"]}, progress=False)
    assert "color #00f" in grid._repr_html_()
    assert "<b>" not in sheet_html([Cell({"a.text": "<b>"}, "<i>", "<u>")], [("a.text",)], "<p>")


def test_plots_draw_on_the_axes_they_are_given(studio):
    values = {"page.side": [8, 16, 32], "page.seed": range(4)}
    plot = studio.sweep(page(), values, metrics=["contrast"], progress=False).plot
    ax = Figure().add_subplot()
    assert plot.effect("side", metric="contrast", ax=ax) is ax
    assert len(ax.lines) >= 5
    assert plot.heatmap("contrast", ax=Figure().add_subplot()).get_xlabel() == "page.seed"
    assert len(plot.pairs("side", metric="contrast", ax=Figure().add_subplot()).collections) == 2
    with pytest.raises(ChoiceError, match="page.side"):
        plot.effect("cfg", metric="contrast")


@pytest.mark.parametrize("name", ["seconds", "status", "page.width", "image_name"])
def test_a_metric_does_not_replace_another_column(studio, name):
    page = BlankImage(id="page", width=8, height=8)
    with pytest.raises(GraphError, match=f"a metric cannot give the column '{name}', which the frame has already"):
        studio.sweep(page, {"page.width": [8, 16]}, metrics=[Sharpness(id=name)], progress=False)
    assert studio.queue.frame.empty


def test_a_metric_without_a_number_in_one_cell_leaves_the_others_and_the_statistics(studio):
    @nb.node
    def width_but_one(image: nb.Image) -> float:
        return float("nan") if image.width == 16 else float(image.width)

    page = BlankImage(id="page", width=8, height=8)
    grid = studio.sweep(page, {"page.width": [8, 16, 24]}, metrics=[width_but_one], progress=False)
    assert grid.frame.width_but_one.isna().tolist() == [False, True, False]
    assert "8 -> 16: width_but_one cannot be compared" in grid.compare("width", metric="width_but_one").sentences[0]
    assert grid.plot.effect("width", metric="width_but_one") is not None


def test_values_given_twice_a_deleted_image_and_hostile_names_stay_in_their_cells(studio):
    hostile = "$\\frac{<img src=x onerror=alert(1)>"
    page = BlankImage(id="page", width=8, height=8)
    axes = {"page.width": [8, 8, 16], "page.height": [8, 24]}
    grid = studio.sweep(page, axes, metrics=[Sharpness(id=hostile)], progress=False)
    assert len(grid) == len(grid.images) == 6
    assert "<img src=x" not in grid._repr_html_()
    grid.plot.heatmap(hostile).figure.canvas.draw()
    studio.images.delete(grid.frame.image_name[5])
    assert [picture is None for picture in grid.images] == [False] * 5 + [True]
    assert "deleted" in grid._repr_html_()
