"""One rule for every loader: weights that are not exactly those of the model are refused before a step is done.

diffusers and transformers fill what a file lacks with random numbers or leave it as uninitialised memory, and skip what
they do not know, even scales of the weights; all of that still gives images. Here a missing tensor, one of another
shape, and one that the model does not have are errors. The exceptions are named below, each with the reason why it
cannot change an image.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import ModelMixin
from transformers import PreTrainedModel

from nbgraph.diffusion.model_files import StoredTensor, choose_variant, read_headers, read_json
from nbgraph.diffusion.quantised import folder_problem
from nbgraph.errors import ModelError

Shapes = Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]

_COMPUTED = re.compile(r"(^|\.)(position_ids|num_batches_tracked|rotary_emb\.inv_freq)$")
"""Buffers of older versions that are computed from the configuration now, or only count steps of training."""
_TRAINING = re.compile(r"^model_ema\.")
"""A second, averaged copy of the weights that training keeps; the weights themselves are in the file as well."""
_OTHER_HEADS = {"lm_head", "score", "classifier", "logit_scale", "logit_bias", "text_projection", "visual_projection"}
"""Parts of a larger transformers model of which the class is the encoder: their results are not used."""
_FLOATS = {"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"}
"""Types whose numbers are the weights; integers and 4-bit types need scales."""
_SCALED = re.compile(r"scaled_fp8$|(weight_scale|scale_weight|input_scale|scale_input)(_inv|_2)?$|comfy_quant$")
_QUANTISED = re.compile(r"\.(absmax|quant_map|nested_absmax|SCB|qweight|qzeros|_scale|_data)$|quant_state")
_ORIGINAL = re.compile(
    r"^(model\.diffusion_model|first_stage_model|cond_stage_model|conditioner|control_model)\.|"
    r"^(input_blocks|middle_block|output_blocks|double_blocks|joint_blocks|input_hint_block|zero_convs)\.|"
    r"^(encoder|decoder)\.(down|up|mid)\.(\d|block|attn)|^text_encoders\.|\.resblocks\."
)


@dataclass(frozen=True)
class Differences:
    """How weights differ from what a model has: names, and shapes as (in the file, in the model)."""

    missing: Collection[str] = ()
    unexpected: Collection[str] = ()
    mismatched: Shapes | None = None


def has_weights(component: type) -> bool:
    """Whether a class is a model of diffusers or transformers, and no tokenizer, processor or scheduler."""
    is_auto = component.__name__.startswith("AutoModel") and component.__module__.startswith(("transf", "diffusers"))
    return is_auto or issubclass(component, (ModelMixin, PreTrainedModel))


def check_fits(component: Any, folder: Path, variant: str | None) -> None:
    """Raise `ModelError` unless the weights in `folder` are those of `component` in its configuration.

    Reads headers only.

    Names of transformers depend on the version that wrote the file, so of its components only types and scales are
    checked here; `check_loaded` does the rest.
    """
    if not has_weights(component):
        return
    chosen, is_diffusers = choose_variant(folder, variant), issubclass(component, ModelMixin)
    config = read_json(folder / "config.json") if (folder / "config.json").is_file() else {}
    if config.get("quantization_config"):
        if problem := folder_problem(config):
            raise ModelError(f"the weights in {str(folder)!r} are {problem}")
        return
    base = "diffusion_pytorch_model" if is_diffusers else "model"
    stored = read_headers(folder, base, chosen, index_first=is_diffusers)
    check_types(f"the weights in {str(folder)!r}", stored)
    if is_diffusers:
        refuse_differences(component, folder, _compare(component, folder, stored))


def check_types(what: str, stored: Mapping[str, StoredTensor]) -> None:
    """Raise `ModelError` where values are scaled or quantised, so that the stored numbers alone are not the weights."""
    scales = sorted(name for name in stored if _SCALED.search(name))
    if scales:
        raise ModelError(
            f"{what} are scaled fp8: {len(scales)} scales, such as {scales[0]}, have to be multiplied with them, which "
            "is not done here. Use a version in float16, bfloat16 or plain float8"
        )
    packed = sorted(
        name
        for name, tensor in stored.items()
        if _QUANTISED.search(name) or (tensor.dtype not in _FLOATS and not _is_harmless(name, ()))
    )
    if packed:
        raise ModelError(
            f"{what} are quantised: {len(packed)} tensors, such as {packed[0]} ({stored[packed[0]].dtype}), are no "
            "plain numbers. Use a version in float16, bfloat16 or plain float8"
        )


def check_loaded(model: torch.nn.Module, folder: Path, info: Mapping[str, Any]) -> None:
    """Raise `ModelError` unless all was loaded and all was used; `info` is that of `output_loading_info=True`."""
    shapes = {str(name): (tuple(given), tuple(own)) for name, given, own in info["mismatched_keys"]}
    tensors = (*model.named_parameters(), *model.named_buffers())
    # Wrappers of quantised tensors say that they are on meta, whatever they hold.
    plain = (torch.nn.Parameter, torch.Tensor)
    empty = {name for name, tensor in tensors if tensor.is_meta and type(tensor) in plain}
    if getattr(model, "hf_quantizer", None) is not None:
        # Quantised weights are stored as several tensors each, which are none of the model's names.
        refuse_differences(type(model), folder, Differences(empty, (), shapes))
        return
    missing = (set(info["missing_keys"]) | empty) - set(shapes)
    refuse_differences(type(model), folder, Differences(missing, info["unexpected_keys"], shapes))


def refuse_differences(component: Any, folder: Path, found: Differences) -> None:
    """Raise `ModelError` that names the folder, how many tensors differ, the first of them, and the remedy."""
    towers = _OTHER_HEADS | ({"text_model"} if "Vision" in component.__name__ else {"vision_model"})
    heads = towers if issubclass(component, PreTrainedModel) else frozenset[str]()
    unexpected = sorted(name for name in found.unexpected if not _is_harmless(name, heads))
    mismatched = found.mismatched or {}
    parts = [
        _counted("missing", sorted(found.missing)),
        _counted("not of this model", unexpected),
        _counted("of another shape", sorted(mismatched)),
    ]
    if not any(parts):
        return
    text = "; ".join(part for part in parts if part)
    if mismatched:
        given, own = mismatched[min(mismatched)]
        text += f" is {given} and should be {own}"
    described = "that its config.json describes" if folder.is_dir() else "of its kind of model"
    raise ModelError(
        f"the weights in {str(folder)!r} are not those of the {component.__name__} {described}: "
        f"{text}. {_remedy(unexpected)}"
    )


def weightless(component: Any, folder: Path, config: Mapping[str, Any] | None = None) -> Any:
    """Return a component with its configuration and shapes, but no weights: its parameters are on the meta device.

    `config` is its configuration where no folder has it; `folder` is named in errors then.
    """
    try:
        with torch.device("meta"):
            given = component.load_config(folder, local_files_only=True) if config is None else dict(config)
            return component.from_config(given)
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise ModelError(f"the configuration in {str(folder)!r} makes no {component.__name__}: {error}") from error


def _compare(component: Any, folder: Path, stored: Mapping[str, StoredTensor]) -> Differences:
    model = weightless(component, folder)
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    given = {name: tensor.shape for name, tensor in stored.items()}
    model._fix_state_dict_keys_on_load(given)  # the names of attention in VAEs of older diffusers
    ignored = [re.compile(pattern) for pattern in model._keys_to_ignore_on_load_unexpected or ()]
    unexpected = [name for name in given if name not in expected and not any(p.search(name) for p in ignored)]
    shapes = {name: (given[name], own) for name, own in expected.items() if name in given and given[name] != own}
    return Differences([name for name in expected if name not in given], unexpected, shapes)


def _is_harmless(name: str, heads: Collection[str]) -> bool:
    return bool(_COMPUTED.search(name) or _TRAINING.search(name)) or name.partition(".")[0] in heads


def _counted(kind: str, names: list[str]) -> str:
    if not names:
        return ""
    more = ", ..." if len(names) > 3 else ""
    return f"{len(names)} {kind} ({', '.join(names[:3])}{more})"


def _remedy(unexpected: list[str]) -> str:
    if any(_ORIGINAL.search(name) for name in unexpected):
        return (
            "The names are those of the original layout, which ComfyUI and others use; give the file itself, and not "
            "its folder"
        )
    if any("lora" in name.lower() for name in unexpected):
        return "A LoRA is stored with them; give it to a LoRA node, and the model without it"
    return "The files are incomplete, or belong to another model: copy or download the folder again"
