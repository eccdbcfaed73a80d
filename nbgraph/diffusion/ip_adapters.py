"""Weights of an IP-Adapter, read from its file and applied to a copy of a denoiser.

diffusers places the layers by number, and each family has its own: a UNet two a cross attention, Flux four a block of
its first kind, Stable Diffusion 3 seven a block, with norms that follow the time.
"""

import re
from typing import Any

import torch
from torch import Tensor

from nbgraph.diffusion.description import ModelDescription
from nbgraph.diffusion.file_tensors import open_weights
from nbgraph.diffusion.fingerprints import check_unchanged, resolve_folder
from nbgraph.diffusion.model_files import read_header
from nbgraph.diffusion.refs import IpAdapterPatch
from nbgraph.diffusion.weights_fit import check_types
from nbgraph.errors import ModelError

JOINT = "stable-diffusion-3"
"""The family whose denoiser takes one IP-Adapter, which is shown one image."""
FAMILIES = ("stable-diffusion", "stable-diffusion-xl", JOINT, "flux")

_JOINT_LAYERS = (
    "norm_ip.linear.weight", "norm_ip.linear.bias", "to_k_ip.weight", "to_v_ip.weight", "norm_q.weight",
    "norm_k.weight", "norm_ip_k.weight",
)  # fmt: skip
_PARTS = {
    "image_proj": "image_proj", "ip_adapter_proj_model": "image_proj",
    "ip_adapter": "ip_adapter", "double_blocks": "ip_adapter",
}  # fmt: skip
"""The part of an adapter by the first word of a tensor's name; adapters of Flux come in two namings."""
_SAME = {
    "processor.": "", "ip_adapter_double_stream_k_proj": "to_k_ip", "ip_adapter_double_stream_v_proj": "to_v_ip",
}  # fmt: skip
_LONG_PROMPT = 65536
"""Rows of the projection of the adapters of Flux that make 16 tokens of an image; others make 4."""


def check_takes_ip_adapters(model: ModelDescription) -> None:
    """Raise `ModelError` for a model of a family without IP-Adapters."""
    key = model.need_family().key
    if key not in FAMILIES:
        raise ModelError(
            f"IP-Adapters work with Stable Diffusion 1.5, 2, XL and 3 and with Flux, and this model is of {key!r}"
        )


def lay_ip_adapters(denoiser: Any, patches: list[IpAdapterPatch]) -> None:
    """Add the layers of the adapters, in their order, to the attention of `denoiser`, which is a copy."""
    if not patches:
        return
    kind, is_joint = _kind(denoiser), _kind(denoiser) == "SD3Transformer"
    if is_joint and len(patches) > 1:
        raise ModelError(f"a model of Stable Diffusion 3 takes one IP-Adapter, and is given {len(patches)}; leave one")
    states = [_read(patch) for patch in patches]
    for patch, state in zip(patches, states):
        _check_layers(denoiser, patch, state["ip_adapter"])
        if problem := _width_problem(denoiser, state["image_proj"], state["ip_adapter"]):
            raise ModelError(f"the IP-Adapter {patch.path!r} does not fit this {kind}: {problem}")
    try:
        denoiser._load_ip_adapter_weights(states[0] if is_joint else states, low_cpu_mem_usage=False)
    except (RuntimeError, KeyError, ValueError) as error:
        files = ", ".join(repr(patch.path) for patch in patches)
        raise ModelError(
            f"the IP-Adapter {files} does not fit this {kind}, and was trained for another model: "
            f"{' '.join(str(error).split())[:300]}"
        ) from error
    # diffusers leaves the new layers of a transformer in float32
    added = [denoiser.image_proj if is_joint else denoiser.encoder_hid_proj, *denoiser.attn_processors.values()]
    for layer in added:
        if isinstance(layer, torch.nn.Module):
            layer.to(denoiser.device, denoiser.dtype)


def _kind(denoiser: Any) -> str:
    """Return `SD3Transformer`, `FluxTransformer` or `UNet`."""
    return re.sub(r"2D(Condition)?Model$", "", type(denoiser).__name__)


def _check_layers(denoiser: Any, patch: IpAdapterPatch, layers: dict[str, Tensor]) -> None:
    """Raise `ModelError` unless the file has exactly the layers that the attention of the denoiser takes.

    diffusers ignores those it cannot place.
    """
    expected = _expected_layers(denoiser)
    if different := sorted(expected ^ layers.keys()):
        raise ModelError(
            f"the IP-Adapter {patch.path!r} does not fit this {_kind(denoiser)}, and was trained for another model: it "
            f"has {len(layers)} layers for its {len(expected)}, and differs in {len(different)}, such as {different[0]}"
        )


def _expected_layers(denoiser: Any) -> set[str]:
    """Return the names of the layers that the adapter of a denoiser has."""
    names = list(denoiser.attn_processors)
    if _kind(denoiser) == "SD3Transformer":
        return {f"{number}.{layer}" for number in range(len(names)) for layer in _JOINT_LAYERS}
    if _kind(denoiser) == "FluxTransformer":
        blocks = sum(not name.startswith("single_transformer_blocks") for name in names)
        kinds = ("k_ip.weight", "k_ip.bias", "v_ip.weight", "v_ip.bias")
        return {f"{number}.to_{kind}" for number in range(blocks) for kind in kinds}
    # numbered by processor, cross attention being every second one
    count = sum(name.endswith("attn2.processor") for name in names)
    return {f"{2 * number + 1}.to_{part}_ip.weight" for number in range(count) for part in "kv"}


def _width_problem(denoiser: Any, projection: dict[str, Tensor], layers: dict[str, Tensor]) -> str:
    """Return what is wrong with widths that diffusers takes from the file of a transformer's adapter; "" if nothing."""
    if _kind(denoiser) == "FluxTransformer":
        rows = len(projection["proj.weight"]) if "proj.weight" in projection else 0
        made, needed = rows / (16 if rows == _LONG_PROMPT else 4), denoiser.config.joint_attention_dim
    elif _kind(denoiser) == "SD3Transformer":
        rows = len(projection["proj_out.weight"]) if "proj_out.weight" in projection else 0
        made, needed = rows, denoiser.config.attention_head_dim * denoiser.config.num_attention_heads
        of_time, hidden = layers["0.norm_ip.linear.weight"].shape[-1], len(projection.get("proj_in.weight", ()))
        if of_time != hidden:
            return f"its norms take times of width {of_time}, and its projection gives {hidden}"
    else:
        return ""
    return "" if made == needed else f"its image tokens are of width {made:g}, and this model takes {needed}"


def _read(patch: IpAdapterPatch) -> dict[str, dict[str, Tensor]]:
    file = resolve_folder(patch.path)
    if file.suffix != ".safetensors":
        raise ModelError(
            f"an IP-Adapter must be a .safetensors file, and {patch.path!r} is none; pickles are never loaded"
        )
    header = read_header(file)
    check_types(f"the weights in {patch.path!r}", header)
    parts: dict[str, list[str]] = {"image_proj": [], "ip_adapter": []}
    for key in header:
        if part := _PARTS.get(key.partition(".")[0]):
            parts[part].append(key)
    if not all(parts.values()):
        raise ModelError(f"{patch.path!r} is no IP-Adapter: it has no layers image_proj and ip_adapter")
    is_faces = any("perceiver_resampler." in key or key == "image_proj.proj.2.weight" for key in parts["image_proj"])
    if any("lora" in key for key in header) or (is_faces and "image_proj.proj.3.weight" not in header):
        raise ModelError(
            f"{patch.path!r} is a FaceID adapter, which takes embeddings of faces and not pictures; use another one"
        )
    if more := sorted(set(header) - {*parts["image_proj"], *parts["ip_adapter"]}):
        raise ModelError(
            f"the IP-Adapter {patch.path!r} holds {len(more)} tensors beside its layers, such as {more[0]}, and what "
            "they are for is not known; use another file"
        )
    with open_weights(file) as opened:
        state = {part: {_plain_name(key): opened.get_tensor(key) for key in keys} for part, keys in parts.items()}
    check_unchanged(patch.path, patch.fingerprint)
    # Attention to a few tokens makes finite numbers of keys that are NaN, so no later check would see them.
    tensors = [(f"{part}.{name}", tensor) for part, named in state.items() for name, tensor in named.items()]
    if broken := [name for name, tensor in tensors if not tensor.float().isfinite().all()]:
        raise ModelError(
            f"the IP-Adapter {patch.path!r} is damaged: {len(broken)} of its tensors, such as {broken[0]}, hold values "
            "that are not finite; copy or download it again"
        )
    return state


def _plain_name(key: str) -> str:
    """Return the name of a tensor within its part, in diffusers' naming."""
    name = key.partition(".")[2]
    for theirs, ours in _SAME.items():
        name = name.replace(theirs, ours)
    return name
