"""Components out of single files: which tensors are theirs, under which names, and whether they are exactly right.

A component is built with its configuration and no weights, the tensors of its part are renamed by the converters of
diffusers, compared name by name with what the component has, and become its weights. Nothing is written to disk, and
nothing of another part is read. The same comparison runs over headers alone, on the meta device, before a run.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from diffusers import ModelMixin
from diffusers.loaders import single_file_model, single_file_utils
from torch import Tensor

from nbgraph.diffusion.denoiser_kinds import DENOISER_PREFIXES
from nbgraph.diffusion.file_headers import FileHeader, NotWeights
from nbgraph.diffusion.file_tensors import check_readable, is_weight, read_tensors
from nbgraph.diffusion.fingerprints import file_identity
from nbgraph.diffusion.model_files import StoredTensor
from nbgraph.diffusion.one_thread import EmptyWeights
from nbgraph.diffusion.quiet import quiet
from nbgraph.diffusion.sources import Source
from nbgraph.diffusion.weights_fit import Differences, refuse_differences
from nbgraph.diffusion.what_is import header_of
from nbgraph.errors import ModelError

State = dict[str, Tensor]

_PREFIXES: dict[str, tuple[str, ...]] = {
    "denoiser": DENOISER_PREFIXES,
    "vae": ("first_stage_model.", "vae.", ""),
    "controlnet": ("control_model.", ""),
    "clip": ("cond_stage_model.transformer.", "cond_stage_model.model.", ""),
    "clip_l": ("conditioner.embedders.0.transformer.", "text_encoders.clip_l.transformer.", ""),
    "clip_g": (
        "conditioner.embedders.1.model.",
        "conditioner.embedders.0.model.",
        "text_encoders.clip_g.transformer.",
        "",
    ),
    "t5": ("text_encoders.t5xxl.transformer.", ""),
}
"""Prefixes of the names of a part; the first one that a file has is used."""
_UNET = "model.diffusion_model."
_CONVERSION_ERRORS = (KeyError, ValueError, TypeError, IndexError, AttributeError, RuntimeError)


def check_file(component: Any, source: Source) -> None:
    """Raise `ModelError` unless the file of `source` holds exactly the weights of the component.

    Reads its header only.
    """
    header = _header(source)
    check_readable(source.where, header)
    names = _names(header, source)
    state = {inner: torch.empty(header.tensors[name].shape, device="meta") for inner, name in names.items()}
    model = _build(component, source)
    _compare(component, source, model, _convert(component, source, model, state))


def load_file(component: Any, source: Source, dtype: torch.dtype) -> torch.nn.Module:
    """Return the component with the weights in the file of `source`, in memory of its own, on the CPU, in `dtype`.

    Raises
    ------
    ModelError
        The file lacks a tensor, or has one of another shape, or one that the component has not.
    """
    header = _header(source)
    names = _names(header, source)
    model = _build(component, source)
    kept = _kept_in_float32(component, dtype)
    read = read_tensors(source.where, header, list(names.values()), torch.float32 if kept else dtype)
    state = _convert(component, source, model, {inner: read.pop(name) for inner, name in names.items()})
    _compare(component, source, model, state)
    own = {name: _own_memory(tensor, name, dtype, kept) for name, tensor in state.items()}
    model.load_state_dict(own, strict=False, assign=True)
    if hasattr(model, "tie_weights"):
        model.tie_weights()
    empty = sorted(name for name, tensor in (*model.named_parameters(), *model.named_buffers()) if tensor.is_meta)
    refuse_differences(component, source.where, Differences(missing=empty))
    return model.to(dtype) if issubclass(component, ModelMixin) else model


def part_header(source: Source) -> dict[str, StoredTensor]:
    """Return the tensors of a part by their names within it, from the header of its file."""
    header = _header(source)
    return {inner: header.tensors[name] for inner, name in _names(header, source).items()}


def _header(source: Source) -> FileHeader:
    if source.file is None:
        raise ModelError(
            f"{source.path!r} does not hold this part of the model; give parts=MODEL, a model of the same kind that "
            "has it"
        )
    found = header_of(source.file, file_identity(source.file))
    if isinstance(found, NotWeights):
        raise ModelError(f"{str(source.file)!r} {found.problem}")
    return found


def _names(header: FileHeader, source: Source) -> dict[str, str]:
    """Return names in the file by names within the part."""
    prefix = next(each for each in _PREFIXES[source.part] if any(name.startswith(each) for name in header.tensors))
    inner = {name.removeprefix(prefix): name for name in header.tensors if name.startswith(prefix)}
    if prefix == "cond_stage_model.transformer." and not any(name.startswith("text_model.") for name in inner):
        inner = {f"text_model.{name}": whole for name, whole in inner.items()}  # files of before transformers 4
    if source.part == "denoiser" and not prefix:
        starts = tuple(each for part, starts in _PREFIXES.items() if part != "denoiser" for each in starts if each)
        inner = {name: whole for name, whole in inner.items() if not name.startswith(starts)}
    return {name: whole for name, whole in inner.items() if is_weight(name)}


def _build(component: Any, source: Source) -> Any:
    """Return the component with its configuration; parameters are on meta, computed buffers are real."""
    config = source.config()
    try:
        with quiet(), EmptyWeights():
            if hasattr(component, "from_config"):
                return component.from_config(config)
            return component(component.config_class(**config))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise ModelError(
            f"the configuration for {str(source.where)!r} makes no {component.__name__}: {error}"
        ) from error


def _convert(component: Any, source: Source, model: Any, state: State) -> State:
    """Rename the tensors of a part to the names of the component."""
    try:
        with quiet():
            if issubclass(component, ModelMixin):
                return _convert_diffusers(component, source, model, state)
            if source.part == "t5":
                return state
            return _convert_clip(model, state, source.part)
    except _CONVERSION_ERRORS as error:
        raise ModelError(
            f"the weights in {str(source.where)!r} are not those of a {component.__name__}: {type(error).__name__} "
            f"{str(error)[:120]}. They are incomplete, or of another kind of model"
        ) from error


def _convert_diffusers(component: Any, source: Source, model: Any, state: State) -> State:
    own = set(model.state_dict())
    model._fix_state_dict_keys_on_load(state)
    if own <= set(state):
        return state
    converters: Any = single_file_model  # diffusers' own functions for single files have no types
    name = converters._get_single_file_loadable_mapping_class(component)
    if name is None:
        return state
    convert: Callable[..., dict[str, Tensor | None]] = converters.SINGLE_FILE_LOADABLE_CLASSES[name][
        "checkpoint_mapping_fn"
    ]
    if name == "UNet2DConditionModel":
        state = {_UNET + inner: tensor for inner, tensor in state.items()}
    converted = convert(checkpoint=dict(state), config=dict(model.config))
    return {inner: tensor for inner, tensor in converted.items() if tensor is not None}


def _convert_clip(model: Any, state: State, part: str) -> State:
    """Rename the tensors of OpenCLIP as transformers does, with `text_model.` where the installed version has it."""
    if "token_embedding.weight" in state:
        # for the first of these diffusers leaves out the last layer, which SD2 does not use
        prefix = "cond_stage_model.model." if part == "clip" else "conditioner.embedders.1.model."
        convert: Callable[..., State] = cast(Any, single_file_utils).convert_open_clip_checkpoint
        state = convert(model, {prefix + name: tensor for name, tensor in state.items()}, prefix)
    own = set(model.state_dict())
    if not hasattr(model, "text_model"):
        state = {name.removeprefix("text_model."): tensor for name, tensor in state.items()}
    if "text_projection.weight" in own and "text_projection.weight" not in state:
        like = next(iter(state.values()))
        width = model.config.projection_dim  # what has no projection is used as it comes out
        state["text_projection.weight"] = torch.eye(width, dtype=like.dtype, device=like.device)
    return state


def _compare(component: Any, source: Source, model: Any, state: State) -> None:
    """Raise `ModelError` unless the state is exactly what the component has."""
    expected: Mapping[str, Tensor] = model.state_dict()
    tied = {"encoder.embed_tokens.weight"} if "shared.weight" in state else set[str]()
    shapes = {
        name: (tuple(state[name].shape), tuple(own.shape))
        for name, own in expected.items()
        if name in state and state[name].shape != own.shape
    }
    missing = [name for name in expected if name not in state and name not in tied]
    unexpected = [name for name in state if name not in expected and name not in tied]
    refuse_differences(component, source.where, Differences(missing, unexpected, shapes))


def _kept_in_float32(component: Any, dtype: torch.dtype) -> tuple[str, ...]:
    """Return the names of modules that transformers keeps in float32, since they overflow otherwise."""
    if dtype == torch.float32 or issubclass(component, ModelMixin):
        return ()
    names = getattr(component, "_keep_in_fp32_modules", None) or () if dtype == torch.float16 else ()
    return tuple(names)


def _own_memory(tensor: Tensor, name: str, dtype: torch.dtype, kept: tuple[str, ...]) -> Tensor:
    """Return a contiguous tensor that shares its memory with no other."""
    if not tensor.is_floating_point():
        return tensor.clone()
    target = torch.float32 if any(part in name.split(".") for part in kept) else dtype
    moved = tensor.to(target)
    return moved.clone(memory_format=torch.contiguous_format) if _is_shared(moved) else moved


def _is_shared(tensor: Tensor) -> bool:
    """Return whether a tensor is a view of a larger one, as chunks of a stored tensor are; it would keep all of it."""
    return not tensor.is_contiguous() or tensor.untyped_storage().nbytes() != tensor.nbytes
