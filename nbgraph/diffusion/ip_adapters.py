"""An IP-Adapter's weights, read from its file and laid over a copy of a UNet."""

from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from nbgraph.diffusion.description import ModelDescription
from nbgraph.diffusion.fingerprints import check_unchanged, resolve_folder
from nbgraph.diffusion.refs import IpAdapterPatch
from nbgraph.errors import ModelError

FAMILIES = ("stable-diffusion", "stable-diffusion-xl")


def check_takes_ip_adapters(model: ModelDescription) -> None:
    """`ModelError` for a model of a family that no IP-Adapter can be laid over."""
    key = model.need_family().key
    if key not in FAMILIES:
        raise ModelError(f"IP-Adapters work with Stable Diffusion 1.5, 2 and XL, and this model is of {key!r}")


def lay_ip_adapters(unet: Any, patches: list[IpAdapterPatch]) -> None:
    """Give the cross attention of `unet`, which is a copy, the layers of the adapters, in their order."""
    if not patches:
        return
    states = [_read(patch) for patch in patches]
    try:
        unet._load_ip_adapter_weights(states, low_cpu_mem_usage=False)
    except (RuntimeError, KeyError, ValueError) as error:
        files = ", ".join(repr(patch.path) for patch in patches)
        raise ModelError(
            f"the IP-Adapter {files} does not fit this UNet, and was trained for another model: {str(error)[:300]}"
        ) from error


def _read(patch: IpAdapterPatch) -> dict[str, dict[str, Tensor]]:
    file = resolve_folder(patch.path)
    if file.suffix != ".safetensors":
        raise ModelError(
            f"an IP-Adapter must be a .safetensors file, and {patch.path!r} is none; pickles are never loaded"
        )
    state: dict[str, dict[str, Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    try:
        with safe_open(file, framework="pt", device="cpu") as opened:
            for key in opened.keys():  # noqa: SIM118
                part, _, name = key.partition(".")
                if part in state:
                    state[part][name] = opened.get_tensor(key)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"the IP-Adapter {patch.path!r} cannot be read: {error}") from error
    check_unchanged(patch.path, patch.fingerprint)
    if not all(state.values()):
        raise ModelError(f"{patch.path!r} is no IP-Adapter: it has no layers image_proj and ip_adapter")
    if any("lora" in name for name in state["ip_adapter"]):
        raise ModelError(
            f"{patch.path!r} is a FaceID adapter, which takes embeddings of faces and not pictures; use another one"
        )
    return state
