"""Where models run, and in which precision."""

import torch

from nbgraph.errors import ModelError, suggest

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def choose_device(name: str | None = None) -> torch.device:
    """Return the device called `name` (`cpu`, `cuda`, `cuda:1`, `mps`); None chooses cuda, then mps, then cpu.

    Raises
    ------
    ModelError
        This machine has no such device.
    """
    if name is None:
        return torch.device(_available()[0])
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelError(f"{name!r} is no device of torch{suggest(name, _available())}") from error
    if device.type not in _available() or (device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()):
        raise ModelError(f"this machine has no device {name!r}{suggest(name, _available())}")
    return device


def choose_dtype(name: str | None, device: torch.device, denoiser: str = "unet") -> torch.dtype:
    """Return the dtype called `name`; None chooses by device, as `default_dtype` says."""
    name = name or default_dtype(device.type, denoiser)
    if name not in _DTYPES:
        raise ModelError(f"{name!r} is no precision that models can be loaded in{suggest(name, _DTYPES)}")
    return _DTYPES[name]


def default_dtype(kind: str, denoiser: str = "unet") -> str:
    """Return the name of the dtype for a kind of device.

    It is float32 on the CPU, whatever the files hold. Elsewhere it is float16, and on cuda bfloat16 for transformer
    denoisers, whose activations overflow float16.
    """
    if kind == "cpu":
        return "float32"
    return "bfloat16" if kind == "cuda" and denoiser == "transformer" else "float16"


def device_kind(name: str | None = None) -> str:
    """Return the kind of the device that `choose_device` means: `cpu`, `cuda`, `mps`; also of one that is not here."""
    return choose_device(None).type if name is None else name.partition(":")[0]


def _available() -> list[str]:
    names = ["cuda"] if torch.cuda.is_available() else []
    return [*names, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]
