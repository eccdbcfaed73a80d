"""Families of models that are run as a whole only: what their pipelines do that steps one by one would not."""

import inspect
from typing import Any

from nbgraph.diffusion.families import Family, class_names, family

_REASONS = {
    "lumina2": "its pipeline puts an instruction before the positive text alone",
    "cogview3": "its pipeline takes zeros for a negative prompt that comes encoded",
    "lumina": "its pipeline brings a negative text to the length of the positive one",
    "hunyuan": "its pipeline encodes a text twice, by an index",
    "hunyuan-pag": "its pipeline encodes a text twice, by an index",
    "glm_image": "a language model writes tokens of the image before it is denoised",
    "helios": "its pipeline makes videos in chunks",
    "helios-pyramid": "its pipeline makes videos in chunks",
    "qwenimage21": "its text encoder gives a mask of image tokens that the steps need",
    "z-image-omni": "its steps are given features of SigLIP",
    "flux-control": "its denoiser is given a control image beside the latents",
    "cogview4-control": "its denoiser is given a control image beside the latents",
}
"""Reasons that the names in a pipeline's source do not show."""


_MOVING = ("num_frames", "audio_length_in_s", "audio_end_in_s")
"""Parameters of pipelines that make videos or sounds."""


def moving_reason(pipeline: Any) -> str:
    """Return why a pipeline is not run at all, as it gives no images; "" for those that give some."""
    found = next((name for name in _MOVING if name in inspect.signature(pipeline.__call__).parameters), None)
    return "" if found is None else f"it takes {found!r}: it makes videos or sounds, and only images are made here"


def whole_reason(of: Family) -> str:
    """Return why models of a family are run as a whole only; "" for those that run step by step."""
    if of.key in _REASONS:
        return _REASONS[of.key]
    parts = inspect.signature(of.pipeline().__init__).parameters
    if "vae" not in parts or of.denoiser not in parts:
        return "it is several models in a row, or has no VAE of the usual kind"
    if not of.conditioning:
        return "its pipeline has no encode_prompt"
    if "latents" not in of.parameters:
        return "its pipeline takes no latents"
    if not of.positive:
        return "its pipeline takes no encoded text"
    return ""


def text_to_image_families() -> list[Family]:
    """Return every family that diffusers registers for text to image."""
    return [family(key) for key in class_names()["text_to_image"]]
