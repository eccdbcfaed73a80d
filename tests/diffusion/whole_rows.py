"""What is tried for each class that diffusers registers for text to image and that no other row of a table tries."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import diffusers
import torch
from diffusers import CogView4Transformer2DModel, DiffusionPipeline, FluxTransformer2DModel, ZImageTransformer2DModel
from transformers import Siglip2ImageProcessorPil, Siglip2VisionConfig, Siglip2VisionModel

from tests.diffusion.models import TinyModels
from tests.tiny_models import newer_families, unet_families
from tests.tiny_models.glm_image import glm_image

Build = Callable[[TinyModels], Any]
UNBINNED = {"use_resolution_binning": False}


class Row(NamedTuple):
    """A pipeline in memory, and the arguments of its call beside a prompt, a size and a number of steps."""

    build: Build
    arguments: dict[str, Any] = {}
    size: int = 32


def alone(function: Callable[[], Any]) -> Build:
    """Build a pipeline that shares no part with another tiny model."""
    return lambda tiny: function()


def over(name: str, kind: str, **changed: Callable[[Any], Any]) -> Build:
    """Build a pipeline of another class over the parts of a tiny model; `changed` are made from the plain pipeline."""

    def build(tiny: TinyModels) -> Any:
        plain = tiny.pipeline(name)
        pipeline: Any = getattr(diffusers, kind)
        taken = inspect.signature(pipeline.__init__).parameters
        parts = {**plain.components, **{part: make(plain) for part, make in changed.items()}}
        return pipeline(**{part: each for part, each in parts.items() if part in taken})

    return build


def _hunyuan_pag(tiny: TinyModels) -> Any:
    plain = newer_families.hunyuan()
    return diffusers.HunyuanDiTPAGPipeline(**plain.components, requires_safety_checker=False)


def _wider(kind: Any) -> Callable[[Any], Any]:
    """Make a transformer that is given a control image of as many channels beside the latents."""

    def make(plain: DiffusionPipeline) -> Any:
        config: Any = plain.transformer.config  # type: ignore[attr-defined]
        return kind.from_config(
            {**config, "in_channels": 2 * config["in_channels"], "out_channels": config["in_channels"]}
        )

    return make


def _siglip(plain: Any) -> Siglip2VisionModel:
    config = Siglip2VisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, patch_size=8, num_patches=16
    )
    return Siglip2VisionModel(config).eval()


def _siglip_processor(plain: Any) -> Siglip2ImageProcessorPil:
    return Siglip2ImageProcessorPil()


def _omni(plain: Any) -> ZImageTransformer2DModel:
    made: Any = ZImageTransformer2DModel.from_config({**plain.transformer.config, "siglip_feat_dim": 16})
    for parameter in made.parameters():
        if not torch.isfinite(parameter).all() or parameter.abs().sum() == 0:
            torch.nn.init.normal_(parameter, std=0.02)
    return made


IN_STEPS: dict[str, Row] = {
    "stable-diffusion-pag": Row(over("sd15", "StableDiffusionPAGPipeline")),
    "stable-diffusion-xl-pag": Row(over("sdxl", "StableDiffusionXLPAGPipeline")),
    "stable-diffusion-3-pag": Row(over("sd3", "StableDiffusion3PAGPipeline")),
    "pixart-sigma-pag": Row(over("pixart", "PixArtSigmaPAGPipeline"), {**UNBINNED, "clean_caption": False}),
    "sana-pag": Row(over("sana", "SanaPAGPipeline"), {**UNBINNED, "complex_human_instruction": None}),
    "krea2": Row(alone(newer_families.krea2)),
    "nucleusmoe-image": Row(alone(newer_families.nucleus)),
    "ovis": Row(alone(newer_families.ovis)),
}
"""Families that run step by step, tried from text to image alone."""
PRIOR = {"prior_num_inference_steps": 2}
AS_A_WHOLE: dict[str, Row] = {
    "if": Row(alone(unet_families.deepfloyd_if), {"clean_caption": False}),
    "hunyuan": Row(alone(newer_families.hunyuan), UNBINNED, 64),
    "hunyuan-pag": Row(_hunyuan_pag, UNBINNED, 64),
    "kandinsky": Row(alone(unet_families.kandinsky), PRIOR, 64),
    "kandinsky22": Row(alone(unet_families.kandinsky22), PRIOR, 64),
    "kandinsky3": Row(alone(unet_families.kandinsky3)),
    "wuerstchen": Row(alone(unet_families.wuerstchen), PRIOR, 128),
    "cascade": Row(alone(unet_families.cascade), PRIOR, 128),
    "flux-control": Row(over("flux", "FluxControlPipeline", transformer=_wider(FluxTransformer2DModel))),
    "cogview4-control": Row(
        over("cogview4", "CogView4ControlPipeline", transformer=_wider(CogView4Transformer2DModel)),
        {"negative_prompt": "a dog"},
    ),
    "ideogram4": Row(alone(newer_families.ideogram4), {"guidance_scale": 4.0, "guidance_schedule": None}),
    "cogview3": Row(alone(newer_families.cogview3), {"negative_prompt": "a dog"}),
    "lumina": Row(alone(newer_families.lumina), {"clean_caption": False, "negative_prompt": "a dog"}, 64),
    "lumina2": Row(over("lumina2", "Lumina2Pipeline"), {"system_prompt": "be bold"}),
    "z-image-omni": Row(
        over(
            "z-image",
            "ZImageOmniPipeline",
            transformer=_omni,
            siglip=_siglip,
            siglip_processor=_siglip_processor,
        )
    ),
    "qwenimage21": Row(alone(newer_families.qwen_image21)),
    "prx": Row(alone(newer_families.prx), UNBINNED),
    "glm_image": Row(alone(glm_image)),
    "hidream": Row(alone(newer_families.hidream), {"max_sequence_length": 64}),
}
"""Families that run as a whole; HiDream is in no table of diffusers."""
