"""Control LoRAs of Flux (Canny, Depth): a LoRA that widens the denoiser, which sees a control image beside the latents.

The first layer takes twice the channels: those of the latents, and those of the control image. Such files also replace
norms, and have biases beside their factors. diffusers applies all of it, to a copy of the denoiser.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import FluxControlPipeline
from PIL import Image
from torch import Tensor
from torch.nn import Parameter

from nbgraph.diffusion.components import Components
from nbgraph.diffusion.description import ModelDescription, empty_pipeline
from nbgraph.diffusion.file_tensors import open_weights
from nbgraph.diffusion.fingerprints import check_unchanged, resolve_folder
from nbgraph.diffusion.inpainting import ControlImage, Shown
from nbgraph.diffusion.lora_files import is_control_lora
from nbgraph.diffusion.model_files import read_header
from nbgraph.diffusion.packing import pack
from nbgraph.diffusion.refs import ControlLoraPatch
from nbgraph.diffusion.vae import encode_pixels, image_pixels
from nbgraph.diffusion.values import Latents
from nbgraph.diffusion.weights_fit import check_types
from nbgraph.errors import ModelError
from nbgraph.image_modes import on_white

ADAPTER = "control_lora"
_FAMILY = "flux"
_NORMS = ("norm_q", "norm_k", "norm_added_q", "norm_added_k")
_ERRORS = (RuntimeError, ValueError, KeyError, TypeError, AttributeError, AssertionError, NotImplementedError)


def control_lora_problem(path: str | Path) -> str | None:
    """Return what is wrong with the file of a control LoRA whatever the model, in one line; None if it can be one."""
    try:
        _check_file(str(path), Path(path))
    except ModelError as error:
        return str(error)
    return None


def lay_control_lora(model: ModelDescription, denoiser: Any, patches: list[ControlLoraPatch]) -> dict[str, float]:
    """Apply a control LoRA to `denoiser`, which is a copy; return the names of its layers with their weight.

    Raises
    ------
    ModelError
        There are several, the model is of another family or for inpainting, or the file does not fit it.
    """
    if not patches:
        return {}
    key = model.need_family().key
    if key != _FAMILY or model.inpaints:
        of = "for inpainting" if model.inpaints else f"of {key!r}"
        raise ModelError(f"control LoRAs work with models of FLUX.1 for text to image, and this model is {of}")
    if len(patches) > 1:
        raise ModelError(
            f"a denoiser sees one control image beside the latents, and there are {len(patches)} control LoRAs; leave "
            "one, or use ControlNets"
        )
    patch = patches[0]
    file = resolve_folder(patch.path)
    _check_file(patch.path, file)
    with open_weights(file) as opened:
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    check_unchanged(patch.path, patch.fingerprint)
    if broken := [name for name, tensor in tensors.items() if not tensor.float().isfinite().all()]:
        raise ModelError(
            f"the control LoRA {patch.path!r} is damaged: {len(broken)} of its tensors, such as {broken[0]}, hold "
            "values that are not finite; copy or download it again"
        )
    try:
        _apply(denoiser, tensors)
    except _ERRORS as error:
        raise ModelError(
            f"the control LoRA {patch.path!r} does not fit {str(model.folder)!r}, and was trained for another model: "
            f"{' '.join(str(error).split())[:300]}"
        ) from error
    return {ADAPTER: patch.weight}


def control_beside(components: Components, control: ControlImage, begin: Latents) -> Shown:
    """Return the function that adds the channels of a control image to latents of the size of `begin`.

    It is encoded as the mean of its distribution, the same every time.
    """
    resized = on_white(control.image).resize((begin.width, begin.height), Image.Resampling.LANCZOS)
    # contiguous as in the pipeline: the memory layout decides how convolutions round
    encoded = encode_pixels(components, image_pixels(components, resized).contiguous())
    beside = pack(components, encoded.tensor.to(components.device, components.dtype))

    def shown(latents: Tensor) -> Tensor:
        return torch.cat([latents, beside.repeat(len(latents), 1, 1).to(latents)], dim=2)

    return shown


def _check_file(path: str, file: Path) -> None:
    """Raise `ModelError` for a file that is no control LoRA."""
    if file.suffix != ".safetensors":
        raise ModelError(f"a control LoRA must be a .safetensors file, and {path!r} is none; pickles are never loaded")
    header = read_header(file)
    check_types(f"the weights of the control LoRA {path!r}", header)
    if not is_control_lora(header):
        raise ModelError(
            f"{path!r} is no control LoRA of Flux: it does not widen the first layer of the denoiser (x_embedder, or "
            "img_in) to 128 channels; give a plain LoRA to a LoraLoader, a ControlNet to a ControlNet"
        )


def _apply(denoiser: Any, tensors: Mapping[str, Tensor]) -> None:
    """Let diffusers load the tensors into a denoiser; raise for any that it leaves out."""
    pipeline = empty_pipeline(FluxControlPipeline, {"transformer": denoiser})
    loaded: tuple[dict[str, Tensor], Any, Any] = pipeline.lora_state_dict(
        dict(tensors), return_alphas=True, return_lora_metadata=True
    )
    named = {name.removeprefix("transformer."): tensor for name, tensor in loaded[0].items()}
    norms = {name for name in named if any(norm in name for norm in _NORMS) and "lora" not in name}
    own = dict(denoiser.named_parameters())
    if strange := sorted(norms - own.keys()):
        raise ValueError(f"it has norms for modules that the model has not, such as {strange[0]}")
    for name in norms:
        # diffusers writes into the weights, which the copy shares with the model
        module = denoiser.get_submodule(name.rpartition(".")[0])
        setattr(module, name.rpartition(".")[2], Parameter(own[name].detach().clone(), requires_grad=False))
    pipeline.load_lora_weights(dict(tensors), adapter_name=ADAPTER)
    mark = f".{ADAPTER}."
    placed = {name.replace(mark, ".") for name in denoiser.state_dict() if mark in name}
    if lost := sorted(named.keys() - norms - placed):
        raise ValueError(f"{len(lost)} of its {len(named)} tensors found no place, such as {lost[0]}")
