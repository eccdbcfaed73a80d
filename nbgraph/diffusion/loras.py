"""Apply LoRAs to a component: each layer of a file to the module it names, with its own scale, or none at all."""

import importlib.util
from collections.abc import Callable, Mapping
from typing import Any, cast

from diffusers.utils import peft_utils
from torch.nn import Parameter

from nbgraph.diffusion.description import ModelDescription
from nbgraph.diffusion.fingerprints import check_unchanged, resolve_folder
from nbgraph.diffusion.lora_deltas import Pair, merged_weight
from nbgraph.diffusion.lora_files import Layer, LoraFile, read_lora
from nbgraph.diffusion.quantised import is_plain
from nbgraph.diffusion.refs import LoraPatch
from nbgraph.errors import ModelError


def apply_loras(
    model: ModelDescription, name: str, module: Any, patches: list[LoraPatch], others: Mapping[str, float]
) -> None:
    """Add each LoRA's layers for the component `name` to `module`, which is a copy, with the patches' weights.

    `others` are the names and weights of layers that it has already.
    """
    weights = dict(others)
    for number, patch in enumerate(patches):
        found = _read(model, patch)
        if name in found.components and _inject(model, name, module, patch, found, adapter=f"lora_{number}"):
            weights[f"lora_{number}"] = patch.weight
    if weights:
        cast(Any, peft_utils).set_weights_and_activate_adapters(module, list(weights), list(weights.values()))


def _read(model: ModelDescription, patch: LoraPatch) -> LoraFile:
    family = model.need_family()
    if importlib.util.find_spec("peft") is None:
        raise ModelError("a LoRA needs the package peft, which is not installed: pip install peft")
    if not hasattr(family.pipeline(), "lora_state_dict"):
        raise ModelError(f"models of the family {family.key!r} take no LoRA")
    file = resolve_folder(patch.path)
    if file.suffix != ".safetensors":
        raise ModelError(f"a LoRA must be a .safetensors file, and {patch.path!r} is none; pickles are never loaded")
    layers_per_block = None
    if family.denoiser == "unet":
        layers_per_block = model.config("unet").get("layers_per_block", 2)
    found = read_lora(patch.path, file, family.pipeline(), family.denoiser, layers_per_block)
    check_unchanged(patch.path, patch.fingerprint)
    ours = {family.denoiser, *(part for part in model.classes if part.startswith("text_encoder"))}
    if not found.components.keys() <= ours:
        others = ", ".join(sorted(found.components.keys() - ours))
        raise ModelError(
            f"the LoRA {patch.path!r} has no layers for {str(model.folder)!r} alone, but for {others}, which it has "
            "not; it is for another kind of model"
        )
    return found


def _inject(model: ModelDescription, name: str, module: Any, patch: LoraPatch, found: LoraFile, adapter: str) -> bool:
    """Add one file's layers for a component to it.

    Returns
    -------
    bool
        Whether there is an adapter now: differences that are added to the weights need none.

    Raises
    ------
    ModelError
        A layer has no module, or another shape.
    """
    import peft

    layers = _by_module(module, found.components[name])
    own = {inner for inner, _ in module.named_modules()}
    strange = sorted(inner for inner in layers if inner not in own)
    problem = (
        f"{len(strange)} of its {len(layers)} layers there are for modules it does not have, such as {strange[:1]}"
    )
    try:
        if strange:
            raise ValueError(problem)
        _merge(module, {inner: layer for inner, layer in layers.items() if layer.is_delta}, patch.weight)
        layers = {inner: layer for inner, layer in layers.items() if not layer.is_delta}
        if not layers:
            return False
        state = {f"{inner}.lora_A.weight": layer.down for inner, layer in layers.items()}
        state |= {f"{inner}.lora_B.weight": layer.up for inner, layer in layers.items()}
        config = _config(name, layers, found.metadata)
        peft.inject_adapter_in_model(config, module, adapter_name=adapter, state_dict=state)
        loaded = cast(Any, peft).set_peft_model_state_dict(module, state, adapter)
        if loaded.unexpected_keys or any(f".{adapter}." in key for key in loaded.missing_keys):
            raise ValueError(f"{len(loaded.unexpected_keys)} of its tensors found no place")
        for inner, layer in layers.items():
            _scale(module.get_submodule(inner), adapter, layer, found.metadata is not None)
        return True
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"the LoRA {patch.path!r} does not fit {name} of {str(model.folder)!r}, and was trained for another model: "
            f"{' '.join(str(error).split())[:300]}"
        ) from error


def _merge(module: Any, layers: Mapping[str, Layer], strength: float) -> None:
    """Give the modules of `layers` new weights, the sum of theirs and the layer; `module` is a copy."""
    for inner, layer in layers.items():
        own = module.get_submodule(inner)
        own = getattr(own, "base_layer", own)
        if not is_plain(own.weight):
            raise ValueError("what it adds to weights cannot be added to quantised ones; leave precision= out")
        scale = 1.0 if layer.scale is None else layer.scale
        merged = merged_weight(own.weight, Pair(layer.down, layer.up * scale), strength, layer.dora)
        own.weight = Parameter(merged, requires_grad=False)


def _by_module(module: Any, layers: Mapping[str, Layer]) -> Mapping[str, Layer]:
    """Return layers by the module's names: text encoders no longer have the prefix that files have."""
    if hasattr(module, "text_model"):
        return layers
    return {inner.removeprefix("text_model."): layer for inner, layer in layers.items()}


def _config(name: str, layers: Mapping[str, Layer], metadata: Mapping[str, Any] | None) -> Any:
    """Return the configuration of the file if it has one, else alpha = rank for each layer, which is a scale of 1."""
    from peft import LoraConfig

    make = cast(Callable[..., LoraConfig], LoraConfig)  # its fields come from a file
    own = {key.removeprefix(f"{name}."): value for key, value in (metadata or {}).items() if key.startswith(f"{name}.")}
    if own:
        config = make(**{**own, "target_modules": list(layers)})
        if config.use_dora or config.bias != "none" or config.modules_to_save:
            raise ValueError("its metadata names DoRA, biases or whole modules, which are not applied here")
        return config
    ranks = {f"^{inner.replace('.', '[.]')}": layer.rank for inner, layer in layers.items()}
    first = next(iter(ranks.values()))
    return LoraConfig(
        r=first, lora_alpha=first, target_modules=list(layers), rank_pattern=ranks, alpha_pattern=dict(ranks)
    )


def _scale(tuned: Any, adapter: str, layer: Layer, has_metadata: bool) -> None:
    """Give one layer the scale of its file; an alpha in the metadata must be the same."""
    if layer.scale is None:
        return
    if has_metadata and abs(tuned.scaling[adapter] - layer.scale) > 1e-6 * abs(layer.scale):
        raise ValueError(f"its alphas and its metadata give the scales {layer.scale} and {tuned.scaling[adapter]}")
    tuned.use_rslora[adapter] = False
    tuned.lora_alpha[adapter] = layer.scale * tuned.r[adapter]
