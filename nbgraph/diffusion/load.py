"""Loads one component of a model from its files: safetensors only, explicit precision, never the network.

One lock is held around every construction, because loaders of diffusers and transformers change global state of torch
(how parameters are initialised) while they work.
"""

import threading
from pathlib import Path
from typing import Any

import torch
from diffusers import ModelMixin
from safetensors import SafetensorError

from nbgraph.diffusion.description import ModelDescription
from nbgraph.diffusion.known_models import make_tokenizer
from nbgraph.diffusion.model_files import choose_variant, read_json
from nbgraph.diffusion.one_thread import default_dtype_of_this_thread, empty_weights_of_this_thread
from nbgraph.diffusion.quantised import loading_options, quantise, source_problem
from nbgraph.diffusion.quiet import quiet
from nbgraph.diffusion.single_files import load_file
from nbgraph.diffusion.sources import Source
from nbgraph.diffusion.upscaler_files import ROLE as UPSCALER
from nbgraph.diffusion.upscaler_files import load_upscaler
from nbgraph.diffusion.weights_fit import check_fits, check_loaded, has_weights
from nbgraph.errors import ModelError

LOAD_LOCK = threading.RLock()


def load_component(
    description: ModelDescription,
    name: str,
    dtype: torch.dtype,
    variant: str | None = None,
    precision: str | None = None,
) -> torch.nn.Module | Any:
    """Load a component of a model onto the CPU, in `dtype`, ready for inference.

    Parameters
    ----------
    name
        The component; a tokenizer has no dtype. A VAE whose activations overflow float16 (`force_upcast`) is float32.
    variant
        Picks files such as `diffusion_pytorch_model.fp16.safetensors`; None takes the plain ones, or the only variant.
    precision
        One of `quantised.PRECISIONS` to quantise the weights to; None leaves them.

    Raises
    ------
    ModelError
        The files are missing, broken, pickles, or not exactly the weights of the component.
    """
    component, source = description.classes[name], description.sources[name]
    if source.part == UPSCALER:
        with LOAD_LOCK:
            return load_upscaler(source, dtype)
    if problem := source_problem(precision, source):
        raise ModelError(problem)
    if source.folder is None:
        return _quantised(_load_from_file(component, source, dtype), precision, dtype)
    folder = source.folder
    if not folder.is_dir():
        raise ModelError(
            f"the model {str(description.folder)!r} is incomplete: there is no folder {folder.name!r} in it. "
            "Copy or download it again"
        )
    options: dict[str, Any] = {"local_files_only": True}
    # the configuration of an Auto class could name code in the folder
    if component.__name__.startswith("Auto") and component.__module__.startswith("transformers"):
        options["trust_remote_code"] = False
    if not has_weights(component):
        with LOAD_LOCK, quiet():
            return _from_pretrained(component, folder, options)
    chosen = choose_variant(folder, variant)
    options |= {"dtype": _safe_dtype(folder, dtype), "use_safetensors": True, "output_loading_info": True}
    options |= {"variant": chosen} if chosen else {}
    options |= loading_options(precision, dtype)
    if not issubclass(component, ModelMixin):
        # `info` names them then, so that `check_loaded` refuses them in its own words
        options["ignore_mismatched_sizes"] = True
    with LOAD_LOCK, quiet():
        check_fits(component, folder, variant)
        loaded, info = _from_pretrained(component, folder, options)
    check_loaded(loaded, folder, info)
    _take_over(loaded, options["dtype"] if issubclass(component, ModelMixin) else None)
    return _quantised(loaded, precision, dtype)


def _quantised(loaded: Any, precision: str | None, dtype: torch.dtype) -> Any:
    if not isinstance(loaded, torch.nn.Module):
        return loaded
    loaded = loaded.eval().requires_grad_(False)
    if precision in ("fp8", "int8"):
        with LOAD_LOCK, quiet():
            quantise(loaded, precision, dtype)
    return loaded


def _load_from_file(component: Any, source: Source, dtype: torch.dtype) -> Any:
    if hasattr(component, "from_config") and not has_weights(component):
        return component.from_config(source.config())
    if not has_weights(component):
        return make_tokenizer(source.config())
    upcast = dtype == torch.float16 and source.config().get("force_upcast")
    with LOAD_LOCK, quiet():
        return load_file(component, source, torch.float32 if upcast else dtype)


def _take_over(module: torch.nn.Module, dtype: torch.dtype | None) -> None:
    """Copy the weights of a module into memory of its own, floating point ones in `dtype` if there is one.

    Loaders map files into memory: a file that is written to later would change the weights of a loaded model, and one
    that gets shorter would end the process. And diffusers keeps the stored types of a file of several types where the
    first tensor has the dtype asked for; such a model fails in its first layer.
    """
    kept = tuple(getattr(module, "_keep_in_fp32_modules", None) or ())
    for name, tensor in module.named_parameters():
        if type(tensor.data) is torch.Tensor:
            # Some layers overflow in half precision, and their class says so.
            stays = not tensor.is_floating_point() or any(part in name.split(".") for part in kept)
            tensor.data = tensor.data.to(tensor.dtype if stays or dtype is None else dtype, copy=True)
    for buffer in module.buffers():
        if type(buffer.data) is torch.Tensor:
            buffer.data = buffer.data.clone()


def _from_pretrained(component: Any, folder: Path, options: dict[str, Any]) -> Any:
    try:
        with default_dtype_of_this_thread(), empty_weights_of_this_thread():
            return component.from_pretrained(str(folder), **options)
    except torch.OutOfMemoryError:
        raise
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
        raise ModelError(
            f"{component.__name__} cannot be loaded from {str(folder)!r}: {error}. The files are damaged, or "
            "do not belong together; copy or download the model again"
        ) from error


def _safe_dtype(folder: Path, dtype: torch.dtype) -> torch.dtype:
    if dtype != torch.float16 or not (folder / "config.json").is_file():
        return dtype
    return torch.float32 if read_json(folder / "config.json").get("force_upcast") else dtype
