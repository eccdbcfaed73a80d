"""Families of denoisers (UNets and transformers) by the names and shapes of their tensors.

The tests distinguish the original layouts, and the layout of diffusers where one file holds it. Families that share
names with others are tested first: Chroma and FLUX.2 have the blocks of FLUX.1.
"""

from collections.abc import Mapping
from typing import Any

from nbgraph.diffusion.model_files import StoredTensor

Tensors = Mapping[str, StoredTensor]

DENOISER_PREFIXES = ("model.diffusion_model.", "diffusion_model.", "transformer.", "unet.", "")
"""Prefixes of the names of a denoiser; the last one is that of a file with the denoiser alone."""

_MARKS: tuple[tuple[str, str, str], ...] = (
    ("joint_blocks.0.context_block.adaLN_modulation.1.bias", "stable-diffusion-3", ""),
    ("single_stream_modulation.lin.weight", "flux2", ""),
    ("single_stream_modulation.linear.weight", "flux2", ""),
    ("early_stream_modulations.image.lin.weight", "flux3", ""),
    ("distilled_guidance_layer.in_proj.bias", "chroma", ""),
    ("distilled_guidance_layer.in_proj.weight", "chroma", ""),
    ("double_blocks.0.img_attn.norm.key_norm.scale", "flux", ""),
    ("single_transformer_blocks.0.attn.norm_q.weight", "flux", ""),
    ("layers.0.adaLN_modulation.0.weight", "z-image", ""),
    ("cap_embedder.0.weight", "lumina2", ""),
    ("txt_in.text_norm.weight", "qwenimage21", ""),
    ("txtfusion.projector.weight", "krea2", ""),
    ("transformer_blocks.0.attn.add_q_proj.weight", "", ""),
    ("head.modulation", "wan", "video"),
    ("patchify_proj.weight", "ltx", "video"),
    ("txt_in.individual_token_refiner.blocks.0.adaLN_modulation.1.bias", "hunyuan-video", "video"),
    ("double_layers.0.attn.w1q.weight", "auraflow", ""),
    ("joint_transformer_blocks.0.attn.add_q_proj.weight", "auraflow", ""),
    ("blocks.0.cross_attn.q_linear.weight", "sana", ""),
    ("adaln_single.emb.timestep_embedder.linear_1.weight", "pixart-sigma", ""),
    ("double_stream_blocks.0.block.adaLN_modulation.1.bias", "hidream", ""),
)
_UNET_MARKS = ("input_blocks.0.0.weight", "conv_in.weight")
_CHANNELS = {9: "inpainting", 8: "instruct-pix2pix", 5: "depth"}


def denoiser_kind(tensors: Tensors, metadata: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return (family, variant) of the denoiser that a file holds; None where there is none that is known."""
    for prefix in DENOISER_PREFIXES:
        for mark, family, variant in _MARKS:
            if prefix + mark in tensors:
                return _of_transformer(tensors, prefix, family, variant)
        if found := _of_unet(tensors, prefix, metadata):
            return found
    return None


def _of_transformer(tensors: Tensors, prefix: str, family: str, variant: str) -> tuple[str, str] | None:
    def shape(name: str) -> tuple[int, ...]:
        found = tensors.get(prefix + name)
        return found.shape if found is not None else (0, 0)

    if family == "stable-diffusion-3":
        if f"{prefix}joint_blocks.37.x_block.mlp.fc1.weight" in tensors:
            return family, "3.5-large"
        return family, "3.5-medium" if shape("pos_embed")[1] == 147456 else "3-medium"
    if family == "flux":
        original = f"{prefix}img_in.weight" in tensors
        channels = shape("img_in.weight" if original else "x_embedder.weight")[1]
        guided = {f"{prefix}guidance_in.in_layer.bias", f"{prefix}time_text_embed.guidance_embedder.linear_1.bias"}
        variant = "dev" if guided & set(tensors) else "schnell"
        return family, {384: "fill", 128: "control"}.get(channels, variant)
    if not family:
        if f"{prefix}txt_norm.weight" in tensors:
            return "qwenimage", ""
        if f"{prefix}pos_embed.pos_embed" in tensors or f"{prefix}context_embedder.weight" in tensors:
            return "stable-diffusion-3", "3.5-medium" if shape("pos_embed.pos_embed")[1] == 147456 else "3-medium"
        return None
    return family, variant


def _of_unet(tensors: Tensors, prefix: str, metadata: Mapping[str, Any]) -> tuple[str, str] | None:
    first = next((prefix + mark for mark in _UNET_MARKS if prefix + mark in tensors), None)
    attention = next((name for name in tensors if name.startswith(prefix) and name.endswith("attn2.to_k.weight")), None)
    if first is None or attention is None:
        return None
    width, channels = tensors[attention].shape[-1], tensors[first].shape[1]
    task = _CHANNELS.get(channels, "")
    if "edm_mean" in tensors:
        return "stable-diffusion-xl", "playground-2.5"
    if "edm_vpred.sigma_max" in tensors:
        return "stable-diffusion-xl", "with EDM levels"
    if _holds(tensors, "conditioner.embedders.1.model."):
        return "stable-diffusion-xl", task or "base"
    if _holds(tensors, "conditioner.embedders.0.model."):
        return "stable-diffusion-xl", "refiner"
    if _holds(tensors, "cond_stage_model.model."):
        return "stable-diffusion", f"2 {task}".strip()
    if _holds(tensors, "cond_stage_model.transformer."):
        return "stable-diffusion", f"1 {task}".strip()
    is_xl = {f"{prefix}label_emb.0.0.weight", f"{prefix}add_embedding.linear_1.weight"} & set(tensors)
    if is_xl:
        return "stable-diffusion-xl", "refiner" if width == 1280 else task or "base"
    return "stable-diffusion", f"{'2' if width == 1024 else '1'} {task}".strip()


def _holds(tensors: Tensors, start: str) -> bool:
    return any(name.startswith(start) for name in tensors)
