"""Workers that are not like the kernel, and nodes that do on a worker what a person would see if they ran here."""

import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from distributed import Client, LocalCluster

from nbgraph import NodeError, Settings, Studio
from nbgraph.errors import NbgraphError, NbgraphWarning
from nbgraph.services.invocation_processor.cluster_dask import DaskWorker
from nbgraph.services.invocation_processor.cluster_host import WorkerHost, installed_versions
from nbgraph.services.invocation_processor.cluster_messages import StudioFacts
from nbgraph.services.invocation_services import InvocationServices
from tests.cluster.cluster_nodes import leaving, noise, pattern, set_zone, talking, text
from tests.read_only import as_nobody, give_away

SIDE = 4_100 if os.environ.get("NBGRAPH_SOAK") else 1_300
"""Of an image of 50 or of 5 MB: to write it as PNG, here and there, takes seconds."""


@pytest.fixture
def elsewhere(cluster: LocalCluster) -> Iterator[None]:
    """Put the workers into a time zone that is 14 hours from here."""
    with Client(cluster, set_as_default=False) as client:
        client.run(set_zone, "XXX-14" if time.timezone >= 0 else "XXX+14")
        yield
        client.run(set_zone, "UTC")


@pytest.mark.usefixtures("elsewhere")
def test_times_of_a_worker_in_another_time_zone_are_those_of_this_one(far: Studio):
    before = datetime.now(UTC)
    far.run(pattern(id="pattern", value=55), progress=False)
    after = datetime.now(UTC)
    (item,) = far.queue.frame.itertuples()
    times = [*far.images.frame.created, *far.stats.started, item.started, item.ended]
    assert all(before <= each <= after for each in times), times


@pytest.mark.parametrize("how", ["lock", "exit", "text"])
def test_an_error_that_cannot_be_pickled_or_would_end_a_process_is_an_error_of_its_node(far: Studio, how: str):
    with pytest.raises(NodeError, match=r"node 'leaving' \(test_cluster_leaving\) failed"):
        far.run(leaving(id="leaving", how=how), progress=False)
    assert far.run(leaving(id="leaving"), progress=False)["leaving"].value == 3


def test_a_node_that_prints_and_warns_is_as_any_other_and_its_own_warnings_are_seen_here(far: Studio):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = far.run(talking(id="talking"), progress=False)
    assert run["talking"].value == 7
    assert [str(each.message) for each in caught if each.category is NbgraphWarning] == ["talking: seen by a person"]


def test_a_run_on_a_cluster_cannot_be_profiled_and_says_where_it_can(far: Studio):
    for way in (far.run, far.submit):
        with pytest.raises(NbgraphError, match="on a cluster cannot be profiled; run it in a studio without one"):
            way(pattern(id="pattern"), profile=True)
    assert far.queue.frame.empty


def test_large_results_of_a_worker_without_the_folder_come_back_whole(open_studio: Callable[..., Studio]):
    studio = open_studio()
    nodes = [text(id="text", length=50_000_000), noise(id="noise", side=SIDE)]
    run = studio.run(nodes, progress=False)
    assert sum(map(len, run["text"].collection)) == 50_000_000
    assert run["noise"].image.size == (SIDE, SIDE)


def test_two_kernels_share_one_folder_on_one_cluster(open_studio: Callable[..., Studio], tmp_path: Path):
    one, two = (open_studio(tmp_path / "studio") for _ in range(2))
    runs = [each.submit(pattern(id="pattern", value=value)) for value in (1, 2, 3) for each in (one, two)]
    assert [run.wait(30).status for run in runs] == ["completed"] * 6
    pixels = [run["pattern"].image.tobytes() for run in runs]
    assert pixels[::2] == pixels[1::2]
    assert len(one.queue.frame) == len(two.queue.frame) == 6
    assert one.run(pattern(id="pattern", value=2), progress=False).stats.cached.all()
    assert set(one.images.frame.image_name) == set(two.images.frame.image_name)


@pytest.fixture
def of_everybody() -> Iterator[Path]:
    """Return a folder into which everybody may look."""
    with tempfile.TemporaryDirectory() as root:
        Path(root).chmod(0o755)
        yield Path(root)
        give_away(Path(root), 0o755)


def test_a_worker_that_may_only_read_the_folder_works_without_it(of_everybody: Path):
    services = InvocationServices.sqlite(of_everybody / "studio")
    assert services.database is not None
    facts = StudioFacts(
        id="nbgraph-1",
        folder=str(services.database.folder.root),
        kernel=services.database.kernel,
        settings=Settings().model_dump(mode="json"),
        versions=installed_versions(),
        message_bytes=0,
        letter_bytes=0,
    )

    def open_there() -> None:
        host = WorkerHost(facts, cast(DaskWorker, SimpleNamespace(name="there", address="tcp://there")))
        assert (host.problem, host.shares_folder) == ("", False)
        assert host.services.database is None

    give_away(of_everybody, 0o555)
    as_nobody(open_there)
    give_away(of_everybody, 0o755)
    services.close()
