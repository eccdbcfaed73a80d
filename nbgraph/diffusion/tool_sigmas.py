"""The noise levels that ComfyUI and A1111 step through, by their own formulas.

All of them start from a table of the levels that a model was trained on: 1000 for models that predict noise, and for
flow-matching ones as many as the tool takes, bent by a shift. `sigmas(...)` gives n + 1 levels, falling to 0.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbgraph.diffusion.tool_names import ToolScheduleName
from nbgraph.errors import ModelError

Levels = NDArray[np.float64]
RHO = 7.0
QUADRATIC_THRESHOLD = 0.025
BETA = 0.6
LEAST_ALPHA = 4.8973451890853435e-08
"""What both tools put in place of the last cumulated alpha of a zero SNR, by which they divide."""
MAX_STEPS = 100_000
"""The longest schedule that is made: a share of it is run, and a tiny share would ask for billions of levels."""
ONE_MORE_STEP = frozenset({"uni_pc", "uni_pc_bh2"})
"""Samplers for which ComfyUI takes the levels of one step more, and leaves out the last but one."""


@dataclass(frozen=True)
class SigmaTable:
    """The levels a model was trained on, rising, and whether it mixes noise as flow matching does."""

    levels: Levels
    flow: bool = False
    shift: float = 1.0

    @property
    def largest(self) -> float:
        """The highest level."""
        return float(self.levels[-1])

    def sigma_at(self, timestep: float) -> float:
        """Return the level at a timestep: 0 to 999 between trained ones by their logarithms, 0 to 1 for flow."""
        if self.flow:
            return float(_shifted(np.asarray(timestep), self.shift))
        logs = np.log(self.levels)
        return float(np.exp(np.interp(timestep, np.arange(len(logs)), logs)))

    def timestep_of(self, sigma: float, nearest: bool = True) -> float:
        """Return the timestep of a level, 0 to 1000, as the denoiser takes it: the nearest one, or between two."""
        if self.flow:
            return sigma * 1000
        logs = np.log(self.levels)
        place = math.log(max(sigma, 1e-10))
        if nearest:
            return float(np.abs(logs - place).argmin())
        return float(np.interp(place, logs, np.arange(len(logs))))


def noise_table(alphas_cumprod: NDArray[Any], zero_snr: bool = False) -> SigmaTable:
    """Return the table of a model that predicts noise or velocity, from its cumulated alphas.

    `zero_snr` stretches them so that nothing of the image is left at the highest level, as the model was trained.
    """
    alphas = np.asarray(alphas_cumprod, np.float64)
    if zero_snr:
        roots = np.sqrt(alphas)
        alphas = ((roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])) ** 2
        alphas[-1] = LEAST_ALPHA
    return SigmaTable(np.sqrt((1 - alphas) / alphas))


def flow_table(shift: float, count: int = 1000) -> SigmaTable:
    """Return the table of a flow-matching model; Flux has 10,000 levels in ComfyUI, the others 1,000."""
    return SigmaTable(_shifted(np.arange(1, count + 1) / count, shift), True, shift)


def flux_shift(width: int, height: int, base_shift: float = 0.5, max_shift: float = 1.15) -> float:
    """Return the shift for a picture of that size in pixels, as ModelSamplingFlux has it: 256 to 4096 patches."""
    slope = (max_shift - base_shift) / (4096 - 256)
    return math.exp(width * height / (8 * 8 * 2 * 2) * slope + base_shift - slope * 256)


def sigmas(table: SigmaTable, schedule: ToolScheduleName, steps: int, sampler: str = "euler") -> Levels:
    """Return the levels that a sampler steps through: one more than `steps` as a rule, the last one 0.

    `beta` leaves out levels that would come twice. `ModelError` for a schedule that the model cannot have.
    """
    if sampler in ONE_MORE_STEP:
        found = _SCHEDULES[schedule](table, steps + 1)
        return np.concatenate([found[:-2], found[-1:]])
    return _SCHEDULES[schedule](table, steps)


def part_of_sigmas(table: SigmaTable, schedule: ToolScheduleName, steps: int, denoise: float, sampler: str) -> Levels:
    """Return the last `steps` steps of a longer schedule of int(steps / denoise), as ComfyUI changes a picture."""
    if denoise > 0.9999:
        return sigmas(table, schedule, steps, sampler)
    if denoise <= 0:
        return np.zeros(0)
    if steps / denoise > MAX_STEPS:
        raise ModelError(
            f"denoise is {denoise:g}, which runs the last {steps} steps of more than {MAX_STEPS:,}; give at least "
            f"{steps / MAX_STEPS:g}, or 0"
        )
    return sigmas(table, schedule, int(steps / denoise), sampler)[-(steps + 1) :]


def _shifted(share: Levels, shift: float) -> Levels:
    return shift * share / (1 + (shift - 1) * share)


def _linspace(table: SigmaTable, steps: int, leave_out_last: bool) -> Levels:
    if table.flow:
        start, end = 1.0, float(table.levels[0])  # the lowest level serves as a timestep, and is shifted once more
    else:
        start, end = float(len(table.levels) - 1), 0.0
    places = np.linspace(start, end, steps + 1)[:-1] if leave_out_last else np.linspace(start, end, steps)
    return np.append([table.sigma_at(place) for place in places], 0.0)


def _simple(table: SigmaTable, steps: int) -> Levels:
    stride = len(table.levels) / steps
    return np.append([table.levels[-(1 + int(number * stride))] for number in range(steps)], 0.0)


def _ddim_uniform(table: SigmaTable, steps: int) -> Levels:
    stride = max(len(table.levels) // steps, 1)
    return np.append(table.levels[1::stride][::-1], 0.0)


def _karras(table: SigmaTable, steps: int) -> Levels:
    low, high = table.levels[0] ** (1 / RHO), table.largest ** (1 / RHO)
    return np.append((high + np.linspace(0, 1, steps) * (low - high)) ** RHO, 0.0)


def _exponential(table: SigmaTable, steps: int) -> Levels:
    return np.append(np.exp(np.linspace(math.log(table.largest), math.log(table.levels[0]), steps)), 0.0)


def _beta(table: SigmaTable, steps: int) -> Levels:
    try:
        stats: Any = import_module("scipy.stats")
    except ImportError:
        raise ModelError("the schedule 'beta' needs the package scipy: pip install scipy") from None
    shares = 1 - np.linspace(0, 1, steps, endpoint=False)
    places = np.rint(stats.beta.ppf(shares, BETA, BETA) * (len(table.levels) - 1)).astype(int)
    return np.append(table.levels[list(dict.fromkeys(places.tolist()))], 0.0)


def _kl_optimal(table: SigmaTable, steps: int) -> Levels:
    share = np.arange(steps) / max(steps - 1, 1)
    return np.append(np.tan(share * np.arctan(table.levels[0]) + (1 - share) * np.arctan(table.largest)), 0.0)


def _linear_quadratic(table: SigmaTable, steps: int) -> Levels:
    if steps == 1:
        return np.array([table.largest, 0.0])
    linear = steps // 2
    quadratic = steps - linear
    rest = linear - QUADRATIC_THRESHOLD * steps
    curve = rest / (linear * quadratic**2)
    slope = QUADRATIC_THRESHOLD / linear - 2 * rest / quadratic**2
    begun = [number * QUADRATIC_THRESHOLD / linear for number in range(linear)]
    ended = [curve * number**2 + slope * number + curve * linear**2 for number in range(linear, steps)]
    return (1 - np.array([*begun, *ended, 1.0])) * table.largest


_SCHEDULES: dict[str, Callable[[SigmaTable, int], Levels]] = {
    "normal": lambda table, steps: _linspace(table, steps, False),
    "sgm_uniform": lambda table, steps: _linspace(table, steps, True),
    "simple": _simple,
    "ddim_uniform": _ddim_uniform,
    "karras": _karras,
    "exponential": _exponential,
    "beta": _beta,
    "kl_optimal": _kl_optimal,
    "linear_quadratic": _linear_quadratic,
}
