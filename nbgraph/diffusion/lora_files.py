"""Read the layers of a LoRA file by the model's names, with their scales; any tensor that is no layer is refused.

Files come in a dozen namings. diffusers knows how to rename them, but drops what it has no name for, and most alphas.
So a file is first sorted into layers (a pair of factors with its alpha) and the rest, which is refused by kind. Then
diffusers renames the file twice: the tensors themselves, and a dyed copy in which every tensor of a layer is filled
with that layer's number. The numbers in the renamed tensors show where the layers went, whatever the naming; a number
that is missing is a layer that was dropped.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch
from diffusers.loaders.lora_base import LORA_ADAPTER_METADATA_KEY
from diffusers.utils import state_dict_utils
from diffusers.utils.state_dict_utils import DIFFUSERS_OLD_TO_PEFT, DIFFUSERS_TO_PEFT, UNET_TO_DIFFUSERS
from torch import Tensor

from nbgraph.diffusion.file_tensors import OpenedWeights, open_weights
from nbgraph.diffusion.lora_deltas import KIN, is_complete, pair_of
from nbgraph.diffusion.model_files import StoredTensor, read_header, read_json
from nbgraph.diffusion.weights_fit import check_types
from nbgraph.errors import ModelError

_FACTOR = re.compile(
    r"(?P<layer>.+?)(?P<mark>\.lora_|[._]lora\d*\.|\.lora_linear_layer\.)(?P<side>A|B|down|up)(\.default(_\d+)?)?\.weight"
)
_BUNDLED = re.compile(r"bundle_emb\.(?P<token>.+?)\.(?P<part>string_to_param\.\*|emb_params|clip_[lg])")
"""Embeddings that trainers put into the file of a LoRA, by the word that names them."""
_ORIGINAL = re.compile(r"((diffusion_model|transformer)\.)?(double|single)_blocks\..+")
"""Modules of FLUX.1 and Chroma by the names that their authors gave them."""
_OURS = re.compile(r"diffusion_model\.((single_)?transformer_blocks\..+)")
"""Modules by the names of diffusers under the prefix of ComfyUI, as ai-toolkit writes them."""
_ALPHA = re.compile(r"(?P<layer>.+)\.(alpha|network_alpha)")
_KINDS = {
    "DoRA": r"dora_scale|lora_magnitude_vector",
    "LoHa": r"\.hada_",
    "LoKr": r"\.lokr_",
    "OFT": r"\.b?oft_",
    "(IA)3": r"\.on_input$|\.ia3_",
    "GLoRA": r"\.[ab][12]\.weight$",
    "LoCon with a middle factor": r"\.lora_mid\.",
    "whole differences": r"\.(diff|diff_b|set_weight|w_norm|b_norm|reshape_weight)$",
    "biases": r"\.lora_(B|up)\..*bias$|\.bias$",
    "embeddings of words": r"^bundle_emb\.|emb_params|string_to_param|^clip_[lg]$|lora_embedding_",
    "a Control-LoRA": r"^lora_controlnet$|norm\.scale$",
    "an IP-Adapter": r"^(image_proj|ip_adapter|ip_adapter_proj_model)\.",
    "a whole checkpoint": r"^(model\.diffusion_model|first_stage_model|cond_stage_model|conditioner)\.",
}
_WIDENED = re.compile(r"(^|\.)(x_embedder|img_in)\.lora_A(\.\w+)?\.weight$")
_WIDE = 128
"""Channels of a patch of latents of Flux, and as many of a control image."""
_TEXT_TO_PEFT = DIFFUSERS_TO_PEFT | DIFFUSERS_OLD_TO_PEFT
_RENAMING_ERRORS = (ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError, NotImplementedError)


@dataclass(frozen=True)
class Layer:
    """One layer for one module: down (rank, in, ...) and up (out, rank, ...), and alpha / rank if the file has one."""

    down: Tensor
    up: Tensor
    scale: float | None
    is_delta: bool = False
    """Whether the product is added to the weight itself: of LoHa, LoKr, whole differences and DoRA."""
    dora: Tensor | None = None
    """The magnitudes of DoRA, one for each row or column of the weight."""

    @property
    def rank(self) -> int:
        """The number of rows of the down factor."""
        return self.down.shape[0]


@dataclass(frozen=True)
class LoraFile:
    """The layers of a LoRA by component and module, and the configuration that its trainer recorded, or None."""

    components: Mapping[str, Mapping[str, Layer]]
    metadata: Mapping[str, Any] | None


@dataclass
class _Stored:
    """One layer as the file has it."""

    name: str
    keys: dict[str, str]
    alpha: float | None = None
    factors: dict[str, str] = field(default_factory=dict[str, str])
    """Keys by factor, of kin that is no pair; its pair is made when it is read."""
    dora: str = ""
    """The key of DoRA's magnitudes."""


def lora_problem(path: str | Path) -> str | None:
    """Return the problem of a LoRA file, whatever the model, in one line; None if it can be a LoRA."""
    try:
        _sort(str(path), Path(path))
    except ModelError as error:
        return str(error)
    return None


def is_control_lora(header: Mapping[str, StoredTensor]) -> bool:
    """Return whether a file is a LoRA that widens the first layer of a Flux transformer, for a control image."""
    return any(_WIDENED.search(name) and tensor.shape[-1] == _WIDE for name, tensor in header.items())


def bundled_embeddings(header: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return the names of tensors of embeddings in a LoRA's file: by token, then by the part of an embedding file."""
    found: dict[str, dict[str, str]] = {}
    for key in header:
        if bundled := _BUNDLED.fullmatch(key):
            found.setdefault(bundled["token"], {})[bundled["part"]] = key
    return found


def embedding_tokens(path: str | Path) -> list[str]:
    """Return the tokens of the embeddings that a LoRA's file holds beside its layers."""
    return list(bundled_embeddings(read_header(Path(path))))


def read_lora(path: str, file: Path, pipeline: Any, denoiser: str, layers_per_block: Any) -> LoraFile:
    """Return the layers of a LoRA for models of `pipeline`'s family, whose denoiser is the component `denoiser`.

    Parameters
    ----------
    layers_per_block
        As in the configuration of a UNet; None for a transformer.

    Raises
    ------
    ModelError
        A tensor of the file would not be used.
    """
    stored = _sort(path, file)
    with open_weights(file) as opened:
        tensors = _read_pairs(path, opened, stored)
        magnitudes = {number: opened.get_tensor(layer.dora) for number, layer in enumerate(stored) if layer.dora}
        metadata = (opened.metadata() or {}).get(LORA_ADAPTER_METADATA_KEY)
    # diffusers needs it to distinguish the numbers of the original blocks from its own
    options = {"unet_config": SimpleNamespace(layers_per_block=layers_per_block)} if layers_per_block else {}
    dyed = _rename(path, pipeline, options, denoiser, stored, _dye(stored, tensors))
    renamed = _rename(path, pipeline, options, denoiser, stored, tensors)
    pairs = {name: name.replace(".lora_A.", ".lora_B.") for name in renamed if name.endswith(".lora_A.weight")}
    origins = {down: _numbers(dyed[down]) | _numbers(dyed[up]) for down, up in pairs.items() if up in renamed}
    dropped = set(range(len(stored))).difference(*origins.values())
    lost = [stored[number].name for number in sorted(dropped) if _has_effect(stored[number], tensors)]
    if lost:
        raise ModelError(
            f"the LoRA {path!r} names {len(lost)} of its {len(stored)} layers in a way that is not known for this "
            f"model, such as {lost[0]}; use a file in the naming of kohya or of diffusers"
        )
    components: dict[str, dict[str, Layer]] = {}
    places = Counter(number for numbers in origins.values() for number in numbers)
    for down, numbers in origins.items():
        component, _, module = down.removesuffix(".lora_A.weight").partition(".")
        scales = {_scale(stored[number], tensors) for number in numbers}
        if len(scales) > 1:
            raise ModelError(f"the LoRA {path!r} has several alphas for the one layer {module}, which is not applied")
        dora = next((magnitudes[number] for number in numbers if number in magnitudes), None)
        if dora is not None and (len(numbers) > 1 or any(places[number] > 1 for number in numbers)):
            raise ModelError(f"the LoRA {path!r} has DoRA over layers that are cut or joined, such as {module}")
        is_delta = dora is not None or any(stored[number].factors for number in numbers)
        found = Layer(renamed[down], renamed[pairs[down]], scales.pop(), is_delta, dora)
        components.setdefault(component, {})[module] = found
    return LoraFile(components, json.loads(metadata) if metadata else None)


def _read_pairs(path: str, opened: OpenedWeights, stored: list[_Stored]) -> dict[str, Tensor]:
    """Return the factors of all layers by their keys; kin that is no pair becomes one, whose alpha is its rank."""
    tensors: dict[str, Tensor] = {}
    for layer in stored:
        if not layer.factors:
            tensors |= {key: opened.get_tensor(key) for key in layer.keys.values()}
            continue
        factors = {name: opened.get_tensor(key) for name, key in layer.factors.items()}
        try:
            pair = pair_of(factors, layer.alpha)
        except (ValueError, RuntimeError) as error:
            text = f"the factors of {layer.name} in the LoRA {path!r} do not go together: {str(error)[:120]}"
            raise ModelError(text) from error
        tensors[layer.keys["down"]], tensors[layer.keys["up"]] = pair.down, pair.up
        layer.alpha = float(pair.down.shape[0])
    return tensors


def _sort(path: str, file: Path) -> list[_Stored]:
    """Return the layers of a file; raise `ModelError` for tensors that belong to none, by their kind."""
    header = read_header(file)
    check_types(f"the weights of the LoRA {path!r}", header)
    if is_control_lora(header):
        raise ModelError(
            f"the LoRA {path!r} is a control LoRA of Flux, which needs a control image beside it; give both to a "
            "ControlLora node"
        )
    layers: dict[str, _Stored] = {}
    alphas: dict[str, str] = {}
    rest: list[str] = []
    kin: dict[str, dict[str, str]] = {}
    for key in header:
        if other := KIN.fullmatch(key):
            kin.setdefault(other["layer"], {})[other["factor"]] = key
        elif factor := _FACTOR.fullmatch(key):
            side = "down" if factor["side"] in ("A", "down") else "up"
            name = factor["layer"] + factor["mark"]
            layers.setdefault(name, _Stored(factor["layer"], {})).keys[side] = key
        elif alpha := _ALPHA.fullmatch(key):
            alphas[alpha["layer"]] = key
        elif not _BUNDLED.fullmatch(key):
            rest.append(key)
    rest += _sort_kin(file, header, layers, kin)
    _read_alphas(path, file, layers, alphas)
    single = [key for layer in layers.values() if len(layer.keys) < 2 for key in layer.keys.values()]
    _refuse_rest(path, file, [*rest, *alphas.values(), *single])
    if not layers:
        raise ModelError(f"{path!r} is no LoRA: it holds no layers")
    _check_configuration_beside(path, file, layers)
    return list(layers.values())


def _sort_kin(
    file: Path, header: Mapping[str, StoredTensor], layers: dict[str, _Stored], kin: Mapping[str, dict[str, str]]
) -> list[str]:
    """Add the layers of kin that is no pair, and DoRA's magnitudes to those that are; the keys of what is neither."""
    rest: list[str] = []
    plain = {layer.name: layer for layer in layers.values()}
    for name, factors in kin.items():
        magnitude = factors.pop("dora_scale", "")
        layer = plain.get(name)
        if factors and is_complete(frozenset(factors)) and all(len(header[k].shape) >= 2 for k in factors.values()):
            if "diff" in factors and not _has_values(file, factors["diff"]):
                continue
            sides = ("lora_down", "lora_up") if name.startswith("lora_") else ("lora_A", "lora_B")
            keys = {side: f"{name}.{word}.weight" for side, word in zip(("down", "up"), sides)}
            layer = layers[f"{name}.{sides[0]}"] = _Stored(name, keys, factors=factors)
        else:
            rest += factors.values()
        if magnitude and layer is not None:
            layer.dora = magnitude
        elif magnitude:
            rest.append(magnitude)
    return rest


def _has_values(file: Path, key: str) -> bool:
    with open_weights(file) as opened:
        return bool(opened.get_tensor(key).any())


def _read_alphas(path: str, file: Path, layers: Mapping[str, _Stored], alphas: dict[str, str]) -> None:
    """Give the layers their alphas, and take those out of `alphas`."""
    with open_weights(file) as opened:
        for name, layer in layers.items():
            for known in (layer.name, name.rstrip("._")):
                if known in alphas:
                    alpha = opened.get_tensor(key := alphas.pop(known))
                    if alpha.numel() != 1 or not bool(alpha.isfinite().all()):
                        raise ModelError(f"the LoRA {path!r} is damaged: its {key} is no number; download it again")
                    layer.alpha = float(alpha.item())


def _refuse_rest(path: str, file: Path, keys: list[str]) -> None:
    with open_weights(file) as opened:
        # trainers write differences of biases that they did not train: adding zero changes nothing
        keys = [key for key in keys if not (key.endswith((".diff", ".diff_b")) and not opened.get_tensor(key).any())]
    if not keys:
        return
    for kind, pattern in _KINDS.items():
        if found := [key for key in keys if re.search(pattern, key)]:
            raise ModelError(
                f"the LoRA {path!r} is, or holds, {kind} ({len(found)} tensors, such as {found[0]}), which is not "
                "applied here; use a plain LoRA of it"
            )
    raise ModelError(
        f"the LoRA {path!r} holds {len(keys)} tensors that are no part of a layer known here, such as {keys[0]}; use a "
        "file in the naming of kohya or of diffusers"
    )


def _check_configuration_beside(path: str, file: Path, layers: Mapping[str, _Stored]) -> None:
    """Raise `ModelError` for a file of peft whose alpha is in the configuration next to it, and is not its rank."""
    beside = file.with_name("adapter_config.json")
    if not beside.is_file() or not any(name.startswith("base_model.model.") for name in layers):
        return
    config = read_json(beside)
    if config.get("lora_alpha") != config.get("r") or config.get("alpha_pattern") or config.get("use_dora"):
        raise ModelError(
            f"the LoRA {path!r} has its alpha in {beside.name}, which is not read here; save it with diffusers' "
            "save_lora_weights and its metadata, or in the naming of kohya"
        )


def _dye(stored: list[_Stored], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a copy of rank 1 in which every tensor is filled with the number of its layer, counted from 1."""
    dyed: dict[str, Tensor] = {}
    for number, layer in enumerate(stored, start=1):
        down, up = tensors[layer.keys["down"]], tensors[layer.keys["up"]]
        dyed[layer.keys["down"]] = torch.full((1, *down.shape[1:]), float(number))
        dyed[layer.keys["up"]] = torch.full((up.shape[0], 1, *up.shape[2:]), float(number))
    return dyed


def _numbers(tensor: Tensor) -> set[int]:
    """Return the layers, counted from 0, whose numbers are in a tensor."""
    return {int(value) - 1 for value in cast(Any, tensor).unique()}


def _rename(
    path: str, pipeline: Any, options: dict[str, Any], denoiser: str, stored: list[_Stored], tensors: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Return the tensors by component, module and factor: `unet.mid_block....to_q.lora_A.weight`.

    Alphas are left out, as they are applied here; in the naming of kohya they are set to mean a scale of 1.
    """
    given = {_known_name(name): tensor for name, tensor in tensors.items()}
    for layer in stored:
        if layer.alpha is not None and "lora_down" in _known_name(layer.keys["down"]):
            given[_known_name(f"{layer.name}.alpha")] = torch.tensor(float(tensors[layer.keys["down"]].shape[0]))
    try:
        found = pipeline.lora_state_dict(given, **options)
    except _RENAMING_ERRORS as error:
        raise ModelError(
            f"the LoRA {path!r} names its layers in a way that is not known for this model, and may be for another "
            f"kind of model: {' '.join(str(error).split())[:200]}"
        ) from error
    converters: Any = state_dict_utils  # without types
    state = cast(dict[str, Tensor], found[0] if isinstance(found, tuple) else found)
    renamed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name.endswith(".alpha"):
            continue
        text = name.startswith("text_encoder")
        (plain,) = converters.convert_state_dict({name: tensor}, _TEXT_TO_PEFT if text else UNET_TO_DIFFUSERS)
        renamed[plain if plain.startswith(("unet.", "transformer.", "text_encoder")) else f"{denoiser}.{plain}"] = (
            tensor
        )
    return renamed


def _known_name(key: str) -> str:
    """Return the name of a factor in a naming that diffusers reads, where the one of the file is a mixture of two."""
    if _ORIGINAL.fullmatch(key):
        return key.replace(".lora_A.", ".lora_down.").replace(".lora_B.", ".lora_up.")
    return f"transformer.{found[1]}" if (found := _OURS.fullmatch(key)) else key


def _scale(layer: _Stored, tensors: Mapping[str, Tensor]) -> float | None:
    return None if layer.alpha is None else layer.alpha / tensors[layer.keys["down"]].shape[0]


def _has_effect(layer: _Stored, tensors: Mapping[str, Tensor]) -> bool:
    return all(bool(tensors[key].any()) for key in layer.keys.values())
