"""Kinds of adapters by the names of their tensors: LoRA and kin, embeddings of words, IP-Adapters, T2I-Adapters."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from nbgraph.diffusion.model_files import StoredTensor

Tensors = Mapping[str, StoredTensor]

_KINDS = (
    ("dora", re.compile(r"\.(dora_scale|lora_magnitude_vector)")),
    ("loha", re.compile(r"\.hada_w[12]_")),
    ("lokr", re.compile(r"\.lokr_w[12]")),
    ("glora", re.compile(r"\.[ab][12]\.weight$")),
    ("oft", re.compile(r"\.(b?oft_blocks|oft_diag)")),
    ("ia3", re.compile(r"\.(on_input|ia3_l)$")),
    ("lora", re.compile(r"[._]lora\d*[._](A|B|up|down)|\.lora_linear_layer\.")),
    ("full differences", re.compile(r"\.diff(_b)?$")),
)
_FLUX_IP = ".ip_adapter_double_stream_k_proj."
"""Names a layer of the IP-Adapters of Flux by XLabs."""
_CROSS_ATTENTION = re.compile(r"attn2[._](to_[kv]|processor[._]to_[kv]_lora)")
_TRANSFORMERS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("flux2", re.compile(r"single_stream_modulation|double_stream_modulation")),
    ("chroma", re.compile(r"distilled_guidance_layer")),
    ("flux", re.compile(r"(double|single)_blocks[._]\d|single_transformer_blocks[._]\d")),
    ("stable-diffusion-3", re.compile(r"joint_blocks[._]\d")),
    ("qwenimage", re.compile(r"transformer_blocks[._]\d+[._](img_mlp|txt_mlp|img_mod|txt_mod)")),
    ("z-image", re.compile(r"(^|[._])(noise_refiner|context_refiner|layers)[._]\d+[._](attention|feed_forward|adaLN)")),
    ("wan", re.compile(r"blocks[._]\d+[._](self_attn|cross_attn)[._]")),
)
_XL_ALONE = re.compile(r"^lora_te2_|(input_blocks|middle_block|down_blocks|mid_block).*[._]transformer_blocks[._]9[._]")
"""A second text encoder, or ten transformer blocks in a row: what only SDXL has among models with a UNet."""
_WIDTHS = {768: ("stable-diffusion", "1"), 1024: ("stable-diffusion", "2"), 2048: ("stable-diffusion-xl", "base")}
_BASES = (
    ("stable-diffusion-v1", "stable-diffusion", "1"), ("stable-diffusion-v2", "stable-diffusion", "2"),
    ("stable-diffusion-xl", "stable-diffusion-xl", "base"), ("stable-diffusion-3", "stable-diffusion-3", ""),
    ("sd_v1", "stable-diffusion", "1"), ("sd_1", "stable-diffusion", "1"), ("sd_v2", "stable-diffusion", "2"),
    ("sdxl_base", "stable-diffusion-xl", "base"), ("flux", "flux", ""), ("sd3", "stable-diffusion-3", ""),
)  # fmt: skip
"""How the metadata of a file names its base model: beginning, family, variant."""
_EMBEDDINGS = {768: ("stable-diffusion", "1"), 1024: ("stable-diffusion", "2"), 1280: ("stable-diffusion-xl", "")}


def adapter_kind(tensors: Tensors, metadata: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """Return (kind, family, variant) of an adapter, or None for another file.

    The variant of a LoRA ends with its algorithm.
    """
    names = list(tensors)
    if any(name.startswith("ip_adapter.") or ".to_k_ip." in name or _FLUX_IP in name for name in names):
        if any(_FLUX_IP in name or name.endswith(".to_k_ip.bias") for name in names):
            return "ip-adapter", "flux", ""
        if any(".norm_ip_k." in name for name in names):
            return "ip-adapter", "stable-diffusion-3", ""
        return "ip-adapter", *_by_width(tensors, r"\.to_[kv]_ip\.weight$")
    if "adapter.body.0.resnets.0.block1.weight" in tensors or "body.0.block1.weight" in tensors:
        return "t2i-adapter", "", ""
    algorithm = next((kind for kind, pattern in _KINDS if any(pattern.search(name) for name in names)), None)
    if algorithm is None or (algorithm == "glora" and not any("lora" in name for name in names)):
        return _embedding(tensors)
    family, variant = base_of_lora(tensors, metadata)
    return "lora", family, " ".join(filter(None, (variant, "" if algorithm == "lora" else algorithm)))


def base_of_lora(tensors: Tensors, metadata: Mapping[str, Any]) -> tuple[str, str]:
    """Return (family, variant) of the models a LoRA is for; empty texts where it is unknown.

    Names and shapes come before metadata, which trainers fill with the name of the script that ran.
    """
    names = list(tensors)
    family, variant = _by_width(tensors, _CROSS_ATTENTION.pattern, down_only=True)
    if family:
        return family, variant
    if _matches(names, _XL_ALONE) and not _matches(names, re.compile(r"(double|single|joint)_blocks")):
        return "stable-diffusion-xl", "base"
    for key, pattern in _TRANSFORMERS:
        if _matches(names, pattern):
            return key, ""
    named = " ".join(str(metadata.get(key, "")) for key in ("modelspec.architecture", "ss_base_model_version")).strip()
    return next(((key, kind) for start, key, kind in _BASES if named.startswith(start)), ("", ""))


def _embedding(tensors: Tensors) -> tuple[str, str, str] | None:
    names = set(tensors)
    if names and names <= {"clip_l", "clip_g", "t5xxl"}:
        is_two = {"clip_l", "clip_g"} <= names
        return "embedding", "stable-diffusion-xl" if is_two else "", ", ".join(sorted(names))
    if "emb_params" in names or "string_to_param.*" in names or len(names) == 1:
        name = "emb_params" if "emb_params" in names else min(names, key=lambda each: each != "string_to_param.*")
        shape = tensors[name].shape
        width = shape[-1] if shape else 0
        if len(shape) in (1, 2) and (name in ("emb_params", "string_to_param.*") or width in _EMBEDDINGS):
            return "embedding", *_EMBEDDINGS.get(width, ("", ""))
    return None


def _by_width(tensors: Tensors, pattern: str, down_only: bool = False) -> tuple[str, str]:
    """Return (family, variant) by the width of the text embeddings that cross attention takes."""
    found = re.compile(pattern)
    for name, tensor in tensors.items():
        is_down = not down_only or re.search(r"down\.weight|lora_A|hada_w[12]_b|\.down\.weight", name)
        if is_down and found.search(name) and len(tensor.shape) >= 2 and tensor.shape[1] in _WIDTHS:
            return _WIDTHS[tensor.shape[1]]
    return "", ""


def _matches(names: Iterable[str], pattern: re.Pattern[str]) -> bool:
    return any(pattern.search(name) for name in names)
