"""A run that is profiled: operators of torch by node, from the start of the run to its end, however it ends."""

import json

import pytest
import torch

import nbgraph as nb
from nbgraph import run_profile
from nbgraph.errors import NbgraphError, NodeError
from nbgraph.invocations import Add


@nb.node
def profiled_products(number: int, rounds: int = 3) -> int:
    for _ in range(rounds):
        torch.ones(64, 64) @ torch.ones(64, 64)
    return number


@nb.node
def profiled_sort(number: int) -> int:
    torch.arange(1000).sort()
    return number


@nb.node
def profiled_failure(number: int) -> int:
    torch.ones(8).cos()
    raise ValueError("no")


@pytest.fixture
def chain():
    return profiled_sort(id="second", number=profiled_products(id="first", number=1))


def test_operators_are_counted_in_the_node_that_called_them(studio, chain):
    profile = studio.run(chain, progress=False, profile=True).profile
    rows = profile.frame.set_index(["operator", "node"])
    assert rows.calls["aten::mm", "first"] == 3
    assert ("aten::mm", "second") not in rows.index
    assert rows.calls["aten::sort", "second"] == 1
    # a product of 64 x 64 floats is 16 KB
    assert rows.memory_mb["aten::mm", "first"] == pytest.approx(3 * 64 * 64 * 4 / 2**20)
    assert rows.cpu_seconds["aten::mm", "first"] > 0
    assert rows.device_seconds.sum() == 0
    assert profile.nodes == ["first", "second"]
    assert repr(profile).startswith("Profile(2 nodes profiled")
    assert "aten::mm" in profile._repr_html_()


def test_the_trace_is_written_as_often_as_it_is_asked_for(studio, chain, tmp_path):
    profile = studio.run(chain, progress=False, profile=True).profile
    traces = [json.loads(profile.to_chrome_trace(tmp_path / f"{number}.json").read_text()) for number in range(2)]
    assert traces[0] == traces[1]
    names = {event.get("name") for event in traces[0]["traceEvents"]}
    assert {"nbgraph node: first", "nbgraph node: second", "aten::mm"} <= names
    with pytest.raises(NbgraphError, match="cannot be written"):
        profile.to_chrome_trace(tmp_path / "none" / "trace.json")
    with pytest.raises(NbgraphError, match="no memory snapshot: torch keeps one on CUDA"):
        profile.to_memory_snapshot(tmp_path / "snapshot.pickle")


def test_the_longest_operators_are_plotted(studio, chain):
    profile = studio.run(chain, progress=False, profile=True).profile
    ax = profile.plot(top=3)
    assert len(ax.get_yticklabels()) == 3
    assert {text.get_text() for text in ax.get_legend().get_texts()} == {"first", "second"}


def test_a_run_from_the_cache_says_that_nothing_was_profiled(studio, chain, tmp_path):
    studio.run(chain, progress=False)
    profile = studio.run(chain, progress=False, profile=True).profile
    assert profile.frame.empty
    assert "all 2 nodes came from the cache; run it inside" in repr(profile)
    with pytest.raises(NbgraphError, match="all 2 nodes came from the cache"):
        profile.plot()
    with pytest.raises(NbgraphError, match="all 2 nodes came from the cache"):
        profile.to_chrome_trace(tmp_path / "trace.json")
    changed = studio.run(profiled_sort(id="second", number=profiled_products(id="first", number=2)), progress=False)
    with pytest.raises(NbgraphError, match="was not profiled"):
        _ = changed.profile


def test_a_run_that_fails_keeps_what_was_profiled(studio):
    with pytest.raises(NodeError):
        studio.run(
            profiled_failure(id="bad", number=profiled_products(id="first", number=1)), progress=False, profile=True
        )
    rows = studio.last_profile.frame.set_index(["operator", "node"])
    assert rows.calls["aten::mm", "first"] == 3
    assert rows.calls["aten::cos", "bad"] == 1


def test_a_run_that_is_cancelled_keeps_what_was_profiled(studio):
    @nb.node
    def profiled_cancel(number: int) -> int:
        torch.ones(8).cos()
        studio.queue.cancel_all()
        return number

    run = studio.submit(profiled_sort(id="after", number=profiled_cancel(id="stop", number=1)), profile=True).wait()
    assert run.status == "cancelled"
    assert run.profile.nodes == ["stop"]
    assert ("aten::cos", "stop") in run.profile.frame.set_index(["operator", "node"]).index


def test_one_run_of_a_process_is_profiled_at_a_time_and_the_other_says_so(studio, chain):
    with run_profile._IN_USE:
        run = studio.run(chain, progress=False, profile=True)
    assert run.status == "completed"
    assert "another run was being profiled" in repr(run.profile)
    assert run.profile.frame.empty
    assert studio.run(Add(a=1, b=2), progress=False, profile=True).profile.nodes == ["add"]


def test_nothing_listens_after_a_profiled_run(studio, chain):
    with pytest.raises(NbgraphError, match="no run was profiled here"):
        _ = studio.last_profile
    studio.run(chain, progress=False, profile=True)
    assert not studio.services.events.hears_nodes


def test_a_run_that_never_began_has_an_empty_profile(studio, chain):
    studio.queue.pause()
    run = studio.submit(chain, profile=True)
    with pytest.raises(NbgraphError, match="the run has not ended"):
        _ = run.profile
    run.cancel()
    assert "no node ran" in repr(run.wait().profile)
    assert not studio.services.events.hears_nodes
    studio.queue.resume()
