"""Plots of stats: Axes in, Axes out, in the order of the rows."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from nbgraph.errors import NotFoundError
from nbgraph.frames import compared_frame, stats_frame
from nbgraph.invocations import Add, Collect, Iterate
from nbgraph.plots import (
    plot_by_type,
    plot_comparison,
    plot_memory,
    plot_memory_over_time,
    plot_runs,
    plot_sessions,
    plot_timeline,
)


@pytest.fixture
def stats(studio):
    graph = Collect(id="all", item=Add(id="body", a=Iterate(id="each", collection=[1, 2]), b=1))
    studio.run(graph, progress=False)
    return studio.run(graph, progress=False).stats


def test_axes_say_what_they_are_where_nothing_else_shows_their_plot(stats):
    with pytest.raises(NotImplementedError):  # by which IPython takes the text
        plot_timeline(stats)._ipython_display_()
    plt.close("all")


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


@pytest.mark.parametrize("plot", [plot_memory_over_time, plot_runs])
def test_plots_over_time_and_over_runs_draw_on_the_axes_they_are_given(plot, stats):
    _, ax = plt.subplots()
    assert plot(stats, ax=ax) is ax
    assert ax.get_xlabel() == "seconds"
    plt.close("all")


def test_the_memory_of_each_node_has_a_bar_for_each_though_names_repeat(stats):
    twice = pd.concat([stats, stats], ignore_index=True)
    assert len(plot_memory(twice).patches) == 2 * len(stats)
    plt.close("all")


def test_what_a_run_is_made_of_adds_up_to_its_seconds(studio):
    runs = [studio.run(Add(id="sum", a=number, b=1), progress=False) for number in range(3)]
    ax = plot_runs(studio.stats)
    widths = [bar.get_width() for bar in ax.patches]
    assert widths == pytest.approx([run.stats.seconds.sum() for run in runs])
    assert [label.get_text() for label in ax.get_yticklabels()] == [run.id[:8] for run in runs]
    plt.close("all")


def test_two_runs_are_compared_node_by_node_what_got_slower_first(studio):
    first = studio.run(Add(id="sum", a=1, b=1), progress=False)
    second = studio.run(Add(id="more", a=Add(id="sum", a=1, b=1), b=1), progress=False)
    compared = studio.compare(first, second.id)
    rows = compared.set_index("node")
    assert rows.loc["sum", "slower"] == pytest.approx(
        second.stats.set_index("node").seconds["sum"] - first.stats.seconds.iloc[0]
    )
    assert (bool(rows.loc["sum", "cached_a"]), bool(rows.loc["sum", "cached_b"])) == (False, True)
    assert pd.isna(rows.loc["more", "seconds_a"])
    texts = [text.get_text().strip() for text in plot_comparison(compared).texts]
    assert "only in b" in texts
    plt.close("all")
    with pytest.raises(NotFoundError, match="no stats of 'nothing'"):
        studio.compare(first, "nothing")


def test_a_comparison_of_nothing_keeps_its_columns():
    empty = compared_frame(stats_frame([]), stats_frame([]))
    assert list(empty.columns)[:3] == ["node", "type", "seconds_a"]
    assert plot_comparison(empty).get_xlabel() == "seconds"
    plt.close("all")


def test_several_runs_stand_side_by_side_with_one_scale(studio):
    for number in range(3):
        studio.run(Add(id="sum", a=number, b=1), progress=False)
    axes = plot_sessions(studio.stats)
    assert [ax.get_title() for ax in axes] == [session[:8] for session in dict.fromkeys(studio.stats.session)]
    assert len({ax.get_xlim()[1] for ax in axes}) == 1
    plt.close("all")


@pytest.mark.parametrize("plot", [plot_timeline, plot_memory])
def test_names_that_look_like_formulas_are_drawn_as_they_are(plot, stats):
    hostile = stats.assign(node=r"$\frac$ <b>")
    ax = plot(hostile)
    ax.figure.canvas.draw()
    assert ax.get_yticklabels()[0].get_text() == r"$\frac$ <b>"
    plt.close("all")
