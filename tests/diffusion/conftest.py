"""Tiny models, built once a test session, a model cache over them, and a studio that draws with them."""

from collections.abc import Iterator

import pytest
import torch

import nbgraph as nb
from nbgraph.diffusion.model_cache import ModelCache
from tests.diffusion.cells import Cells
from tests.diffusion.models import TinyModels


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyModels:
    return TinyModels(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def shared_cache() -> ModelCache:
    """One cache for the tests that only draw."""
    return ModelCache(device="cpu")


@pytest.fixture(scope="session")
def cells(tiny: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cells]:
    """Graphs for every cell of docs/models.md, in one studio that caches no results."""
    with nb.Studio(settings=nb.Settings(device="cpu", cache_entries=0)) as studio:
        yield Cells(studio, tiny, tmp_path_factory.mktemp("cells"))
