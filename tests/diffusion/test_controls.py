"""ControlNets: what diffusers' ControlNet pipelines draw, by separate steps."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    ControlNetModel,
    StableDiffusionControlNetPipeline,
    StableDiffusionXLControlNetPipeline,
)
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

PIPELINES: dict[str, Any] = {
    "stable-diffusion": StableDiffusionControlNetPipeline,
    "stable-diffusion-xl": StableDiffusionXLControlNetPipeline,
}
PICTURE = Image.linear_gradient("L").resize((SIDE, SIDE))
SPAN = {"control_guidance_start": 0.0, "control_guidance_end": 0.6}


def control_ref(tiny: TinyModels, name: str, folder: Path) -> ModelRef:
    return ModelRef.from_path(str(build_controlnet(folder / f"control-{name}", Path(tiny[name].path))))


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("name", able("controlnet"))
def test_controls_do_what_diffusers_does_with_them(
    name: str, count: int, tiny: TinyModels, shared_cache: ModelCache, tmp_path: Path
) -> None:
    ref = control_ref(tiny, name, tmp_path)
    net = ControlNetModel.from_pretrained(ref.path, local_files_only=True)
    pipeline = PIPELINES[TINY[name]].from_pipe(tiny.pipeline(name), controlnet=net if count == 1 else [net, net])
    pipeline.set_progress_bar_config(disable=True)
    weights, pictures = [0.8, 0.4][:count], [PICTURE.convert("RGB")] * count
    expected = pipeline(
        TEXT, negative_prompt=AVOID, image=pictures[0] if count == 1 else pictures, height=SIDE, width=SIDE,
        num_inference_steps=5, guidance_scale=4.0, generator=torch.Generator().manual_seed(SEED), output_type="latent",
        controlnet_conditioning_scale=weights[0] if count == 1 else weights, **SPAN,
    ).images  # fmt: skip
    settings = DenoiseSettings(steps=5, cfg=4.0)
    with shared_cache.use(ref, "controlnet") as nets:
        controls = [Control(nets["controlnet"], PICTURE, weight, 0.0, 0.6) for weight in weights]
        found = sample(shared_cache, tiny[name], settings, controls=controls).tensor
    assert (found - expected).abs().max() == 0
    assert (found - sample(shared_cache, tiny[name], settings).tensor).abs().max() > 1e-2


def test_a_family_without_controls_and_a_span_the_wrong_way_round(
    tiny: TinyModels, shared_cache: ModelCache, tmp_path: Path
) -> None:
    with shared_cache.use(control_ref(tiny, "sd15", tmp_path), "controlnet") as nets:
        with pytest.raises(ModelError, match="ControlNets work with Stable Diffusion 1.5 and XL"):
            sample(
                shared_cache, tiny["flux"], DenoiseSettings(steps=2), controls=[Control(nets["controlnet"], PICTURE)]
            )
        late = Control(nets["controlnet"], PICTURE, start=0.8, end=0.2)
        with pytest.raises(ModelError, match="cannot steer from 0.8 to 0.2"):
            sample(shared_cache, tiny["sd15"], DenoiseSettings(steps=2), controls=[late])
