"""Where the tests for a GPU run: on CUDA, or with NBGRAPH_GPU=tiny on the CPU, with tiny models, to try their code."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from gpu.sizes import Bench

from tests.diffusion.models import TinyModels

TINY = os.environ.get("NBGRAPH_GPU") == "tiny"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.gpu)
            if not (TINY or torch.cuda.is_available()):
                item.add_marker(pytest.mark.skip(reason="no CUDA device is here; NBGRAPH_GPU=tiny tries the code"))


@pytest.fixture(scope="session")
def device() -> str:
    return "cpu" if TINY else "cuda"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyModels:
    return TinyModels(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module", params=["sd15", "sdxl"])
def bench(request: pytest.FixtureRequest, device: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A model of the size of Stable Diffusion 1.5 or XL with random weights, in a studio and as a plain pipeline."""
    folder = tmp_path_factory.mktemp(request.param)
    with Bench(request.param, folder, device, is_tiny=TINY) as made:
        yield made
