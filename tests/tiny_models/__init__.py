"""Builders of tiny models with random weights, in the diffusers layout: the real classes, about a million parameters.

Each `build_NAME(folder)` writes one model and returns the folder. Pictures are 64x64; nothing is downloaded.
"""

from collections.abc import Callable
from pathlib import Path

from tests.tiny_models.adapters import build_controlnet, build_image_encoder, build_ip_adapter, build_t2i_adapter
from tests.tiny_models.loras import build_lora
from tests.tiny_models.newer_transformers import build_auraflow, build_cogview4, build_sana
from tests.tiny_models.transformer_models import (
    build_chroma,
    build_flux,
    build_pixart,
    build_pixart_alpha,
    build_qwen_image,
    build_sd3,
    build_z_image,
)
from tests.tiny_models.unet_models import build_sd2, build_sd15, build_sdxl

BUILDERS: dict[str, Callable[[Path], Path]] = {
    "sd15": build_sd15,
    "sd2": build_sd2,
    "sdxl": build_sdxl,
    "sd3": build_sd3,
    "flux": build_flux,
    "pixart": build_pixart,
    "qwen-image": build_qwen_image,
    "z-image": build_z_image,
    "pixart-alpha": build_pixart_alpha,
    "chroma": build_chroma,
    "auraflow": build_auraflow,
    "sana": build_sana,
    "cogview4": build_cogview4,
}

__all__ = [
    "BUILDERS",
    "build_auraflow",
    "build_chroma",
    "build_cogview4",
    "build_controlnet",
    "build_flux",
    "build_image_encoder",
    "build_ip_adapter",
    "build_lora",
    "build_pixart",
    "build_pixart_alpha",
    "build_qwen_image",
    "build_sana",
    "build_sd15",
    "build_sd2",
    "build_sd3",
    "build_sdxl",
    "build_t2i_adapter",
    "build_z_image",
]
