"""A sweep in a cell while it runs."""

import threading

import pytest

import nbgraph as nb
from nbgraph import studio_experiments
from nbgraph.errors import NbgraphWarning
from nbgraph.experiments import live
from nbgraph.experiments.estimate import Estimate, Free, NodeCost
from nbgraph.experiments.live import LiveSweep
from nbgraph.invocations import Add, BlankImage


class Handle:
    """What IPython would show."""

    def __init__(self):
        self.shown = []

    def display(self, bundle, raw):
        self.shown.append(bundle)

    update = display


@pytest.fixture
def grid(studio):
    return studio.sweep(BlankImage(id="page", height=8), {"page.width": [8, 16, 24]}, progress=False)


@pytest.fixture
def handle(monkeypatch):
    """What a notebook's cell would have shown."""
    handle = Handle()
    monkeypatch.setattr("IPython.display.DisplayHandle", lambda: handle)
    monkeypatch.setattr(live, "REFRESH_SECONDS", 0)
    monkeypatch.setattr(live, "SHARE", 0)
    return handle


def waiting_sweep(grid, monkeypatch, ended, expected=None):
    """The display of a sweep of which only some cells have ended."""
    monkeypatch.setattr(type(grid.runs[0]), "is_done", property(lambda run: run in ended))
    return LiveSweep(grid, expected)


def test_it_fills_as_cells_end_and_ends_in_a_line(grid, handle, monkeypatch):
    ended = [grid.runs[0]]
    shown = waiting_sweep(grid, monkeypatch, ended)
    shown()
    assert handle.shown[-1]["text/plain"].startswith("1 of 3 cells")
    assert "left" in handle.shown[-1]["text/plain"]
    assert "width:33%" in handle.shown[-1]["text/html"]
    ended.append(grid.runs[1])
    shown()
    assert "width:66%" in shown._panel._grid.value
    ended.append(grid.runs[2])
    shown()
    assert handle.shown[-1]["text/plain"].startswith("3 of 3 cells")
    assert "<table" not in handle.shown[-1]["text/html"]
    assert "widget" not in str(list(handle.shown[-1]))


def test_a_sweep_that_ended_before_it_was_shown_shows_only_itself(grid, handle):
    LiveSweep(grid)()
    assert handle.shown == []


def test_what_it_will_cost_is_said_before_the_first_cell_has_ended(grid, handle, monkeypatch):
    costs = [NodeCost("image", "blur", "runs", 40.0, 35.0, 50.0, ram=3 * 2**30), NodeCost("page", "blank", "cached")]
    shown = waiting_sweep(grid, monkeypatch, [], Estimate(costs, 3, Free(2**30)))
    shown()
    assert "expected: about 40.0 s, 1 node cached" in handle.shown[-1]["text/plain"]
    assert "image is expected to take 3,072 MB of RAM, and 1,024 MB are free" in handle.shown[-1]["text/html"]


def test_cancel_stops_the_cells_that_have_not_ended_and_keeps_the_others(studio, handle, monkeypatch):
    monkeypatch.setattr(studio_experiments, "shows_view", lambda style: True)
    gate, panels = threading.Event(), []

    class Panel(live.SweepPanel):
        def __init__(self, cancel):
            super().__init__(cancel)
            panels.append(self)

        def show(self, html):
            super().show(html)
            if "1 of 4 cells" in html and not self.button.disabled:
                self.button.click()
                gate.set()

    @nb.node
    def live_gated(number: int) -> int:
        if number == 1:
            gate.wait(20)
        return number

    monkeypatch.setattr(live, "SweepPanel", Panel)
    sweep = studio.sweep(live_gated(id="cell", number=0), {"cell.number": range(4)})
    assert list(sweep.frame.status) == ["completed", "completed", "cancelled", "cancelled"]
    assert panels[0].button.comm is None
    assert handle.shown[-1]["text/plain"].startswith("2 of 4 cells, 2 cancelled")


def test_images_have_their_places_before_the_first_one_is_made(studio, handle, monkeypatch):
    monkeypatch.setattr(studio_experiments, "shows_view", lambda style: True)
    gate, shown = threading.Event(), []

    class Panel(live.SweepPanel):
        def show(self, html):
            super().show(html)
            shown.append(html)
            gate.set()

    @nb.node
    def live_width(number: int) -> int:
        gate.wait(20)
        return number

    monkeypatch.setattr(live, "SweepPanel", Panel)
    page = BlankImage(id="page", width=live_width(id="width", number=8), height=8)
    studio.sweep(page, {"width.number": [8, 16, 24]})
    assert "nbgraph-sweep" in shown[0]
    assert shown[0].count("running") + shown[0].count("pending") == 3


def test_an_interrupt_leaves_no_widget_and_no_cell_that_goes_on(studio, handle, monkeypatch):
    monkeypatch.setattr(studio_experiments, "shows_view", lambda style: True)
    gate = threading.Event()

    @nb.node
    def live_held(number: int) -> int:
        gate.wait(20)
        return number

    def interrupted(self):
        gate.set()
        raise KeyboardInterrupt

    monkeypatch.setattr(LiveSweep, "_refresh", interrupted)
    with pytest.raises(KeyboardInterrupt):
        studio.sweep(live_held(id="cell", number=0), {"cell.number": range(4)})
    statuses = list(studio.queue.frame.status.astype(str))
    assert set(statuses) <= {"completed", "cancelled"}
    assert statuses.count("cancelled") >= 3


def test_a_sweep_that_will_not_fit_says_so_before_it_starts(studio, monkeypatch):
    monkeypatch.setattr(studio_experiments, "shows_view", lambda style: False)
    found = Estimate([NodeCost("image", "blur", "runs", 1.0, ram=2**30)], 2, Free(2**20))
    monkeypatch.setattr("nbgraph.experiments.estimate.estimate_sessions", lambda *_: found)
    with pytest.warns(NbgraphWarning, match="will not fit: image is expected to take 1,024 MB of RAM, and 1 MB are"):
        studio.sweep(Add(id="sum", a=1, b=2), {"sum.a": [1, 2]}, progress="text")
