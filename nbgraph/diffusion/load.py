"""Loads one component of a model from its files: safetensors only, explicit precision, never the network.

One lock is held around every construction, because loaders of diffusers and transformers change global state of torch
(default dtype, module registration) while they work.
"""

import threading
from pathlib import Path
from typing import Any

import torch
from diffusers import ModelMixin
from safetensors import SafetensorError
from transformers import PreTrainedModel

from nbgraph.diffusion.description import ModelDescription, read_json
from nbgraph.diffusion.quiet import quiet
from nbgraph.errors import ModelError

LOAD_LOCK = threading.RLock()

_PICKLES = ("*.bin", "*.ckpt", "*.pt", "*.pth")


def load_component(
    description: ModelDescription, name: str, dtype: torch.dtype, variant: str | None = None
) -> torch.nn.Module | Any:
    """The component `name` of a model, on the CPU, in `dtype`, ready for inference; tokenizers as they are.

    `variant` picks files such as `diffusion_pytorch_model.fp16.safetensors`; None takes the plain ones, or the only
    variant there is. A VAE that says its activations overflow float16 (`force_upcast`) is loaded as float32.
    `ModelError` when the files are missing, broken, or pickles.
    """
    component, folder = description.classes[name], description.component_folder(name)
    if not folder.is_dir():
        raise ModelError(
            f"the model {str(description.folder)!r} is incomplete: there is no folder {folder.name!r} in it. "
            "Copy or download it again"
        )
    options: dict[str, Any] = {"local_files_only": True}
    if issubclass(component, (ModelMixin, PreTrainedModel)):
        chosen = _choose_variant(folder, variant)
        options |= {"dtype": _safe_dtype(folder, dtype), "use_safetensors": True}
        options |= {"variant": chosen} if chosen else {}
    if issubclass(component, ModelMixin):
        options["low_cpu_mem_usage"] = False
    if component.__name__.startswith("Auto") and component.__module__.startswith("transformers"):
        options["trust_remote_code"] = False
    with LOAD_LOCK, quiet():
        loaded = _from_pretrained(component, folder, options)
    return loaded.eval().requires_grad_(False) if isinstance(loaded, torch.nn.Module) else loaded


def _from_pretrained(component: Any, folder: Path, options: dict[str, Any]) -> Any:
    try:
        return component.from_pretrained(str(folder), **options)
    except torch.OutOfMemoryError:
        raise
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
        raise ModelError(
            f"{component.__name__} cannot be loaded from {str(folder)!r}: {error}. The files are damaged, or "
            "do not belong together; copy or download the model again"
        ) from error


def _choose_variant(folder: Path, variant: str | None) -> str | None:
    names = [file.name for file in folder.glob("*.safetensors")]
    if not names:
        pickles = sorted(file.name for pattern in _PICKLES for file in folder.glob(pattern))
        if pickles:
            raise ModelError(
                f"{str(folder)!r} has its weights only as {', '.join(pickles)}: pickles, which can run any "
                "code when they are read, and are never loaded. Use a safetensors version of it"
            )
        raise ModelError(f"there are no weights in {str(folder)!r}: no .safetensors file. Copy or download it again")
    variants = {_variant_of(name) for name in names}
    if variant is None:
        return None if None in variants or len(variants) > 1 else variants.pop()
    if variant in variants:
        return variant
    if None in variants:
        return None
    raise ModelError(
        f"{str(folder)!r} has no weights of the variant {variant!r} "
        f"(it has: {', '.join(sorted(filter(None, variants)))})"
    )


def _variant_of(file_name: str) -> str | None:
    """`fp16` of `model.fp16.safetensors` and `model.fp16-00001-of-00002.safetensors`; None of `model.safetensors`."""
    stem = file_name.removesuffix(".safetensors").split("-0000")[0]
    return stem.split(".", 1)[1] if "." in stem else None


def _safe_dtype(folder: Path, dtype: torch.dtype) -> torch.dtype:
    if dtype != torch.float16 or not (folder / "config.json").is_file():
        return dtype
    return torch.float32 if read_json(folder / "config.json").get("force_upcast") else dtype
