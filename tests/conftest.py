"""What every test may use: a studio in memory, quiet and closed at the end."""

import gc
import os

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "agg")


def pytest_collection_finish() -> None:
    """Hide the million objects of imported modules from the collector: it is called where models are let go of."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def studio():
    from nbgraph import Studio

    with Studio() as studio:
        yield studio
