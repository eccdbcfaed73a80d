"""Plots of stats: Axes in, Axes out, in the order of the rows."""

import matplotlib.pyplot as plt
import pytest

from nbgraph.frames import stats_frame
from nbgraph.invocations import Add, Collect, Iterate
from nbgraph.plots import plot_by_type, plot_memory, plot_timeline


@pytest.fixture
def stats(studio):
    graph = Collect(id="all", item=Add(id="body", a=Iterate(id="each", collection=[1, 2]), b=1))
    studio.run(graph, progress=False)
    return studio.run(graph, progress=False).stats


@pytest.mark.parametrize("plot", [plot_timeline, plot_memory, plot_by_type])
def test_a_plot_draws_on_the_axes_it_is_given_and_returns_them(plot, stats):
    _, ax = plt.subplots()
    assert plot(stats, ax=ax) is ax
    assert ax.get_xlabel()
    plt.close("all")


def test_the_timeline_keeps_the_order_of_the_nodes_and_tells_cached_ones(stats):
    ax = plot_timeline(stats)
    assert [label.get_text() for label in ax.get_yticklabels()] == list(stats.node)
    assert {text.get_text() for text in ax.get_legend().get_texts()} == {"completed", "cached"}
    plt.close("all")


def test_a_timeline_of_nothing_is_an_empty_plot():
    assert plot_timeline(stats_frame([])).get_legend() is None
    plt.close("all")
