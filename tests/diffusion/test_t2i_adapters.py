"""T2I-Adapters: what diffusers' adapter pipelines draw, by separate steps, with whole and part spans."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    MultiAdapter,
    StableDiffusionAdapterPipeline,
    StableDiffusionXLAdapterPipeline,
    T2IAdapter,
)
from PIL import Image

from nbgraph.diffusion.denoising import DenoiseSettings
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.refs import ModelRef
from nbgraph.diffusion.t2i_adapters import T2iAdapter
from nbgraph.errors import ModelError
from tests.diffusion.drawing import AVOID, SEED, SIDE, TEXT, noise, sample
from tests.diffusion.models import TinyModels
from tests.diffusion.table import able
from tests.tiny_models import build_t2i_adapter

PIPELINES: dict[str, Any] = {"sdxl": StableDiffusionXLAdapterPipeline}
PICTURE = Image.linear_gradient("L").resize((SIDE, SIDE)).convert("RGB")
SETTINGS = DenoiseSettings(steps=5, cfg=4.0)


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelRef]:
    """Two adapters for the tiny SD2, `sd2` and `other`, and one for SDXL and SD1.5."""
    folder = tmp_path_factory.mktemp("adapters")
    return {
        "sd2": ModelRef.from_path(str(build_t2i_adapter(folder / "sd2"))),
        "other": ModelRef.from_path(str(build_t2i_adapter(folder / "other", seed=3))),
        "sdxl": ModelRef.from_path(str(build_t2i_adapter(folder / "sdxl", xl=True))),
    }


def plain(tiny: TinyModels, name: str, adapter: Any, image: Any, scale: Any, **given: Any) -> torch.Tensor:
    pipeline = PIPELINES.get(name, StableDiffusionAdapterPipeline).from_pipe(tiny.pipeline(name), adapter=adapter)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline(
        TEXT, negative_prompt=AVOID, image=image, height=SIDE, width=SIDE, num_inference_steps=5, guidance_scale=4.0,
        generator=torch.Generator().manual_seed(SEED), output_type="latent", adapter_conditioning_scale=scale, **given,
    ).images  # fmt: skip


def load(ref: ModelRef) -> Any:
    return T2IAdapter.from_pretrained(ref.path, local_files_only=True, low_cpu_mem_usage=False)


@pytest.mark.parametrize(("name", "end"), [(name, 1.0) for name in able("t2i_adapter")] + [("sdxl", 0.6)])
def test_an_adapter_does_what_diffusers_does_with_it_and_leaves_the_model_alone(
    name: str, end: float, tiny: TinyModels, shared_cache: ModelCache, adapters: dict[str, ModelRef]
) -> None:
    kind = "sd2" if name == "sd2" else "sdxl"
    before = sample(shared_cache, tiny[name], SETTINGS).tensor
    with shared_cache.use(adapters[kind], "t2i_adapter") as held:
        given = [T2iAdapter(held["t2i_adapter"], PICTURE, 0.7, 0.0, end)]
        found = sample(shared_cache, tiny[name], SETTINGS, adapters=given).tensor
    factor = {"adapter_conditioning_factor": end} if name == "sdxl" else {}
    assert (found - plain(tiny, name, load(adapters[kind]), PICTURE, 0.7, **factor)).abs().max() == 0
    assert (found - before).abs().max() > 1e-2
    assert torch.equal(sample(shared_cache, tiny[name], SETTINGS).tensor, before)


def test_two_adapters_add_up(tiny: TinyModels, shared_cache: ModelCache, adapters: dict[str, ModelRef]) -> None:
    multiple = MultiAdapter([load(ref) for ref in (adapters["sd2"], adapters["other"])])
    expected = plain(tiny, "sd2", multiple, [PICTURE, PICTURE.rotate(90)], [0.7, 0.3])
    with (
        shared_cache.use(adapters["sd2"], "t2i_adapter") as one,
        shared_cache.use(adapters["other"], "t2i_adapter") as other,
    ):
        given = [T2iAdapter(one["t2i_adapter"], PICTURE, 0.7)]
        given += [T2iAdapter(other["t2i_adapter"], PICTURE.rotate(90), 0.3)]
        found = sample(shared_cache, tiny["sd2"], SETTINGS, adapters=given).tensor
    assert (found - expected).abs().max() == 0


def test_every_picture_of_a_batch_is_steered(
    tiny: TinyModels, shared_cache: ModelCache, adapters: dict[str, ModelRef]
) -> None:
    with shared_cache.use(adapters["sd2"], "t2i_adapter") as held:
        given = {"adapters": [T2iAdapter(held["t2i_adapter"], PICTURE)]}
        both = sample(shared_cache, tiny["sd2"], SETTINGS, noise=noise(tiny["sd2"], (3, 4)), **given).tensor
        single = sample(shared_cache, tiny["sd2"], SETTINGS, noise=noise(tiny["sd2"], 4), **given).tensor
    assert torch.allclose(both[1:], single, atol=1e-3)


def test_adapters_that_do_not_fit_say_so(
    tiny: TinyModels, shared_cache: ModelCache, adapters: dict[str, ModelRef], tmp_path: Path
) -> None:
    wide = ModelRef.from_path(str(build_t2i_adapter(tmp_path / "wide", width=64)))
    grey = ModelRef.from_path(str(build_t2i_adapter(tmp_path / "grey", in_channels=1)))

    def draw(ref: ModelRef, model: str, **options: float) -> None:
        with shared_cache.use(ref, "t2i_adapter") as held:
            given = T2iAdapter(held["t2i_adapter"], PICTURE, **options)
            sample(shared_cache, tiny[model], SETTINGS, adapters=[given])

    with pytest.raises(ModelError, match=r"gives \[\(64, 32, 32\), .* takes \[\(32, 32, 32\), \(64, 16, 16\)\]"):
        draw(wide, "sd2")
    with pytest.raises(ModelError, match="use one that was made for 'stable-diffusion-xl' models"):
        draw(adapters["sd2"], "sdxl")
    with pytest.raises(ModelError, match="work on models with a UNet, and this model is of 'flux'"):
        draw(adapters["sd2"], "flux")
    with pytest.raises(ModelError, match=r"cannot steer from 0.8 to 0.2"):
        draw(adapters["sd2"], "sd2", start=0.8, end=0.2)
    draw(grey, "sd2")
