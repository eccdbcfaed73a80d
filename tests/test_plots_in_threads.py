"""Plots of a live panel and of a cell at the same time: each is as if it had been drawn alone, in any theme."""

import os
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import matplotlib.pyplot as plt
import pytest
from matplotlib.colors import same_color
from matplotlib_inline.backend_inline import _fetch_figure_metadata

from nbgraph.invocations import Add, Iterate
from nbgraph.plots import INK, own_figure, plot_by_type, plot_memory, plot_timeline
from nbgraph.widgets.stats_view import draw_plot

ROUNDS = 100 if os.environ.get("NBGRAPH_SOAK") else 10


@pytest.fixture
def stats(studio):
    return studio.run(Add(id="body", a=Iterate(id="each", collection=[1, 2]), b=1), progress=False).stats


def saved(figure) -> bytes:
    target = BytesIO()
    figure.savefig(target, format="png")
    return target.getvalue()


def of_panel(stats) -> bytes:
    return saved(draw_plot(stats, "timeline", "seconds"))


def of_cell(stats) -> bytes:
    ax = plot_timeline(stats)
    try:
        return saved(ax.figure)
    finally:
        plt.close(ax.figure)


def test_a_panel_and_a_cell_that_draw_at_once_give_what_each_gives_alone(stats):
    panel, cell = of_panel(stats), of_cell(stats)
    with ThreadPoolExecutor(1) as thread:
        for _ in range(ROUNDS):
            beside = thread.submit(of_panel, stats)
            assert of_cell(stats) == cell
            assert beside.result() == panel


def test_a_plot_of_another_thread_is_not_shown_by_a_cell(stats):
    plt.close("all")
    with ThreadPoolExecutor(1) as thread:
        thread.submit(plot_memory, stats).result()
    assert plt.get_fignums() == []
    plot_memory(stats)
    assert len(plt.get_fignums()) == 1
    plt.close("all")


@pytest.mark.parametrize("plot", [plot_timeline, plot_by_type])
def test_a_plot_has_no_background_and_texts_that_are_read_on_white_and_on_black(plot, stats):
    ax = plot(stats)
    assert ax.figure.get_facecolor()[3] == 0
    assert ax.xaxis.label.get_color() == INK
    assert not _fetch_figure_metadata(ax.figure)
    plt.close("all")


def test_axes_of_a_persons_own_keep_their_style(stats):
    ax = own_figure(4, 3).add_subplot()
    ax.xaxis.label.set_color("red")
    plot_timeline(stats, ax=ax)
    assert same_color(ax.get_legend().get_texts()[0].get_color(), "red")
