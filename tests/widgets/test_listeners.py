"""Whatever happens in a studio, nobody who listens to events fails at it, and one who does goes on listening."""

import gc
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ipywidgets.widgets.widget import _instances
from msgspec.structs import fields

from nbgraph.errors import NbgraphWarning
from nbgraph.invocations import Add
from nbgraph.progress import ProgressTracker
from nbgraph.services.events.events_common import (
    Event,
    ModelLoaded,
    NodeCompleted,
    RunLog,
    SessionFinished,
    SessionStarted,
)
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.studio import Studio
from nbgraph.widgets import editor as editor_module
from nbgraph.widgets.cache_table import CacheTable
from nbgraph.widgets.editor import GraphEditor
from nbgraph.widgets.form import GraphForm
from nbgraph.widgets.gallery import Gallery
from nbgraph.widgets.kernel_banner import KernelBanner
from nbgraph.widgets.paint import MaskPainter
from nbgraph.widgets.queue_table import QueueTable
from nbgraph.widgets.run_feed import RunFeed
from nbgraph.widgets.run_remix import RunRemix
from nbgraph.widgets.run_view import RunView
from nbgraph.widgets.stats_view import StatsPanel

EVENTS = sorted(Event.__subclasses__(), key=lambda event: event.__name__)
VALUES: dict[Any, Any] = {str: "total", int: 1, float: 0.5, bool: False, Any: None, RunLog: RunLog()}
GRAPH = Graph.of(Add(id="total", a=1, b=2))
Listen = Callable[[Studio], Callable[[Event], None]]


def feed(studio: Studio) -> RunFeed:
    return RunFeed(studio.services, GRAPH.id, lambda content, buffers: None, lambda: None)


def feed_of_a_running_session(studio: Studio) -> RunFeed:
    made = feed(studio)
    made(SessionStarted(studio.submit(GRAPH).wait().id, 1, RunLog()))
    return made


LISTENERS: dict[str, Listen] = {
    "progress": lambda studio: ProgressTracker(""),
    "progress of a session": lambda studio: ProgressTracker(studio.submit(GRAPH).wait().id),
    "canvas": feed,
    "canvas while its graph runs": feed_of_a_running_session,
    "stats view": lambda studio: StatsPanel(studio.services)._on_event,
    "cache table": lambda studio: CacheTable(studio.services)._on_event,
}


def example(kind: type[Event], session: str) -> Event:
    """An event of a class, its fields filled by their types."""
    values = {field.name: VALUES[field.type] for field in fields(kind)}
    return kind(**{**values, "session_id": session})


@pytest.fixture
def warned(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """What was told of listeners that failed."""
    with caplog.at_level(logging.DEBUG, "nbgraph"):
        yield lambda: [record.getMessage() for record in caplog.records if "listener" in record.getMessage()]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
@pytest.mark.parametrize("listener", LISTENERS)
def test_every_listener_takes_every_event(studio, event, listener):
    listen = LISTENERS[listener](studio)
    session = studio.submit(GRAPH).wait().id
    for session_id in ("", session, "0" * 32):
        listen(example(event, session_id))


def test_a_canvas_shows_a_run_after_another_graph_has_loaded_models(studio):
    sent: list[dict[str, Any]] = []
    canvas = RunFeed(studio.services, GRAPH.id, lambda content, buffers: sent.append(content), lambda: None)
    studio.services.events.dispatch(ModelLoaded("", "emoji", "unet", 1, 0.1))
    studio.submit(GRAPH).wait()
    assert canvas.states["total"].status in ("done", "cached")
    assert sent[-1]["status"] == "completed"


def test_two_editors_each_show_their_own_runs(studio):
    graphs = [Graph.of(Add(id=name, a=1, b=2)) for name in ("first", "second")]
    editors = [GraphEditor(graph, studio.invoker) for graph in graphs]
    feeds = [editor._feed for editor in editors]
    for graph in (*graphs, *reversed(graphs)):
        studio.services.events.dispatch(ModelLoaded("", "emoji", "unet", 1, 0.1))
        run = studio.submit(graph).wait()
        shown = feeds[graphs.index(graph)]
        assert shown is not None
        assert (shown.session_id, shown.status, list(shown.states)) == (run.id, "completed", list(graph.nodes))
    for editor in editors:
        editor.close()


def test_a_listener_that_fails_is_told_once_and_goes_on_listening(studio, warned):
    heard: list[type[Event]] = []

    def fail(event: Event) -> None:
        heard.append(type(event))
        raise LookupError("no place for it")

    end = studio.services.events.subscribe(fail)
    with pytest.warns(NbgraphWarning, match="LookupError: no place for it") as told:
        statuses = [studio.submit(GRAPH).wait().status for _ in range(2)]
    assert statuses == ["completed", "completed"]
    assert len(told) == 1
    assert heard.count(NodeCompleted) == heard.count(SessionFinished) == 2
    assert warned().count("a listener failed") == 1
    end()
    studio.services.events.subscribe(fail)
    with pytest.warns(NbgraphWarning):
        studio.submit(GRAPH).wait()


def test_a_listener_that_fails_stops_no_run_where_warnings_are_errors(studio):
    studio.services.events.subscribe(lambda event: event.nothing)
    assert studio.submit(GRAPH).wait().status == "completed"


WIDGETS = [
    GraphEditor,
    Gallery,
    CacheTable,
    QueueTable,
    StatsPanel,
    MaskPainter,
    RunView,
    RunRemix,
    KernelBanner,
    GraphForm,
]


@pytest.mark.parametrize("kind", WIDGETS)
def test_a_widget_whose_construction_was_interrupted_is_collected_without_a_word(kind, monkeypatch):
    noticed: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", noticed.append)
    made = kind.__new__(kind)
    del made
    gc.collect()
    assert noticed == []


def test_an_editor_that_was_interrupted_when_its_page_knew_it_can_be_closed(monkeypatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = set(_instances)
    monkeypatch.setattr(editor_module, "StaticFallback", interrupt)
    with pytest.raises(KeyboardInterrupt):
        GraphEditor(GRAPH)
    left = [widget for key, widget in _instances.items() if key not in before and isinstance(widget, GraphEditor)]
    assert len(left) == 1
    left[0].close()
    assert left[0].comm is None
