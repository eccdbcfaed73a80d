"""Quantised models: what a folder or a precision needs of packages and device, and quantising what was loaded.

Only the denoiser is quantised on load, as it has most of the weights. `fp8` keeps weights in 8 bits and casts each
layer while it computes (diffusers' layerwise casting; no package is needed). `int8` is torchao's or quanto's
weight-only quantisation, `nf4` that of bitsandbytes.
"""

import importlib.util
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Literal, get_args

import torch

from nbgraph.diffusion.sources import Source
from nbgraph.errors import ModelError, suggest

Precision = Literal["fp8", "int8", "nf4"]
PRECISIONS: tuple[str, ...] = get_args(Precision)

_PACKAGES = {
    "bitsandbytes": ("bitsandbytes", "bitsandbytes"),
    "torchao": ("torchao", "torchao"),
    "quanto": ("optimum.quanto", "optimum-quanto"),
    "gguf": ("gguf", "gguf"),
    "modelopt": ("modelopt", "nvidia-modelopt"),
    "sdnq": ("sdnq", "sdnq"),
}
"""By the name that a configuration has for a way to quantise: the module to import, and the package that has it."""
_NEEDS_CUDA = ("bitsandbytes", "modelopt")


def folder_problem(config: Mapping[str, Any]) -> str:
    """Return what a component with a `quantization_config` needs that is not here; "" if it can be loaded."""
    given = config["quantization_config"]
    method = str(given.get("quant_method", "an unnamed method")).removesuffix("_4bit").removesuffix("_8bit")
    if method not in _PACKAGES:
        return f"quantised by {method}, which is not read here; use a version in float16, bfloat16, GGUF or fp8"
    if lacking := _lacking_package(method):
        needs = f"needs the package {lacking}, and that is not installed: pip install {lacking}"
        return f"quantised by {method}, which {needs}"
    if method in _NEEDS_CUDA and not torch.cuda.is_available():
        return f"quantised by {method}, which needs a CUDA device, and this machine has none; use a GGUF or fp8 version"
    return ""


def check_precision(precision: str, device: str) -> None:
    """Raise `ModelError` unless weights can be quantised to that precision on a kind of device, such as `cpu`."""
    if precision not in PRECISIONS:
        raise ModelError(f"{precision!r} is no precision that weights are quantised to{suggest(precision, PRECISIONS)}")
    if precision == "nf4":
        if device != "cuda":
            raise ModelError(f"precision 'nf4' needs a CUDA device, and models run on {device}; use 'fp8' or 'int8'")
        if lacking := _lacking_package("bitsandbytes"):
            raise ModelError(f"precision 'nf4' needs the package {lacking}: pip install {lacking}")
    if precision == "int8" and int8_backend() is None:
        raise ModelError("precision 'int8' needs the package torchao or optimum-quanto: pip install torchao")
    if precision == "fp8" and device == "mps":
        raise ModelError("precision 'fp8' needs a device with float8 numbers, and mps has none; use 'int8'")


def source_problem(precision: str | None, source: Source) -> str:
    """Return why the weights of a denoiser cannot be quantised to a precision; "" if they can, or are left as is."""
    if precision is None:
        return ""
    if precision == "nf4" and source.folder is None:
        return f"precision 'nf4' is for folders, and {str(source.where)!r} is a file; use 'fp8' or 'int8'"
    if given := source.config().get("quantization_config"):
        method = given.get("quant_method", "an unnamed method")
        return f"{str(source.where)!r} is quantised already, by {method}; leave precision= out"
    return ""


def lora_problem_over(precision: str | None) -> str:
    """Return why no LoRA can be applied to a denoiser of that precision; "" if one can."""
    if precision == "fp8" or (precision == "int8" and int8_backend() == "quanto"):
        return f"a LoRA cannot be applied to weights in {precision}; leave precision= out, or use int8 with torchao"
    return ""


def int8_backend() -> str | None:
    """Return the name of what quantises to 8 bits here, `torchao` or `quanto`; None without either."""
    return next((name for name in ("torchao", "quanto") if not _lacking_package(name)), None)


def quantise(module: Any, precision: str, dtype: torch.dtype) -> None:
    """Quantise the weights of a loaded denoiser in place; it computes in `dtype`."""
    if precision == "fp8":
        module.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=dtype)
    elif int8_backend() == "torchao":
        torchao: Any = import_module("torchao.quantization")
        torchao.quantize_(module, torchao.Int8WeightOnlyConfig())
    else:
        quanto: Any = import_module("optimum.quanto")
        quanto.quantize(module, weights=quanto.qint8)
        quanto.freeze(module)


def loading_options(precision: str | None, dtype: torch.dtype) -> dict[str, Any]:
    """Return the options of `from_pretrained` for a precision whose weights are quantised while they are read."""
    if precision != "nf4":
        return {}
    from diffusers.quantizers.quantization_config import BitsAndBytesConfig

    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
    return {"quantization_config": config}


def is_plain(tensor: torch.Tensor) -> bool:
    """Return whether the numbers of a weight are its values, so that something can be added to them."""
    return type(tensor.data) is torch.Tensor and tensor.is_floating_point() and tensor.dtype.itemsize > 1


def _lacking_package(method: str) -> str:
    """Return the package that a method needs and that is not installed; "" if it is."""
    module, package = _PACKAGES[method]
    try:
        return "" if importlib.util.find_spec(module) is not None else package
    except ModuleNotFoundError:  # the parent of a module in a namespace
        return package
