"""Builders of tiny models with random weights, in the diffusers layout: the real classes, about a million parameters.

Each `build_NAME(folder)` writes one model and returns the folder. Pictures are 64x64; nothing is downloaded.
"""

from collections.abc import Callable
from pathlib import Path

from tests.tiny_models.adapters import (
    build_controlnet,
    build_image_encoder,
    build_ip_adapter,
    build_siglip,
    build_t2i_adapter,
)
from tests.tiny_models.editing_models import (
    build_flux2,
    build_flux2_klein,
    build_flux_kontext,
    build_qwen_edit,
    build_qwen_edit_plus,
)
from tests.tiny_models.loras import build_lora
from tests.tiny_models.newer_transformers import build_auraflow, build_cogview4, build_lumina2, build_sana
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
    "lumina2": build_lumina2,
    "flux-kontext": build_flux_kontext,
    "flux2": build_flux2,
    "flux2-klein": build_flux2_klein,
    "qwen-edit": build_qwen_edit,
    "qwen-edit-plus": build_qwen_edit_plus,
}

__all__ = [
    "BUILDERS",
    "build_auraflow",
    "build_chroma",
    "build_cogview4",
    "build_controlnet",
    "build_flux",
    "build_flux2",
    "build_flux2_klein",
    "build_flux_kontext",
    "build_image_encoder",
    "build_ip_adapter",
    "build_lora",
    "build_lumina2",
    "build_pixart",
    "build_pixart_alpha",
    "build_qwen_edit",
    "build_qwen_edit_plus",
    "build_qwen_image",
    "build_sana",
    "build_sd15",
    "build_sd2",
    "build_sd3",
    "build_sdxl",
    "build_siglip",
    "build_t2i_adapter",
    "build_z_image",
]
