"""What every test may use: a studio in memory, quiet and closed at the end."""

import gc
import os

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "agg")
# else matrix products may differ in the last bit, by where in memory a tensor begins (on AMD's Zen 4, for one)
os.environ.setdefault("MKL_CBWR", "AUTO")
# on a busy machine a good example may take any time
settings.register_profile("nbgraph", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("nbgraph")
gc.disable()  # while tests are collected: what imports make stays


FIRST = ("test_binder.py", "test_install_without_node.py", "test_editor_front_end.py")
"""Files with a test of half a minute that mostly waits: at the end of a session it would leave a core without work."""
LAST = ("graph", "grammar")
"""Folders whose files take a few seconds each: at the end of a session they keep all cores at work."""

MANY_OBJECTS = 100_000
"""Made since the last time objects were hidden from the collector."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, and end with those that are quick."""
    items.sort(key=lambda item: item.path.parent.name in LAST)
    items.sort(key=lambda item: item.path.name not in FIRST)


def pytest_collection_finish() -> None:
    """Hide the million objects of imported modules from the collector: it is called where models are let go of."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True, scope="module")
def _imports_are_hidden() -> None:
    """Hide also what earlier files imported: with it, each of the collections that tests ask for takes a second."""
    if len(gc.get_objects(2)) > MANY_OBJECTS:
        gc.collect()
        gc.freeze()


@pytest.fixture
def studio():
    from nbgraph import Studio

    with Studio() as studio:
        yield studio
