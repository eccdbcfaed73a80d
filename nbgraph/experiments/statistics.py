"""Statistics of paired experiments: how much a metric changes between two values, and whether seeds agree on it.

Images of different seeds differ far more than images of one seed with another setting. So values are compared within
seeds: of each seed the difference is taken, and all statistics are of those differences.

- The *interval* is the bias-corrected and accelerated bootstrap interval of the mean difference (B. Efron, Better
  bootstrap confidence intervals, 1987), as `scipy.stats.bootstrap` computes it.
- The *verdict* does not use the interval, which is too narrow for few seeds. It uses a sign-flip permutation test: if
  the setting made no difference, each seed's difference might as well have the other sign. With n seeds the smallest
  possible p is 2 / 2**n, so that five seeds cannot show anything at the level of 5 %, and it says so.
- Several comparisons at once are corrected by Holm's method, so that the stated rate of false alarms is that of the
  whole table.
- The *effect size* is the mean difference divided by the standard deviation of the differences (Cohen's d_z).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf, isnan, log2, nan
from statistics import NormalDist
from typing import cast

import numpy as np

LEVEL = 0.05
RESAMPLES = 4_000
EXACT_SEEDS = 14
"""Up to so many seeds all 2**n patterns of signs are tried; above, `RESAMPLES` random ones."""
RANDOM_STATE = 0
"""The same data give the same interval."""


@dataclass(frozen=True)
class Paired:
    """The differences b - a of seeds, summed up. `p` is not corrected for several comparisons."""

    seeds: int
    difference: float
    low: float
    high: float
    agree: float
    effect_size: float
    p: float


def paired(before: Sequence[float], after: Sequence[float], level: float = LEVEL) -> Paired:
    """Compare two lists of one length, in which the values of one seed have one place.

    Parameters
    ----------
    before, after
        The metric of each seed, with the first and the second value of the setting.
    level
        The rate of false alarms, 0 to 1; the interval has the confidence 1 - level.

    Returns
    -------
    Paired
        Of seeds where both are numbers. `agree` is the share of seeds whose difference has the sign of the mean.
    """
    differences = np.asarray(after, float) - np.asarray(before, float)
    differences = differences[np.isfinite(differences)]
    count = len(differences)
    if count == 0:
        return Paired(0, nan, nan, nan, nan, nan, nan)
    mean = float(differences.mean())
    # what does not differ at all agrees with nothing
    agree = float((np.sign(differences) * np.sign(mean) > 0).mean())
    spread = float(differences.std(ddof=1)) if count > 1 else nan
    size = mean / spread if spread > 0 else (nan if isnan(spread) or mean == 0 else inf * np.sign(mean))
    low, high = bootstrap_interval(differences, level)
    return Paired(count, mean, low, high, agree, float(size), sign_flip_p(differences))


def bootstrap_interval(values: np.ndarray, level: float = LEVEL, resamples: int = RESAMPLES) -> tuple[float, float]:
    """Return the BCa bootstrap interval of the mean, with the confidence 1 - level; NaN for fewer than two values."""
    count = len(values)
    if count < 2:
        return nan, nan
    mean = float(values.mean())
    if np.ptp(values) == 0:
        return mean, mean
    places = np.random.default_rng(RANDOM_STATE).integers(0, count, (resamples, count))
    means = np.sort(values[places].mean(axis=1))
    normal = NormalDist()
    below = ((means < mean).sum() + (means <= mean).sum()) / (2 * resamples)
    # All resamples on one side would be an infinite correction.
    bias = normal.inv_cdf(min(max(float(below), 1 / resamples), 1 - 1 / resamples))
    # The jackknife means are linear in the values, which makes the acceleration that of the values themselves.
    left_out = mean - (values - mean) / (count - 1)
    apart = left_out.mean() - left_out
    acceleration = float((apart**3).sum() / (6 * (apart**2).sum() ** 1.5))
    ends: list[float] = []
    for share in (level / 2, 1 - level / 2):
        shifted = bias + normal.inv_cdf(share)
        ends.append(normal.cdf(bias + shifted / (1 - acceleration * shifted)))
    low, high = np.quantile(means, ends)
    return float(low), float(high)


def sign_flip_p(differences: np.ndarray) -> float:
    """Return the two-sided p of the sign-flip permutation test of the mean; exact up to `EXACT_SEEDS` differences."""
    count = len(differences)
    if count <= EXACT_SEEDS:
        numbers = cast(np.ndarray, np.arange(2**count)[:, None] >> np.arange(count) & 1)
        signs = 1 - 2 * numbers
    else:
        signs = np.random.default_rng(RANDOM_STATE).choice([-1, 1], (RESAMPLES, count))
    means = np.abs(signs @ differences)
    # Sums of the same numbers in other signs differ by rounding.
    reached = int((means >= abs(float(differences.sum())) * (1 - 1e-12)).sum())
    return reached / len(means) if count <= EXACT_SEEDS else (reached + 1) / (len(means) + 1)


def holm(values: Sequence[float]) -> list[float]:
    """Return p values corrected for their number by Holm's method; NaN stays NaN and does not count."""
    places = sorted((place for place, value in enumerate(values) if not isnan(value)), key=lambda place: values[place])
    corrected, largest = [nan] * len(values), 0.0
    for rank, place in enumerate(places):
        largest = max(largest, min(1.0, (len(places) - rank) * values[place]))
        corrected[place] = largest
    return corrected


def seeds_needed(comparisons: int = 1, level: float = LEVEL) -> int:
    """Return the fewest seeds with which the sign-flip test can reach a level, for so many comparisons at once."""
    return ceil(log2(2 * comparisons / level))
