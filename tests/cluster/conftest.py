"""One cluster of two worker processes for all tests here: starting it takes seconds.

It ends with the last of them: its connections come and go, beside which others could not count what is open.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import pytest
from distributed import LocalCluster

from nbgraph import Settings, Studio


@pytest.fixture(scope="package")
def cluster() -> Iterator[LocalCluster]:
    # a worker that is killed again and again must not be given up by the cluster of the tests
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1 hour"}),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, memory_limit=0) as cluster,
    ):
        yield cluster


@pytest.fixture(params=["folder", "none"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    """Return a folder that the workers see, or None for a studio in memory, of which they see nothing."""
    return tmp_path / "studio" if request.param == "folder" else None


@pytest.fixture
def open_studio(cluster: LocalCluster) -> Iterator[Callable[..., Studio]]:
    """Open a studio on the cluster."""
    studios: list[Studio] = []

    def open_it(folder: Path | None = None, **settings: Any) -> Studio:
        studios.append(Studio(folder, Settings(**settings), cluster=cluster))
        return studios[-1]

    yield open_it
    for studio in studios:
        studio.close()


@pytest.fixture
def far(open_studio: Callable[..., Studio], shared: Path | None) -> Studio:
    """Return a studio that runs on workers, with a folder that they see and without."""
    return open_studio(shared)
