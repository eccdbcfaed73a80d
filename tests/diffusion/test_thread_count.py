"""How many threads torch computes with: its own number, unless a person asks for another, or for "auto"."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import nbgraph
from nbgraph import Settings, Studio
from nbgraph.diffusion.thread_count import COUNTS, SMALL_BYTES, thread_count
from nbgraph.invocations.fields import ModelField

EMOJI = str(Path(nbgraph.__file__).parent / "models" / "emoji")
OWN = os.cpu_count() or 1


@pytest.fixture(autouse=True)
def _as_torch_begins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody chose anything: torch has a thread for each core."""
    for name in COUNTS:
        monkeypatch.delenv(name, raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(OWN)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("threads", "denoiser_bytes", "count"),
    [
        ("auto", 1, 1),
        ("auto", SMALL_BYTES - 1, 1),
        ("auto", SMALL_BYTES, OWN),
        ("auto", 0, OWN),
        (None, 1, OWN),
        (3, 0, 3),
        (3, SMALL_BYTES, 3),
    ],
)
def test_a_small_denoiser_has_one_thread_and_others_what_torch_has(threads, denoiser_bytes, count):
    with thread_count(threads, denoiser_bytes):
        assert torch.get_num_threads() == count
    assert torch.get_num_threads() == OWN


def test_after_an_error_torch_has_its_own_number_again():
    with pytest.raises(ValueError, match="no"), thread_count(3, 1):
        raise ValueError("no")
    assert torch.get_num_threads() == OWN


def test_other_threads_of_python_keep_theirs():
    found: list[int] = []
    with thread_count(OWN + 3, 1):
        other = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
        other.start()
        other.join()
    assert found == [OWN]


@pytest.mark.parametrize("name", COUNTS)
def test_a_number_chosen_by_the_environment_stays(name, monkeypatch):
    monkeypatch.setenv(name, str(OWN))
    with thread_count("auto", 1):
        assert torch.get_num_threads() == OWN


def test_a_number_given_to_torch_stays():
    torch.set_num_threads(OWN + 5)
    with thread_count("auto", 1):
        assert torch.get_num_threads() == OWN + 5


@pytest.mark.parametrize(
    ("settings", "part", "count"),
    [
        ({}, "denoiser", OWN),
        ({"threads": "auto"}, "denoiser", 1),
        ({"threads": "auto"}, "vae", OWN),
        ({"threads": 3}, "denoiser", 3),
        ({"threads": 3}, "vae", 3),
    ],
)
def test_a_model_of_a_studio_computes_by_its_settings(settings, part, count):
    with Studio(settings=Settings(device="cpu", **settings)) as studio:
        models = studio.services.model_manager
        model: ModelField = models.resolve(EMOJI)
        with models.use(model, part):
            assert torch.get_num_threads() == count
    assert torch.get_num_threads() == OWN
