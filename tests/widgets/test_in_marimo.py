"""What marimo is given: widgets with their code in them, made anew when marimo has closed those of a cell."""

import sys
import time
from types import SimpleNamespace

import pytest

from nbgraph import Studio
from nbgraph.invocations import Add
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.widgets.editor import GraphEditor
from nbgraph.widgets.js_bundle import LOADER
from nbgraph.widgets.run_view import RunView


@pytest.fixture
def studio():
    with Studio() as made:
        yield made


@pytest.fixture
def marimo(monkeypatch):
    monkeypatch.setitem(sys.modules, "marimo", SimpleNamespace(running_in_notebook=lambda: True))


def test_widgets_hold_their_own_code_and_style_in_marimo_and_a_loader_elsewhere(marimo, monkeypatch):
    inside = GraphEditor(Graph([Add(id="add")])).get_state()
    monkeypatch.delitem(sys.modules, "marimo")
    outside = GraphEditor(Graph([Add(id="add")])).get_state()
    assert "react-flow" in inside["_esm"]
    assert ".react-flow" in inside["_css"]
    assert inside["_bundle"] == ""
    assert outside["_esm"] == LOADER
    assert outside["_css"] == ""
    assert outside["_bundle"]


@pytest.mark.parametrize("view", ["images", "cache", "queue"])
def test_a_view_of_the_studio_is_its_widget_and_another_one_when_that_was_closed(studio, view):
    shown = getattr(studio, view)
    first = shown._display_()
    assert shown._display_() is first
    first.comm._closed = True
    assert shown._display_() is not first


def test_a_run_is_a_view_that_follows_it_to_its_end(studio):
    studio.queue.pause()
    run = studio.submit(Add(id="add", a=1, b=2))
    view = run._display_()
    assert isinstance(view, RunView)
    studio.queue.resume()
    until = time.monotonic() + 60
    while view._state is None or view._state.status != "completed":
        assert time.monotonic() < until, "the view was not told of the end"
        time.sleep(0.02)
