"""Upscalers from files: what they are, what they draw, and what is refused before a node runs."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import nbgraph as nb
from nbgraph.diffusion import upscaler_files
from nbgraph.errors import GraphError
from nbgraph.invocations import Upscale, UpscalerLoader
from nbgraph.invocations.fields import ImageField

needs_spandrel = pytest.mark.skipif(find_spec("spandrel") is None, reason="spandrel is not installed")


def picture(studio: nb.Studio, mode: str = "RGB", size: tuple[int, int] = (70, 50)) -> ImageField:
    pixels = np.random.default_rng(3).integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    image = Image.fromarray(pixels, "RGBA").convert(mode)
    return ImageField(image_name=studio.services.images.save(image).image_name)


def refused(studio: nb.Studio, upscaler: Path, match: str) -> None:
    with pytest.raises(GraphError, match=match):
        studio.run(UpscalerLoader(upscaler_model=str(upscaler)), progress=False)


@pytest.fixture
def esrgan(tmp_path: Path) -> Path:
    """The names of an ESRGAN with one block of 8 filters, twice enlarging by two; its weights are random."""
    torch.manual_seed(0)
    shapes = {"model.0": (8, 3), "model.1.sub.1": (8, 8), "model.3": (8, 8), "model.6": (8, 8), "model.8": (8, 8)}
    shapes["model.10"] = (3, 8)
    for block in (1, 2, 3):
        for number in range(1, 6):
            given, made = 8 + 32 * (number - 1), 32 if number < 5 else 8
            shapes[f"model.1.sub.0.RDB{block}.conv{number}.0"] = (made, given)
    tensors = {f"{name}.weight": 0.1 * torch.randn(*shape, 3, 3) for name, shape in shapes.items()}
    tensors |= {f"{name}.bias": 0.1 * torch.randn(shape[0]) for name, shape in shapes.items()}
    save_file(tensors, tmp_path / "4x.safetensors")
    return tmp_path / "4x.safetensors"


def test_an_upscaler_names_the_package_that_it_needs(studio, esrgan, monkeypatch):
    monkeypatch.setattr(upscaler_files, "find_spec", lambda name: None)
    refused(studio, esrgan, r"is an upscaler, and .* needs the package spandrel: pip install 'nbgraph\[upscale\]'")


def test_a_pickle_is_refused(studio, tmp_path):
    (tmp_path / "4x.pth").write_bytes(b"\x80\x02not read")
    refused(studio, tmp_path / "4x.pth", "must be a .safetensors file; pickles are never loaded")


def test_a_file_that_is_no_upscaler_is_refused(studio, tmp_path):
    save_file({"something.weight": torch.zeros(3, 3)}, tmp_path / "other.safetensors")
    refused(studio, tmp_path / "other.safetensors", "no model that is known here")
    lora = {"lora_unet_x.lora_down.weight": torch.zeros(4, 8), "lora_unet_x.lora_up.weight": torch.zeros(8, 4)}
    save_file(lora, tmp_path / "lora.safetensors")
    refused(studio, tmp_path / "lora.safetensors", "is a lora")


def test_a_name_that_is_nowhere_is_refused(studio):
    refused(studio, Path("nowhere.safetensors"), "nowhere.safetensors")


@needs_spandrel
def test_an_image_is_enlarged_by_what_the_file_says(studio, esrgan):
    upscaler = UpscalerLoader(upscaler_model=str(esrgan))
    run = studio.run(Upscale(id="made", image=picture(studio), upscaler=upscaler), progress=False)
    assert run["made"].image.size == (280, 200)
    half = studio.run(Upscale(id="made", image=picture(studio), upscaler=upscaler, factor=2.0), progress=False)
    assert half["made"].image.size == (140, 100)


@needs_spandrel
def test_tiles_give_the_whole_image_within_two_levels(studio, esrgan):
    upscaler, image = UpscalerLoader(upscaler_model=str(esrgan)), picture(studio, size=(128, 128))
    made = [
        studio.run(
            Upscale(id="made", image=image, upscaler=upscaler, tile=tile, tiles_at_once=3), progress=False
        )["made"].image
        for tile in (0, 32)
    ]  # fmt: skip
    whole, tiled = (np.asarray(each).astype(int) for each in made)
    assert abs(whole - tiled).max() <= 2


@needs_spandrel
@pytest.mark.parametrize("mode", ["L", "LA", "RGBA"])
def test_grey_stays_grey_and_transparent_stays_transparent(studio, esrgan, mode):
    upscaler = UpscalerLoader(upscaler_model=str(esrgan))
    made = studio.run(Upscale(id="made", image=picture(studio, mode), upscaler=upscaler), progress=False)["made"].image
    assert (made.mode, made.size) == (mode, (280, 200))
