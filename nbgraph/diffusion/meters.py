"""Memory meters of the device: how many bytes nodes took, where the device has counters."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class DeviceMemory:
    """Bytes of device memory: in use now, the most in use and the most reserved since the last reset."""

    allocated: int
    peak_allocated: int
    peak_reserved: int


class DeviceMeter:
    """Reads the memory of one device. On the CPU, and on devices without counters, every reading is None."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._counts = device.type != "cpu" and torch.accelerator.is_available() and device.type != "mps"

    def reset_peak(self) -> None:
        """Begin to measure a new peak."""
        if self._counts:
            torch.accelerator.reset_peak_memory_stats(self.device)

    def read(self) -> DeviceMemory | None:
        """Return the memory in use and its peaks since `reset_peak`; None where the device has no counters."""
        if not self._counts:
            return None
        return DeviceMemory(
            allocated=torch.accelerator.memory_allocated(self.device),
            peak_allocated=torch.accelerator.max_memory_allocated(self.device),
            peak_reserved=torch.accelerator.max_memory_reserved(self.device),
        )

    def synchronize(self) -> None:
        """Wait until the device has finished its work, so that a time measured next includes it."""
        if self.device.type != "cpu" and torch.accelerator.is_available():
            torch.accelerator.synchronize(self.device)
