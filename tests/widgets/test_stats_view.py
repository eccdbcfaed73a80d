"""The view of the stats: what is chosen is drawn, told and saved; and views in a real kernel leave nothing behind."""

import base64
import re

import pandas as pd
import pytest
from matplotlib.figure import Figure
from widgets.live_kernel import WIDGET_VIEW, LiveKernel

import nbgraph as nb
from nbgraph.errors import ChoiceError
from nbgraph.invocations import Add, String
from nbgraph.plots import INK
from nbgraph.widgets.stats_view import PLOTS

HOSTILE = "<img src=x onerror=alert(1)>$\\frac$"


@nb.node
def broken(text: str = "") -> str:
    raise ValueError(text)


@pytest.fixture
def runs(studio):
    made = [studio.run(Add(id="sum", a=number, b=1), progress=False) for number in range(3)]
    return [*made, studio.submit(broken(id="bad", text=String(id="words", value=HOSTILE)), on_error="continue").wait()]


@pytest.fixture
def view(studio, runs):
    made = studio.stats_view()
    yield made
    made.widget.close()


def test_the_newest_run_is_chosen_first_and_others_by_themselves_or_their_ids(studio, view, runs):
    assert set(view.frame.session) == {runs[3].id}
    view.choose([runs[0], runs[2].id])
    assert list(view.frame.session) == [runs[0].id, runs[2].id]
    assert view is studio.stats_view()
    assert list(view.sessions.session)[-1] == runs[0].id
    assert view.sessions.failed.sum() == 1


@pytest.mark.parametrize("plot", PLOTS)
def test_every_plot_is_drawn_of_two_runs_whatever_they_are_called(view, runs, plot):
    figure = view.choose([runs[0], runs[3]], plot=plot).draw()
    assert isinstance(figure, Figure)
    assert figure.axes
    assert view.widget.png.startswith(b"\x89PNG")
    plot = view.widget._image.value
    assert "currentColor" in plot
    assert INK not in plot
    assert "alert" not in view.widget._message.value


def test_a_plot_that_cannot_be_drawn_is_said_under_the_controls_and_an_unknown_one_is_an_error(view, runs):
    view.choose([runs[0]], plot="Compare two runs")
    assert "two runs can be compared, and 1 are chosen" in view.widget._message.value
    with pytest.raises(ChoiceError, match=r"plot cannot be 'Pie' .*Timeline"):
        view.choose([runs[1]], plot="Pie")
    assert set(view.frame.session) == {runs[0].id}


def test_one_run_is_chosen_by_itself_or_its_id_and_what_is_none_is_told_those_there_are(view, runs):
    for one in (runs[0], runs[1].id):
        assert set(view.choose(one).frame.session) == {getattr(one, "id", one)}
    for unknown in ("unknown", ["unknown"], [runs[0], "unknown"]):
        with pytest.raises(ChoiceError, match=f"a chosen run cannot be 'unknown' .*{runs[0].id}"):
            view.choose(unknown)
    with pytest.raises(ChoiceError, match="a run cannot be 3"):
        view.choose([3])
    assert set(view.frame.session) == {runs[1].id}


def test_the_table_and_the_message_show_markup_as_text(view, runs):
    view.choose([runs[3]])
    assert "&lt;img src=x" in view.widget.table_html()
    view.widget.file.value = "/<b>/figures"
    view.widget._save[0].click()
    assert "&lt;b&gt;" in view.widget._message.value
    assert "<b>" not in view.widget._message.value


def test_what_is_chosen_is_saved_as_csv_and_png(view, runs, tmp_path):
    view.choose(runs[:2])
    view.widget.columns.value = ("node", "seconds")
    table = pd.read_csv(view.to_csv(tmp_path / "a.csv"))
    assert list(table.columns) == ["node", "seconds"]
    assert len(table) == 2
    assert view.to_png(tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_studio_without_runs_shows_an_empty_view(studio):
    view = studio.stats_view()
    assert len(view.frame) == 0
    assert repr(view) == "StatsView(0 runs)"
    assert "StatsView(0 runs)" in view._repr_mimebundle_()["text/html"]


@pytest.fixture(scope="module")
def kernel():
    made = LiveKernel()
    made.run(
        "import threading, nbgraph as nb\n"
        "from nbgraph.invocations import BlankImage\n"
        "studio = nb.Studio()\n"
        "studio.run(BlankImage(id='<b>blank</b>', width=8, height=8), progress=False); None"
    )
    yield made
    made.close()


@pytest.mark.parametrize("source", ["studio.images", "studio.cache", "studio.stats_view()"])
def test_shown_two_hundred_times_there_is_one_widget_and_no_thread_more(kernel, source):
    kernel.run(f"display({source})")
    comms = set(kernel.comms)
    kernel.run("before = set(threading.enumerate())")
    kernel.run(f"for _ in range(200): display({source})")
    assert set(kernel.comms) == comms
    kernel.run("assert set(threading.enumerate()) <= before")  # an idle worker thread may have ended meanwhile


@pytest.mark.parametrize("source", ["studio.images", "studio.cache", "studio.stats_view()"])
def test_a_cell_puts_out_the_widget_and_beside_it_html_without_its_markup(kernel, source):
    widget, static = kernel.run(source)
    assert set(widget) == {WIDGET_VIEW, "text/plain"}
    assert set(static) == {"text/html", "text/plain"}
    assert f"nbgraph-static-{widget[WIDGET_VIEW]['model_id']}" in static["text/html"]
    assert "<b>blank" not in static["text/html"]
    assert len(static["text/html"]) < 60_000
    for found in re.findall(r"base64,([^\"]+)", static["text/html"]):
        assert base64.b64decode(found)[:4] in (b"RIFF", b"\x89PNG")
