"""`studio.cluster` shows workers, and the timeline of a run has a lane for each of them."""

from collections.abc import Callable

import pytest
from distributed import LocalCluster

from nbgraph import Studio
from nbgraph.errors import ClusterError
from nbgraph.services.invocation_processor.cluster_common import WorkerRow
from nbgraph.views.cluster import ClusterView
from tests.cluster.cluster_nodes import patient, patterns, uncached


def test_the_workers_are_shown_with_what_they_run(open_studio: Callable[..., Studio], cluster: LocalCluster):
    studio = open_studio()
    run = studio.submit(patient(id="patient", seconds=60))
    run.wait(0.3)
    while not run.progress.step:
        run.wait(0.01)
    frame = studio.cluster.frame
    assert (frame.worker.tolist(), set(frame.run)) == (["0", "1"], {run.id, ""})
    assert (frame.memory_mb > 1).all()
    assert f"2 workers at {cluster.scheduler_address}" in repr(studio.cluster)
    assert f"run {run.id[:8]}" in repr(studio.cluster)
    assert f"run {run.id[:8]}" in studio.cluster._repr_html_()
    run.cancel()
    assert run.wait(10).status == "cancelled"


def test_a_studio_without_a_cluster_has_none(studio: Studio):
    with pytest.raises(ClusterError, match=r"nb.Studio\(cluster='local'\)"):
        _ = studio.cluster


def test_the_timeline_has_a_lane_for_each_worker(open_studio: Callable[..., Studio]):
    run = open_studio().run(uncached(id="changed", image=patterns(40)), progress=False)
    axes = run.plot.timeline()
    assert [label.get_text() for label in axes.get_yticklabels()] == ["worker 0", "worker 1"]
    assert len(axes.patches) == len(run.stats)


class HostileCluster:
    """Workers whose names, and a scheduler whose link, are written by a stranger."""

    scheduler = "tcp://<script>"
    dashboard = "javascript:alert(1)"

    def worker_rows(self) -> list[WorkerRow]:
        text = "<img src=x onerror=alert(1)>"
        return [WorkerRow(text, text, text, text, text, 0, 0.0, 50.0, 1, text, None, text, text)]


def test_names_of_workers_are_text_and_a_link_is_a_page():
    view = ClusterView(HostileCluster())
    html = view._repr_html_()
    assert "<img" not in html
    assert "<script" not in html
    assert "javascript:" not in html
    assert "GPU 50 %" in repr(view)
