"""The contract of the stats service, in memory and in a folder."""

import json

import pytest
from msgspec import structs

from nbgraph.errors import CancelledError
from nbgraph.frames import STATS, stats_frame
from nbgraph.invocations.math import Add
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.invocation_stats.invocation_stats_base import InvocationStatsServiceBase
from nbgraph.services.invocation_stats.invocation_stats_common import Measured, MeasuredRows, Memory
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph


@pytest.fixture
def stats(services: InvocationServices) -> InvocationStatsServiceBase:
    return services.performance_statistics


def measure(stats: InvocationStatsServiceBase, session: str, node: str, error: BaseException | None = None) -> None:
    try:
        with stats.collect_stats(Add(id=node), session):
            if error is not None:
                raise error
    except BaseException as raised:
        if raised is not error:
            raise


def test_sessions_measured_by_turns_have_figures_of_their_own(stats):
    for node in ("a", "b", "c"):
        measure(stats, "one", node)
        measure(stats, "two", node.upper())
    assert [row.node for row in stats.rows("one")] == ["a", "b", "c"]
    assert [row.node for row in stats.rows("two")] == ["A", "B", "C"]
    assert stats.session_ids() == ["one", "two"]
    assert len(stats.rows()) == 6


def test_failed_and_cancelled_nodes_have_rows_too(stats):
    measure(stats, "s", "a")
    measure(stats, "s", "b", ValueError("nine is too many"))
    measure(stats, "s", "c", CancelledError("cancelled at step 1 of 9"))
    measure(stats, "s", "d", KeyboardInterrupt())
    assert [row.status for row in stats.rows("s")] == ["completed", "failed", "cancelled", "cancelled"]
    assert stats.rows("s")[1].error == "ValueError: nine is too many"


def test_a_row_has_time_and_memory_and_no_vram_without_a_gpu(stats):
    measure(stats, "s", "a")
    (row,) = stats.rows("s")
    assert row.seconds >= 0
    assert row.ram_peak >= row.ram_before > 2**20
    assert (row.vram_before, row.vram_peak, row.vram_reserved) == (None, None, None)
    assert (row.type, row.path, row.cached, row.seed) == ("add", (), False, None)


def test_resetting_forgets_a_session_or_all(stats):
    for session in ("one", "two", "three"):
        measure(stats, session, "a")
    stats.reset_stats("two")
    assert stats.session_ids() == ["one", "three"]
    stats.reset_stats()
    assert stats.rows() == []


def test_sessions_that_can_no_longer_be_read_are_dropped(services, stats):
    session = GraphExecutionState(Graph.of(Add(id="sum", a=1, b=2)))
    services.graph_execution_manager.set(session)
    measure(stats, session.id, "sum")
    measure(stats, "gone", "sum")
    assert [row.session_id for row in stats.readable_rows()] == stats.session_ids() == [session.id]
    services.graph_execution_manager.delete(session.id)
    assert stats.readable_rows() == stats.rows() == []


def test_the_log_table_and_the_dump_say_what_the_rows_say(stats, tmp_path):
    for node in ("a", "b"):
        measure(stats, "s", node)
    table = stats.log_stats("s")
    assert table.splitlines()[2].split()[:2] == ["add", "2"]
    stats.dump_stats("s", tmp_path / "stats.json")
    assert [row["node"] for row in json.loads((tmp_path / "stats.json").read_text())] == ["a", "b"]


def test_the_frame_has_the_same_dtypes_with_and_without_rows(stats):
    empty = stats_frame(stats.rows())
    measure(stats, "s", "a")
    full = stats_frame(stats.rows())
    assert list(empty.columns) == list(full.columns) == list(STATS)
    assert {name: str(kind) for name, kind in empty.dtypes.items() if str(kind) != "category"} == {
        name: str(kind) for name, kind in full.dtypes.items() if str(kind) != "category"
    }
    assert full.vram_peak_mb.isna().all()


def test_many_rows_come_back_in_order_with_their_paths(services, stats):
    probe = stats.probe("s")
    for number in range(1500):
        probe.finish(
            probe.start(), f"add[{number},1]", "add", "add", (number, 1), "completed", number % 2 == 0, 2**32 - 1
        )
    probe.flush()
    rows = stats.rows("s")
    assert [row.path for row in rows] == [(number, 1) for number in range(1500)]
    assert [row.cached for row in rows[:3]] == [True, False, True]
    assert rows[0].seed == 2**32 - 1


def test_an_error_that_quotes_what_is_no_text_is_kept(stats):
    measure(stats, "s", "a", OSError("cannot open 'caf\udce9.png'"))
    assert stats.rows("s")[0].error.endswith("caf\udce9.png'")


def test_rows_say_which_worker_and_device_ran_a_node(services):
    services.performance_statistics.worker = "gpu-1"
    probe = services.performance_statistics.probe("run")
    probe.finish(probe.start(), "sum", "sum", "add", (), "completed", False)
    probe.flush()
    (row,) = services.performance_statistics.rows("run")
    assert (row.worker, row.device) == ("gpu-1", "cpu")


def test_a_row_has_each_figure_under_its_own_name():
    memory = Memory(1, 2, 3, 4, 5, 6, 7, 8, 9)
    measured = Measured("node", "source", "type", (0, 1), "completed", True, 0.5, 0.25, memory, 10, "error")
    (row,) = MeasuredRows("session", 100.0, [measured], "worker", "device")
    given = {name: getattr(measured, name) for name in ("node", "source", "type", "path", "status", "cached")}
    given |= {"session_id": "session", "started": 100.5, "seconds": 0.25, "seed": 10, "error": "error"}
    assert row._asdict() == given | structs.asdict(memory) | {"worker": "worker", "device": "device"}
