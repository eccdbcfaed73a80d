"""Frames in a cell: cards a person reads; all columns are there for code."""

import copy
import pickle

import pandas as pd
import pytest

import nbgraph as nb
from nbgraph.errors import NodeError
from nbgraph.frames import STATS, stats_frame
from nbgraph.invocations import Add
from nbgraph.readable_frames import SHOWN, readable


@nb.node(category="test")
def stats_failing(number: int) -> int:
    """Fails, with a text that looks like HTML."""
    raise ValueError("<b>no</b>")


def test_a_cell_shows_eight_columns_without_empty_ones_and_code_has_all(studio):
    stats = studio.run(Add(id="sum", a=1, b=2), progress=False).stats
    html = stats._repr_html_()
    assert [name for name in SHOWN if f">{name}</th>" not in html] == ["vram_peak_mb", "error"]
    full = readable(stats.wide.assign(vram_peak_mb=2.0, error="no"))._repr_html_()
    assert [f">{name}</th>" in full for name in SHOWN] == [True] * 8
    assert "model_hits" not in html
    assert "model_hits" in stats.wide._repr_html_()
    assert list(stats.columns) == list(STATS)
    assert "1 node, " in repr(stats)


def test_what_is_selected_is_a_plain_frame_that_shows_what_was_selected(studio):
    stats = studio.run(Add(id="sum", a=1, b=2), progress=False).stats
    assert type(stats[["node", "batch"]]) is pd.DataFrame
    assert type(stats.query("not cached")) is pd.DataFrame
    assert type(pickle.loads(pickle.dumps(stats))) is pd.DataFrame
    assert copy.deepcopy(stats).equals(stats.wide)


def test_several_runs_are_told_apart_and_errors_are_escaped(studio):
    studio.run(Add(id="sum", a=1, b=2), progress=False)
    with pytest.raises(NodeError):
        studio.run(stats_failing(id="bad", number=1), progress=False)
    html = studio.stats._repr_html_()
    assert ">session</th>" in html
    assert "&lt;b&gt;no&lt;/b&gt;" in html
    assert "<b>no" not in html


def test_stats_of_nothing_are_shown():
    empty = readable(stats_frame([]))
    assert "0 nodes" in empty._repr_html_()
    assert "0 nodes" in repr(empty)


def test_models_in_memory_and_what_would_run_are_cards_in_a_cell_and_frames_in_code(studio):
    total = Add(id="sum", a=1, b=2)
    explained = studio.explain(total)
    assert "Would run<span" in explained._repr_html_()
    assert "1 of 1 node<" in explained._repr_html_()
    assert ">Will run</th>" in explained._repr_html_()
    assert type(explained[["node"]]) is pd.DataFrame
    first, second = (studio.run(total, progress=False) for _ in range(2))
    assert "none of 1 node<" in studio.cache.why(total)._repr_html_()
    assert "Compared<span" in studio.compare(first, second)._repr_html_()
    assert "none is in memory" in studio.loaded_models._repr_html_()
    assert "<table" not in studio.loaded_models._repr_html_()
