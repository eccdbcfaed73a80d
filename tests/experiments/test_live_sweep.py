"""A sweep in a cell while it runs."""

import pytest

from nbgraph.experiments import live
from nbgraph.experiments.live import LiveSweep
from nbgraph.invocations import BlankImage


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


def test_it_fills_as_cells_end_and_ends_in_a_line(grid, monkeypatch):
    monkeypatch.setattr(live, "REFRESH_SECONDS", 0)
    shown = LiveSweep(grid)
    shown._handle = handle = Handle()
    waiting = grid.runs[2]
    done = type(waiting).is_done
    ended = [grid.runs[0]]
    monkeypatch.setattr(type(waiting), "is_done", property(lambda run: run in ended))
    shown()
    assert handle.shown[-1]["text/plain"].startswith("1 of 3 cells")
    assert "left" in handle.shown[-1]["text/plain"]
    assert "width:33%" in handle.shown[-1]["text/html"]
    monkeypatch.setattr(type(waiting), "is_done", done)
    shown()
    assert handle.shown[-1]["text/plain"].startswith("3 of 3 cells")
    assert "<table" not in handle.shown[-1]["text/html"]


def test_a_sweep_that_ended_before_it_was_shown_shows_only_itself(grid):
    shown = LiveSweep(grid)
    shown._handle = handle = Handle()
    shown()
    assert handle.shown == []
