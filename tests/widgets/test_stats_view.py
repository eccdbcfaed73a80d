"""The view of the stats: what is chosen is drawn, told and saved; and views in a real kernel leave nothing behind."""

import base64
import re

import pandas as pd
import pytest
from matplotlib.figure import Figure
from waiting import comes_true
from widgets.live_kernel import WIDGET_VIEW, LiveKernel
from widgets.panel_page import PanelPage

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
    shown = PanelPage(view.widget).ask({"type": "show", "request": 1})[0]
    assert "problem" not in shown
    assert "currentColor" in shown["drawing"]
    assert INK not in shown["drawing"]
    assert "font-family: inherit" in shown["drawing"]


def test_a_plot_that_cannot_be_drawn_is_said_under_the_controls_and_an_unknown_one_is_an_error(view, runs):
    view.choose([runs[0]], plot="Compare two runs")
    shown = PanelPage(view.widget).ask({"type": "show", "request": 1})[0]
    assert "two runs can be compared, and 1 are chosen" in shown["problem"]
    assert "two runs can be compared" in view._html()


def test_the_plot_of_a_saved_notebook_keeps_figures_off_the_bars(view, runs):
    view.choose([runs[0]])
    (drawing,) = (base64.b64decode(found).decode() for found in re.findall(r"svg\+xml;base64,([^\"]+)", view._html()))
    assert "text{white-space: pre}" in drawing
    assert "currentColor" not in drawing
    assert ">sum<" in drawing
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


def test_the_saved_table_shows_markup_as_text(view, runs):
    view.choose([runs[3]])
    assert "&lt;img src=x" in view._html()
    assert "<img src=x" not in view._html()


def test_a_page_chooses_runs_columns_and_a_plot_and_what_there_is_not_is_refused(view, runs):
    page = PanelPage(view.widget)
    chosen = {"runs": [runs[0].id, runs[1].id], "columns": ["seconds", "node"], "plot": "runs", "figure": "ram_peak_mb"}
    shown, _ = page.ask({"type": "choose", **chosen, "request": 1})
    assert shown["chosen"] == [runs[0].id, runs[1].id]
    assert shown["head"] == ["Node", "Seconds"]
    assert [row[0] for row in shown["rows"]] == ["sum", "sum"]
    assert shown["numbers"] == [False, True]
    for wrong in ({"plot": "pie"}, {"columns": ["colour"]}, {"figure": "node"}, {"runs": ["unknown"]}):
        refused, _ = page.ask({"type": "choose", **wrong, "request": 2})
        assert (refused["type"], next(iter(wrong.values()))[0][:3] in refused["message"]) == ("refused", True)
    assert page.ask({"type": "show", "request": 3})[0]["plot"] == "runs"
    refused, _ = page.ask({"type": "save", "what": "csv", "file": "/<b>/figures", "request": 4})
    assert "<b>" in refused["message"]
    assert refused["type"] == "refused"


def test_a_run_is_named_by_what_it_made_and_a_page_hears_of_the_next(view, studio, runs):
    page = PanelPage(view.widget)
    shown, _ = page.ask({"type": "show", "request": 1})
    assert [run["label"] for run in shown["runs"]] == ["bad", "sum", "sum", "sum"]
    studio.run(Add(id="later", a=1, b=1), progress=False)
    assert comes_true(lambda: page.news)
    shown, _ = page.ask({"type": "show", "request": 2})
    assert shown["runs"][0]["label"] == "later"
    assert shown["chosen"] == [shown["runs"][0]["session"]]


def test_what_is_chosen_is_saved_as_csv_and_png(view, runs, tmp_path):
    view.choose(runs[:2])
    view.widget.choose(columns=("node", "seconds"))
    table = pd.read_csv(view.to_csv(tmp_path / "a.csv"))
    assert list(table.columns) == ["node", "seconds"]
    assert len(table) == 2
    assert view.to_png(tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_studio_without_runs_shows_an_empty_view(studio):
    view = studio.stats_view()
    assert len(view.frame) == 0
    assert repr(view) == "StatsView(0 runs)"
    assert "0 runs" in view._repr_mimebundle_()["text/html"]


def test_the_plot_of_a_reader_without_a_kernel_is_drawn_anew_where_it_is_another(view, studio):
    panel = view.choose(plot="Timeline").widget
    first, *_ = panel.static_parts()
    assert panel.static_parts()[0] is first
    studio.run(Add(id="later", a=7, b=1), progress=False)
    second, *_ = panel.static_parts()
    view.choose(plot="Node types over runs")
    third, *_ = panel.static_parts()
    assert len({first, second, third}) == 3


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
        assert base64.b64decode(found)[:4] in (b"RIFF", b"\x89PNG", b"<svg")
