"""Upscalers from files: what they are, what they draw, and what is refused before a node runs."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import nbgraph as nb
from nbgraph.diffusion import upscaler_files
from nbgraph.diffusion.compact_upscaler import CompactUpscaler
from nbgraph.diffusion.what_is import what_is
from nbgraph.errors import GraphError, NodeError
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


@pytest.fixture
def compact(tmp_path: Path) -> Path:
    """A compact upscaler that enlarges by two; its weights are random."""
    torch.manual_seed(0)
    network = CompactUpscaler(8, 2, 2)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    save_file(network.state_dict(), tmp_path / "2x.safetensors")
    return tmp_path / "2x.safetensors"


FILES = [pytest.param("compact", 2), pytest.param("esrgan", 4, marks=needs_spandrel)]
"""Upscalers by their fixture, and by how much they enlarge."""


def upscaler_of(request: pytest.FixtureRequest, name: str) -> UpscalerLoader:
    return UpscalerLoader(upscaler_model=str(request.getfixturevalue(name)))


@pytest.mark.parametrize(("name", "scale"), FILES)
def test_an_image_is_enlarged_by_what_the_file_says(studio, request, name, scale):
    upscaler = upscaler_of(request, name)
    run = studio.run(Upscale(id="made", image=picture(studio), upscaler=upscaler), progress=False)
    assert run["made"].image.size == (70 * scale, 50 * scale)
    other = studio.run(Upscale(id="made", image=picture(studio), upscaler=upscaler, factor=3.0), progress=False)
    assert other["made"].image.size == (210, 150)


@pytest.mark.parametrize(("name", "scale"), FILES)
def test_tiles_give_the_whole_image_within_two_levels(studio, request, name, scale):
    upscaler, image = upscaler_of(request, name), picture(studio, size=(128, 128))
    made = [
        studio.run(
            Upscale(id="made", image=image, upscaler=upscaler, tile=tile, tiles_at_once=3), progress=False
        )["made"].image
        for tile in (0, 32)
    ]  # fmt: skip
    whole, tiled = (np.asarray(each).astype(int) for each in made)
    assert abs(whole - tiled).max() <= 2


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA"])
@pytest.mark.parametrize(("name", "scale"), FILES)
def test_grey_stays_grey_and_transparent_stays_transparent(studio, request, mode, name, scale):
    upscaler = upscaler_of(request, name)
    made = studio.run(Upscale(id="made", image=picture(studio, mode), upscaler=upscaler), progress=False)["made"].image
    assert (made.mode, made.size) == (mode, (70 * scale, 50 * scale))


def test_a_compact_upscaler_needs_no_package_and_draws_what_its_network_gives(studio, compact, monkeypatch):
    monkeypatch.setattr(upscaler_files, "find_spec", lambda name: None)
    network = CompactUpscaler(8, 2, 2)
    network.load_state_dict(load_file(compact))
    given = picture(studio)
    made = studio.run(Upscale(id="made", image=given, upscaler=UpscalerLoader(upscaler_model=str(compact))))["made"]
    pixels = torch.from_numpy(np.asarray(studio.images.get(given.image_name)).copy()).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        expected = (network(pixels).clamp(0, 1) * 255).round()[0].permute(1, 2, 0).numpy()
    assert np.abs(np.asarray(made.image).astype(int) - expected).max() <= 1
    assert (what_is(compact).kind, what_is(compact).variant) == ("upscaler", "Compact x2")


@needs_spandrel
def test_a_compact_upscaler_gives_what_spandrel_gives(compact):
    described = import_module("spandrel").ModelLoader(device="cpu").load_from_file(compact)
    network = CompactUpscaler(8, 2, 2)
    network.load_state_dict(load_file(compact))
    image = torch.rand(1, 3, 12, 20, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert (described(image) - network(image).clamp(0, 1)).abs().max() == 0


CHANGED = {
    "a layer less": {"body.2.weight": None},
    "another width": {"body.1.weight": torch.ones(7)},
    "a tensor more": {"extra.weight": torch.ones(3)},
    "no scale": {"body.6.bias": torch.ones(7)},
}


@pytest.mark.parametrize("kind", CHANGED)
def test_what_is_nearly_a_compact_upscaler_is_none(studio, compact, tmp_path, kind):
    state = {name: tensor for name, tensor in {**load_file(compact), **CHANGED[kind]}.items() if tensor is not None}
    save_file(state, tmp_path / "changed.safetensors")
    refused(studio, tmp_path / "changed.safetensors", "no model that is known here")


def test_a_compact_upscaler_whose_values_are_not_finite_is_named(studio, compact):
    state = load_file(compact)
    state["body.0.bias"][0] = torch.nan
    save_file(state, compact)
    with pytest.raises(NodeError, match=r"gave values that are not numbers \(NaN\)"):
        studio.run(Upscale(image=picture(studio), upscaler=UpscalerLoader(upscaler_model=str(compact))), progress=False)
