"""The smallest models that a pipeline of diffusers draws with: configurations in a folder, weights in memory only.

Made for tests that draw with every scheduler: a step takes some milliseconds. Pictures are 64x64, latents 8x8.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, SD3Transformer2DModel, UNet2DConditionModel

from nbgraph.diffusion.components import Components
from nbgraph.diffusion.denoising import DenoiseSettings, denoise
from nbgraph.diffusion.description import describe_model
from nbgraph.diffusion.noise import draw_noise
from nbgraph.diffusion.values import Conditioning, Latents

SIDE = 64
SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


class Smallest:
    """A UNet (`unet`) and a flow-matching transformer (`flow`), each as a model with any scheduler as its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._modules = {"unet": _unet(), "flow": _transformer()}
        self._conditioning = {kind: (_conditioning(kind, 1), _conditioning(kind, 2)) for kind in self._modules}

    def components(
        self, kind: str, scheduler: str, denoiser: torch.nn.Module | None = None, **config: Any
    ) -> Components:
        """The components to denoise with; `scheduler` is a class of diffusers, `config` its configuration."""
        settings = "-".join(f"{name}={value}" for name, value in config.items())
        folder = self._folder / f"{kind}-{scheduler}-{settings}"
        name = "unet" if kind == "unet" else "transformer"
        module = denoiser or self._modules[kind]
        if not folder.exists():
            self._write(folder, kind, name, scheduler, config)
        return Components(describe_model(folder), {name: module}, torch.device("cpu"), torch.float32)

    def _write(self, folder: Path, kind: str, name: str, scheduler: str, config: dict[str, Any]) -> None:
        module, vae = self._modules[kind], _vae(4 if kind == "unet" else 16)
        module.save_config(folder / name)  # type: ignore[operator]
        vae.save_config(folder / "vae")
        index = {
            "_class_name": "StableDiffusionPipeline" if kind == "unet" else "StableDiffusion3Pipeline",
            name: ["diffusers", type(module).__name__],
            "vae": ["diffusers", "AutoencoderKL"],
            "scheduler": ["diffusers", scheduler],
        }
        (folder / "model_index.json").write_text(json.dumps(index))
        (folder / "scheduler").mkdir()
        own = json.dumps({"_class_name": scheduler, **config})
        (folder / "scheduler" / "scheduler_config.json").write_text(own)

    def draw(self, components: Components, settings: DenoiseSettings, **given: Any) -> Latents:
        """`denoise` with a positive and a negative text."""
        kind = "unet" if "unet" in components else "flow"
        return denoise(components, *self._conditioning[kind], settings=settings, **given)


def noise(components: Components, *seeds: int) -> Latents:
    """Noise for a picture a seed."""
    return draw_noise(components.model, seeds, SIDE, SIDE)


def picture(components: Components) -> Latents:
    """Smooth latents, as of a picture."""
    line = torch.linspace(-1, 1, SIDE // components.model.vae_scale_factor)
    tensor = (line[:, None] * line).expand(1, components.model.latent_channels, -1, -1).contiguous()
    return Latents(tensor, components.model.need_family().key, SIDE, SIDE)


def _unet() -> UNet2DConditionModel:
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        block_out_channels=(8, 16), layers_per_block=1, sample_size=8, norm_num_groups=4, cross_attention_dim=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=4,
    )  # fmt: skip
    return unet.eval().requires_grad_(False)


def _transformer() -> SD3Transformer2DModel:
    torch.manual_seed(0)
    transformer = SD3Transformer2DModel(
        sample_size=8, patch_size=2, in_channels=16, num_layers=1, attention_head_dim=8, num_attention_heads=2,
        caption_projection_dim=16, joint_attention_dim=8, pooled_projection_dim=8, out_channels=16,
        pos_embed_max_size=16,
    )  # fmt: skip
    return transformer.eval().requires_grad_(False)


@cache
def _vae(channels: int) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8,) * 4, down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4, latent_channels=channels, norm_num_groups=4, sample_size=SIDE,
    )  # fmt: skip


def _conditioning(kind: str, seed: int) -> Conditioning:
    generator = torch.Generator().manual_seed(seed)
    tensors = {"prompt_embeds": torch.randn(1, 3, 8, generator=generator)}
    if kind == "unet":
        return Conditioning(tensors, "stable-diffusion")
    tensors["pooled_prompt_embeds"] = torch.randn(1, 8, generator=generator)
    return Conditioning(tensors, "stable-diffusion-3")
