"""Weights of an IP-Adapter, read from its file and applied to a copy of a UNet."""

from typing import Any

from torch import Tensor

from nbgraph.diffusion.description import ModelDescription
from nbgraph.diffusion.file_tensors import open_weights
from nbgraph.diffusion.fingerprints import check_unchanged, resolve_folder
from nbgraph.diffusion.model_files import read_header
from nbgraph.diffusion.refs import IpAdapterPatch
from nbgraph.diffusion.weights_fit import check_types
from nbgraph.errors import ModelError

FAMILIES = ("stable-diffusion", "stable-diffusion-xl")


def check_takes_ip_adapters(model: ModelDescription) -> None:
    """Raise `ModelError` for a model of a family without IP-Adapters."""
    key = model.need_family().key
    if key not in FAMILIES:
        raise ModelError(f"IP-Adapters work with Stable Diffusion 1.5, 2 and XL, and this model is of {key!r}")


def lay_ip_adapters(unet: Any, patches: list[IpAdapterPatch]) -> None:
    """Add the layers of the adapters, in their order, to the cross attention of `unet`, which is a copy."""
    if not patches:
        return
    states = [_read(patch) for patch in patches]
    for patch, state in zip(patches, states):
        _check_layers(unet, patch, state["ip_adapter"])
    try:
        unet._load_ip_adapter_weights(states, low_cpu_mem_usage=False)
    except (RuntimeError, KeyError, ValueError) as error:
        files = ", ".join(repr(patch.path) for patch in patches)
        raise ModelError(
            f"the IP-Adapter {files} does not fit this UNet, and was trained for another model: "
            f"{' '.join(str(error).split())[:300]}"
        ) from error


def _check_layers(unet: Any, patch: IpAdapterPatch, layers: dict[str, Tensor]) -> None:
    """Raise `ModelError` unless the file has a key and a value layer for each cross attention, and no other.

    Layers are numbered by processor, cross attention being every second one; diffusers ignores those it cannot place.
    """
    count = sum(name.endswith("attn2.processor") for name in unet.attn_processors)
    expected = {f"{2 * number + 1}.to_{part}_ip.weight" for number in range(count) for part in "kv"}
    if different := sorted(expected ^ layers.keys()):
        raise ModelError(
            f"the IP-Adapter {patch.path!r} does not fit this UNet, and was trained for another model: it has "
            f"{len(layers)} layers for its {len(expected)}, and differs in {len(different)}, such as {different[0]}"
        )


def _read(patch: IpAdapterPatch) -> dict[str, dict[str, Tensor]]:
    file = resolve_folder(patch.path)
    if file.suffix != ".safetensors":
        raise ModelError(
            f"an IP-Adapter must be a .safetensors file, and {patch.path!r} is none; pickles are never loaded"
        )
    header = read_header(file)
    check_types(f"the weights in {patch.path!r}", header)
    parts = {part: [key for key in header if key.startswith(f"{part}.")] for part in ("image_proj", "ip_adapter")}
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
        state = {part: {key.partition(".")[2]: opened.get_tensor(key) for key in keys} for part, keys in parts.items()}
    check_unchanged(patch.path, patch.fingerprint)
    # Attention to a few tokens makes finite numbers of keys that are NaN, so no later check would see them.
    tensors = [(f"{part}.{name}", tensor) for part, named in state.items() for name, tensor in named.items()]
    if broken := [name for name, tensor in tensors if not tensor.float().isfinite().all()]:
        raise ModelError(
            f"the IP-Adapter {patch.path!r} is damaged: {len(broken)} of its tensors, such as {broken[0]}, hold values "
            "that are not finite; copy or download it again"
        )
    return state
