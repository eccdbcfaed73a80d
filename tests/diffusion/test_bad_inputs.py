"""What does not belong together is refused before a step is done, with what is wrong and what to do."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from PIL import Image

from nbgraph.diffusion.controls import Control
from nbgraph.diffusion.denoising import DenoiseSettings, denoise
from nbgraph.diffusion.description import describe_model
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.refs import ModelRef
from nbgraph.errors import ModelError
from tests.diffusion.drawing import TEXT, decode, encode, noise, sample
from tests.diffusion.models import TinyModels
from tests.tiny_models import build_controlnet

SETTINGS = DenoiseSettings(steps=2, cfg=4.0)


def refused(cache: ModelCache, ref: ModelRef, problem: str, **given: Any) -> None:
    """Drawing raises `ModelError` that says `problem`, and no step is done."""

    def step(*done: Any) -> NoReturn:
        raise AssertionError("a step was done")

    with pytest.raises(ModelError, match=problem):
        sample(cache, ref, given.pop("settings", SETTINGS), on_step=step, **given)
    assert all(row.in_use == 0 for row in cache.loaded())


def test_latents_and_noise_of_another_family(tiny: TinyModels, shared_cache: ModelCache) -> None:
    other = noise(tiny["sdxl"])
    text = "of the family 'stable-diffusion-xl', and this one is of 'stable-diffusion'; decode them to a picture"
    refused(shared_cache, tiny["sd15"], text, noise=other)
    refused(shared_cache, tiny["sd15"], text, latents=other)
    with pytest.raises(ModelError, match="the VAE is of 'stable-diffusion'; decode them with the model that made them"):
        decode(shared_cache, tiny["sd15"], other)


def test_latents_and_noise_of_another_size(tiny: TinyModels, shared_cache: ModelCache) -> None:
    large, small = noise(tiny["sd15"], side=64), noise(tiny["sd15"], side=32)
    problem = "noise is for 64x64 and the latents are 32x32; draw noise of the same size"
    refused(shared_cache, tiny["sd15"], problem, noise=large, latents=small)


@pytest.mark.parametrize("shape", [(1, 16, 32, 32), (1, 4, 8, 8)])
def test_latents_of_another_shape_of_model(shape: tuple[int, ...], tiny: TinyModels, shared_cache: ModelCache) -> None:
    other = replace(noise(tiny["sd15"]), tensor=torch.zeros(shape))
    text = r"are \(.*, and .* has \(4, 32, 32\): they are of another model"
    refused(shared_cache, tiny["sd15"], text, noise=other)
    with pytest.raises(ModelError, match=text):
        decode(shared_cache, tiny["sd15"], other)


def test_a_text_encoded_by_another_family(tiny: TinyModels, shared_cache: ModelCache) -> None:
    text = encode(shared_cache, tiny["sdxl"], TEXT)
    assert text.family == "stable-diffusion-xl"
    with (
        pytest.raises(ModelError, match="positive conditioning is of a model of the family 'stable-diffusion-xl'"),
        shared_cache.use(tiny["sd15"], "denoiser") as components,
    ):
        denoise(components, text, text, noise(tiny["sd15"]), settings=SETTINGS)


def test_a_controlnet_of_another_model(tiny: TinyModels, shared_cache: ModelCache, tmp_path: Path) -> None:
    made_for = {
        name: ModelRef.from_path(str(build_controlnet(tmp_path / name, Path(tiny[name].path))))
        for name in ("sd15", "sdxl")
    }
    for name, other in (("sd15", "sdxl"), ("sdxl", "sd15")):
        with shared_cache.use(made_for[other], "controlnet") as nets:
            controls = [Control(nets["controlnet"], Image.new("RGB", (64, 64)))]
            problem = "the ControlNet was made for another model .*: cross_attention_dim .* instead of"
            with pytest.raises(ModelError, match=problem):
                sample(shared_cache, tiny[name], SETTINGS, controls=controls)


def test_an_unknown_scheduler_names_those_near_it(tiny: TinyModels, shared_cache: ModelCache) -> None:
    with pytest.raises(ModelError, match="there is no scheduler 'eulr'") as raised:
        sample(shared_cache, tiny["sd15"], DenoiseSettings(steps=2, scheduler="eulr"))
    assert "did you mean 'euler'" in str(raised.value)


@pytest.fixture
def folder(tiny: TinyModels, tmp_path: Path) -> Path:
    """A model with Python files that tell when they are run."""
    copied = Path(shutil.copytree(tiny["sd15"].path, tmp_path / "model"))
    for place in (copied, copied / "unet", copied / "text_encoder"):
        (place / "my_code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\nclass MyModel: pass\n")
    return copied


def edit_json(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_code_in_a_model_folder_is_never_run(folder: Path, tmp_path: Path) -> None:
    cache = ModelCache(device="cpu")
    own = json.loads((folder / "model_index.json").read_text())
    edit_json(folder / "model_index.json", unet=["my_code", "MyModel"])
    with pytest.raises(ModelError, match="Only diffusers and transformers are used: a model folder may not choose"):
        describe_model(folder)
    edit_json(folder / "model_index.json", unet=own["unet"], _class_name=["my_code", "MyModel"])
    with pytest.raises(ModelError, match="is no text-to-image pipeline that diffusers knows"):
        describe_model(folder)
    edit_json(folder / "model_index.json", _class_name=own["_class_name"])
    edit_json(folder / "text_encoder" / "config.json", auto_map={"AutoModel": "my_code.MyModel"})
    edit_json(folder / "unet" / "config.json", auto_map={"AutoModel": "my_code.MyModel"})
    with cache.use(ModelRef.from_path(str(folder)), "text", "unet") as components:
        assert type(components["unet"]).__name__ == "UNet2DConditionModel"
        assert type(components["text_encoder"]).__name__ == "CLIPTextModel"
    assert not (tmp_path / "ran").exists()
