"""Memory of the device that models run on: how much models may take, how much is free, giving back what torch keeps."""

import psutil
import torch

_WORKING_SHARE = 0.25


def models_budget(device: torch.device) -> int:
    """Return the bytes that models may take: three quarters of the device's memory, half of RAM on the CPU."""
    if _is_ram(device):
        return psutil.virtual_memory().total // 2
    _, total = torch.accelerator.get_memory_info(device)
    return int(total * (1 - _WORKING_SHARE))


def free_bytes(device: torch.device) -> int | None:
    """Return the free memory of the device, with what torch keeps for reuse; None where that is RAM."""
    if _is_ram(device):
        return None
    free, _ = torch.accelerator.get_memory_info(device)
    kept = torch.accelerator.memory_reserved(device) - torch.accelerator.memory_allocated(device)
    return free + kept


def free_memory(device: torch.device | None = None) -> None:
    """Give memory that torch keeps for reuse back to the device; None is the accelerator of this machine, if any."""
    on_cpu = not torch.accelerator.is_available() if device is None else device.type == "cpu"
    if not on_cpu:
        torch.accelerator.empty_cache()


def _is_ram(device: torch.device) -> bool:
    return device.type in ("cpu", "mps")
