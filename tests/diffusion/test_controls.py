"""ControlNets: what diffusers' ControlNet pipelines draw, by separate steps."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    ControlNetModel,
    ControlNetUnionModel,
    FluxControlNetModel,
    FluxControlNetPipeline,
    QwenImageControlNetModel,
    QwenImageControlNetPipeline,
    SD3ControlNetModel,
    StableDiffusion3ControlNetPipeline,
    StableDiffusionControlNetPipeline,
    StableDiffusionXLControlNetPipeline,
    StableDiffusionXLControlNetUnionPipeline,
    ZImageControlNetModel,
    ZImageControlNetPipeline,
)
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from PIL import Image

from nbgraph.diffusion.controls import Control
from nbgraph.diffusion.denoising import DenoiseSettings
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.refs import ModelRef
from nbgraph.errors import ModelError
from tests.diffusion.drawing import AVOID, SEED, SIDE, TEXT, sample
from tests.diffusion.models import TinyModels
from tests.diffusion.table import TINY, able
from tests.tiny_models import build_controlnet

PIPELINES: dict[str, tuple[Any, Any]] = {
    "stable-diffusion": (StableDiffusionControlNetPipeline, ControlNetModel),
    "stable-diffusion-xl": (StableDiffusionXLControlNetPipeline, ControlNetModel),
    "stable-diffusion-3": (StableDiffusion3ControlNetPipeline, SD3ControlNetModel),
    "flux": (FluxControlNetPipeline, FluxControlNetModel),
    "qwenimage": (QwenImageControlNetPipeline, QwenImageControlNetModel),
    "z-image": (ZImageControlNetPipeline, ZImageControlNetModel),
}
ONE = ("qwen-image", "z-image")
"""The pipelines of these take one ControlNet."""
WHOLE = ("z-image",)
"""The pipelines of these steer over all steps."""
PICTURE = Image.linear_gradient("L").resize((SIDE, SIDE))
SPAN = {"control_guidance_start": 0.0, "control_guidance_end": 0.6}


def scale(name: str) -> str:
    return "true_cfg_scale" if name in ("flux", "qwen-image") else "guidance_scale"


def control_ref(tiny: TinyModels, name: str, folder: Path) -> ModelRef:
    return ModelRef.from_path(str(build_controlnet(folder / f"control-{name}", Path(tiny[name].path))))


@pytest.fixture(autouse=True)
def _means(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control images are encoded as the mean of what the autoencoder gives; here the pipelines do that too."""
    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode())


@pytest.mark.parametrize(
    ("name", "count"),
    [(name, count) for name in able("controlnet") for count in (1, 2) if count == 1 or name not in ONE],
)
def test_controls_do_what_diffusers_does_with_them(
    name: str, count: int, tiny: TinyModels, shared_cache: ModelCache, tmp_path: Path
) -> None:
    ref = control_ref(tiny, name, tmp_path)
    pipeline_class, net_class = PIPELINES[TINY[name]]
    net = net_class.from_pretrained(ref.path, local_files_only=True)
    pipeline = pipeline_class.from_pipe(tiny.pipeline(name), controlnet=net if count == 1 else [net, net])
    pipeline.set_progress_bar_config(disable=True)
    weights, pictures = [0.8, 0.4][:count], [PICTURE.convert("RGB")] * count
    image = "image" if TINY[name].startswith("stable-diffusion") and name != "sd3" else "control_image"
    given = {image: pictures[0] if count == 1 else pictures, scale(name): 4.0}
    if TINY[name] == "flux":
        given["guidance_scale"] = 3.5  # as without a ControlNet; this pipeline has 7
    expected = pipeline(
        TEXT, negative_prompt=AVOID, height=SIDE, width=SIDE, num_inference_steps=5, output_type="latent",
        generator=torch.Generator().manual_seed(SEED), **given, **({} if name in WHOLE else SPAN),
        controlnet_conditioning_scale=weights[0] if count == 1 else weights,
    ).images  # fmt: skip
    if expected.ndim == 3:
        expected = pipeline._unpack_latents(expected, SIDE, SIDE, pipeline.vae_scale_factor)
    expected = expected[:, :, 0] if expected.ndim == 5 else expected
    settings = DenoiseSettings(steps=5, cfg=4.0)
    with shared_cache.use(ref, "controlnet") as nets:
        end = 1.0 if name in WHOLE else 0.6
        controls = [Control(nets["controlnet"], PICTURE, weight, 0.0, end) for weight in weights]
        found = sample(shared_cache, tiny[name], settings, controls=controls).tensor
    assert (found - expected).abs().max() == 0
    assert (found - sample(shared_cache, tiny[name], settings).tensor).abs().max() > 1e-2


def test_a_net_that_its_pipeline_uses_at_all_steps_keeps_to_its_span(
    tiny: TinyModels, shared_cache: ModelCache, tmp_path: Path
) -> None:
    ref, half = control_ref(tiny, "z-image", tmp_path), DenoiseSettings(steps=4, cfg=4.0, end=2)
    plain = sample(shared_cache, tiny["z-image"], half).tensor
    with shared_cache.use(ref, "controlnet") as nets:
        early, late = (
            sample(shared_cache, tiny["z-image"], half, controls=[Control(nets["controlnet"], PICTURE, 0.8, start)])
            for start in (0.0, 0.6)
        )
    assert (late.tensor - plain).abs().max() == 0
    assert (early.tensor - plain).abs().max() > 1e-3


UNIONS: dict[str, tuple[Any, Any]] = {
    "sdxl": (StableDiffusionXLControlNetUnionPipeline, ControlNetUnionModel),
    "flux": (FluxControlNetPipeline, FluxControlNetModel),
}


@pytest.mark.parametrize(("name", "count"), [(name, count) for name in UNIONS for count in (1, 2)])
def test_a_control_net_of_several_tasks_does_the_one_it_is_told(
    name: str, count: int, tiny: TinyModels, shared_cache: ModelCache, tmp_path: Path
) -> None:
    ref = ModelRef.from_path(str(build_controlnet(tmp_path / name, Path(tiny[name].path), union=True)))
    pipeline_class, net_class = UNIONS[name]
    net = net_class.from_pretrained(ref.path, local_files_only=True)
    pipeline = pipeline_class.from_pipe(tiny.pipeline(name), controlnet=net if count == 1 else [net, net])
    pipeline.set_progress_bar_config(disable=True)
    modes, weights, pictures = [2, 0][:count], [0.8, 0.4][:count], [PICTURE.convert("RGB")] * count
    one = count == 1 and name == "flux"
    expected = pipeline(
        TEXT, negative_prompt=AVOID, height=SIDE, width=SIDE, num_inference_steps=4, output_type="latent",
        generator=torch.Generator().manual_seed(SEED), control_image=pictures[0] if one else pictures,
        control_mode=modes[0] if one else modes, controlnet_conditioning_scale=weights[0] if count == 1 else weights,
        **({"true_cfg_scale": 4.0, "guidance_scale": 3.5} if name == "flux" else {"guidance_scale": 4.0}),
    ).images  # fmt: skip
    if expected.ndim == 3:
        expected = pipeline._unpack_latents(expected, SIDE, SIDE, pipeline.vae_scale_factor)
    settings = DenoiseSettings(steps=4, cfg=4.0)
    with shared_cache.use(ref, "controlnet") as nets:
        controls = [
            Control(nets["controlnet"], PICTURE, weight, mode=mode) for weight, mode in zip(weights, modes, strict=True)
        ]
        found = sample(shared_cache, tiny[name], settings, controls=controls).tensor
        other = sample(shared_cache, tiny[name], settings, controls=[Control(nets["controlnet"], PICTURE, mode=1)])
    assert (found - expected).abs().max() == 0
    assert (found - other.tensor).abs().max() > 1e-3


def test_a_family_without_controls_and_a_span_the_wrong_way_round(
    tiny: TinyModels, shared_cache: ModelCache, tmp_path: Path
) -> None:
    with shared_cache.use(control_ref(tiny, "sd15", tmp_path), "controlnet") as nets:
        with pytest.raises(ModelError, match="ControlNets work with models of stable-diffusion, .*'chroma'"):
            sample(
                shared_cache, tiny["chroma"], DenoiseSettings(steps=2), controls=[Control(nets["controlnet"], PICTURE)]
            )
        late = Control(nets["controlnet"], PICTURE, start=0.8, end=0.2)
        with pytest.raises(ModelError, match="cannot steer from 0.8 to 0.2"):
            sample(shared_cache, tiny["sd15"], DenoiseSettings(steps=2), controls=[late])


def test_a_control_net_of_another_family_or_size_or_one_too_many_is_refused(
    tiny: TinyModels, shared_cache: ModelCache, tmp_path: Path
) -> None:
    settings = DenoiseSettings(steps=2)
    with shared_cache.use(control_ref(tiny, "flux", tmp_path), "controlnet") as nets:
        given = [Control(nets["controlnet"], PICTURE)]
        with pytest.raises(ModelError, match="is a FluxControlNetModel, and .*'stable-diffusion-3' take a SD3Control"):
            sample(shared_cache, tiny["sd3"], settings, controls=given)
        config = {**nets["controlnet"].config, "joint_attention_dim": 16}
        other = Control(FluxControlNetModel.from_config(config), PICTURE)
        with pytest.raises(ModelError, match="made for another model.*joint_attention_dim 16 instead of 32"):
            sample(shared_cache, tiny["flux"], settings, controls=[other])
        union = FluxControlNetModel.from_config({**nets["controlnet"].config, "num_mode": 4})
        for mode in (None, 4):
            with pytest.raises(ModelError, match=f"for 4 tasks \\(union\\), and mode is {mode}; give.*0 to 3"):
                sample(shared_cache, tiny["flux"], settings, controls=[Control(union, PICTURE, mode=mode)])
        with pytest.raises(ModelError, match="is for one task, and is given the task 1"):
            sample(shared_cache, tiny["flux"], settings, controls=[Control(nets["controlnet"], PICTURE, mode=1)])
    ref = control_ref(tiny, "qwen-image", tmp_path)
    with (
        shared_cache.use(ref, "controlnet") as nets,
        pytest.raises(ModelError, match="take one ControlNet at a time, and there are 2"),
    ):
        sample(shared_cache, tiny["qwen-image"], settings, controls=[Control(nets["controlnet"], PICTURE)] * 2)
