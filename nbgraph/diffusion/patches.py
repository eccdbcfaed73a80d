"""Patches over models: LoRA, FreeU, tiling, IP-Adapters. A patched model is a copy of structure over the same weights.

A LoRA put into a shared UNet would leak into every picture that uses it. So a patch is laid over a copy of the module
tree whose parameters *are* those of the original: a few hundred Python objects, no weights. The original never learns
of it, nothing has to be taken off again, and patched and plain pictures can be drawn at the same time.
"""

import copy
import functools
import importlib.util
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.utils.peft_utils import set_weights_and_activate_adapters
from safetensors import SafetensorError
from torch import Tensor

from nbgraph.diffusion.description import ModelDescription
from nbgraph.diffusion.fingerprints import check_unchanged, resolve_folder
from nbgraph.diffusion.ip_adapters import check_takes_ip_adapters, lay_ip_adapters
from nbgraph.diffusion.load import LOAD_LOCK
from nbgraph.diffusion.quiet import quiet
from nbgraph.diffusion.refs import ClipSkipPatch, FreeuPatch, IpAdapterPatch, LoraPatch, Patch, SeamlessPatch
from nbgraph.errors import ModelError

_DENOISERS = {"unet", "transformer"}


def patches_for(model: ModelDescription, name: str, patches: tuple[Patch, ...]) -> tuple[Patch, ...]:
    """Those of `patches` that change the component `name`; `ModelError` for one that the model cannot have."""
    denoiser = model.family.denoiser if model.family else ""
    text = name.startswith("text_encoder")
    if denoiser == "transformer" and any(isinstance(patch, (FreeuPatch, SeamlessPatch)) for patch in patches):
        kinds = sorted({patch.kind for patch in patches if isinstance(patch, (FreeuPatch, SeamlessPatch))})
        raise ModelError(
            f"{' and '.join(kinds)} work on models with a UNet, and {str(model.folder)!r} has a transformer"
        )
    if any(isinstance(patch, IpAdapterPatch) for patch in patches):
        check_takes_ip_adapters(model)
    concerned = {
        LoraPatch: text or name == denoiser,
        FreeuPatch: name == "unet",
        SeamlessPatch: name in ("unet", "vae"),
        ClipSkipPatch: False,
        IpAdapterPatch: name == "unet",
    }
    return tuple(patch for patch in patches if concerned[type(patch)])


def apply_patches(model: ModelDescription, name: str, module: torch.nn.Module, patches: tuple[Patch, ...]) -> Any:
    """A copy of `module` over the same weights, with the patches laid over it, in their order."""
    with LOAD_LOCK, quiet():
        patched = share_weights(module)
        for patch in patches:
            if isinstance(patch, FreeuPatch):
                patched.enable_freeu(s1=patch.s1, s2=patch.s2, b1=patch.b1, b2=patch.b2)
            elif isinstance(patch, SeamlessPatch):
                make_seamless(patched, patch.axes)
        _apply_loras(model, name, patched, [patch for patch in patches if isinstance(patch, LoraPatch)])
        lay_ip_adapters(patched, [patch for patch in patches if isinstance(patch, IpAdapterPatch)])
        return patched.eval().requires_grad_(False)


def share_weights(module: torch.nn.Module) -> Any:
    """A copy of the module tree that holds the same parameter and buffer objects as the original."""
    kept = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    return copy.deepcopy(module, kept)


def make_seamless(module: torch.nn.Module, axes: tuple[str, ...]) -> None:
    """Let every convolution of `module` wrap around along the axes `x` and `y` instead of seeing zeros there."""
    modes = tuple("circular" if axis in axes else "constant" for axis in ("x", "y"))
    for convolution in module.modules():
        if isinstance(convolution, torch.nn.Conv2d) and any(convolution._reversed_padding_repeated_twice):
            convolution._conv_forward = functools.partial(_wrapping_convolution, convolution, modes)  # type: ignore[method-assign]


def _wrapping_convolution(
    convolution: torch.nn.Conv2d, modes: tuple[str, str], values: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    left, right, top, bottom = convolution._reversed_padding_repeated_twice
    values = torch.nn.functional.pad(values, (left, right, 0, 0), mode=modes[0])
    values = torch.nn.functional.pad(values, (0, 0, top, bottom), mode=modes[1])
    return torch.nn.functional.conv2d(
        values, weight, bias, convolution.stride, 0, convolution.dilation, convolution.groups
    )


def _apply_loras(model: ModelDescription, name: str, module: Any, patches: list[LoraPatch]) -> None:
    weights = {f"lora_{number}": patch.weight for number, patch in enumerate(patches)}
    loaded = [key for key, patch in zip(weights, patches) if _load_lora(model, name, module, patch, key)]
    if loaded:
        set_weights_and_activate_adapters(module, loaded, [weights[key] for key in loaded])


def _load_lora(model: ModelDescription, name: str, module: Any, patch: LoraPatch, adapter: str) -> bool:
    """Load one LoRA's layers for one component; False when it has none for it."""
    pipeline: Any = model.need_family().pipeline()
    if importlib.util.find_spec("peft") is None:
        raise ModelError("a LoRA needs the package peft, which is not installed: pip install peft")
    if not hasattr(pipeline, "lora_state_dict"):
        raise ModelError(f"models of the family {model.need_family().key!r} take no LoRA")
    found = _read_lora(pipeline, module, patch)
    parts = {key.split(".")[0] for key in found.state}
    denoiser = model.need_family().denoiser
    ours = {denoiser, *(part for part in model.classes if part.startswith("text_encoder"))}
    if not parts & ours or parts & _DENOISERS - ours:
        raise ModelError(
            f"the LoRA {patch.path!r} has no layers for {str(model.folder)!r}; it is for another kind of model"
        )
    if name not in parts:
        return False
    own = _of_component(found.state, name)
    options = {"network_alphas": _of_component(found.alphas, name), "adapter_name": adapter, "metadata": found.metadata}
    try:
        if name == denoiser:
            module.load_lora_adapter(own, prefix=name, **options)
        else:
            pipeline.load_lora_into_text_encoder(own, text_encoder=module, prefix=name, **options)
    except (RuntimeError, ValueError, KeyError) as error:
        raise ModelError(
            f"the LoRA {patch.path!r} does not fit {name} of {str(model.folder)!r}, and was trained for another model: "
            f"{str(error)[:300]}"
        ) from error
    return True


@dataclass(frozen=True)
class _Lora:
    """A LoRA's layers by diffusers' names, its alphas where they stand apart, its configuration if it has one."""

    state: dict[str, Tensor]
    alphas: dict[str, Any] | None
    metadata: dict[str, Any] | None


def _read_lora(pipeline: Any, module: Any, patch: LoraPatch) -> _Lora:
    file = resolve_folder(patch.path)
    if file.suffix != ".safetensors":
        raise ModelError(f"a LoRA must be a .safetensors file, and {patch.path!r} is none; pickles are never loaded")
    options: dict[str, Any] = {"use_safetensors": True, "local_files_only": True, "return_lora_metadata": True}
    if "sample_size" in getattr(module, "config", {}):
        options["unet_config"] = module.config
    try:
        found = pipeline.lora_state_dict(str(file.parent), weight_name=file.name, **options)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise ModelError(f"the LoRA {patch.path!r} cannot be read: {error}") from error
    check_unchanged(patch.path, patch.fingerprint)
    return _Lora(found[0], found[1] if len(found) == 3 else None, found[-1])


def _of_component(values: dict[str, Any] | None, name: str) -> dict[str, Any] | None:
    if not values:
        return None
    return {key: value for key, value in values.items() if key.split(".")[0] == name}
