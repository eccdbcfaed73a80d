"""What every test may use: a studio in memory, quiet and closed at the end."""

import os

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "agg")


@pytest.fixture
def studio():
    from nbgraph import Studio

    with Studio() as studio:
        yield studio
