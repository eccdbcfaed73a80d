"""Whether nodes became slower: the executions of the last days beside those of the days before.

Executions of one node type, model, device and number of nodes in a call are compared. Their seconds are divided by what
a line through the earlier ones says of their work (steps times megapixels), so that runs of other sizes can be compared
too. The test is a permutation test of the mean of the logarithms, as a run that was disturbed once must not decide, and
it is corrected for the number of rows by Holm's method.

Where fewer than `FEWEST` executions are known on a side, nothing is said but that.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING

import numpy as np

from nbgraph.errors import NbgraphError
from nbgraph.experiments.executions import Execution, line_through
from nbgraph.experiments.statistics import LEVEL, RANDOM_STATE, RESAMPLES, holm
from nbgraph.frames import frame
from nbgraph.html import Html, element, joined, table
from nbgraph.texts import seconds_text

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs] - its types are in its code

DAY = 86_400.0
FEWEST = 5
"""Executions on each side with which anything is said."""
SHORTEST = 0.001
"""Seconds below which nobody waits for a node."""
SMALLEST = 0.05
"""A share below which a change is not worth a word, however sure."""
COLUMNS = {
    "type": "str",
    "model": "str",
    "device": "str",
    "recent": "int64",
    "before": "int64",
    "seconds_recent": "float64",
    "seconds_before": "float64",
    "change": "float64",
    "p": "float64",
    "verdict": "str",
}


@dataclass(frozen=True)
class Change:
    """How the seconds of one kind of executions changed. `change` is a share: 0.18 is 18 % slower."""

    type: str
    model: str
    device: str
    recent: int
    before: int
    seconds_recent: float
    seconds_before: float
    change: float
    p: float
    verdict: str

    def __str__(self) -> str:
        name = f"{self.type} ({self.model})" if self.model else self.type
        counts = f"{self.recent} executions beside {self.before}"
        if self.verdict in ("slower", "faster"):
            times = f"{seconds_text(self.seconds_before)} -> {seconds_text(self.seconds_recent)}"
            return f"{name} is {100 * abs(self.change):.0f} % {self.verdict} than the median before: {times}, {counts}"
        return f"{name}: {self.verdict}, {counts}"


class Regressions:
    """Which node types became slower, the slowest first: `.frame`, `.slower`, `.sentences`; shown, as a table."""

    def __init__(self, changes: Iterable[Change], days: float, recent_days: float) -> None:
        order = {"slower": 0, "faster": 1}
        self.changes = sorted(changes, key=lambda each: (order.get(each.verdict, 2), -abs(each.change)))
        self.days, self.recent_days = days, recent_days

    @property
    def slower(self) -> list[Change]:
        """Those that became slower."""
        return [each for each in self.changes if each.verdict == "slower"]

    @property
    def frame(self) -> "pd.DataFrame":
        """One row per node type, model and device.

        Columns `recent` and `before` (executions), `seconds_recent` and `seconds_before` (medians, those before scaled
        to the work of the recent ones), `change` (a share; 0.18 is 18 % slower), `p` (corrected by Holm) and `verdict`.
        """
        rows = (tuple(getattr(each, name) for name in COLUMNS) for each in self.changes)
        return frame(rows, COLUMNS)

    @property
    def sentences(self) -> list[str]:
        """What was found, in a sentence for each row; of those with too few executions one for all."""
        told = [str(each) for each in self.changes if not each.verdict.startswith("too few")]
        few = [each.type for each in self.changes if each.verdict.startswith("too few")]
        if few:
            names = ", ".join(dict.fromkeys(few))
            told.append(f"too few to tell of {names}: at least {FEWEST} executions are needed on each side")
        return told or [f"no node ran in the last {_days(self.recent_days)}, so there is nothing to compare"]

    def __repr__(self) -> str:
        return "\n".join(self.sentences)

    def _repr_html_(self) -> Html:
        rows = [
            (
                each.type,
                each.model,
                str(each.recent),
                str(each.before),
                "" if each.seconds_before != each.seconds_before else seconds_text(each.seconds_before),
                seconds_text(each.seconds_recent),
                "" if each.change != each.change else f"{100 * each.change:+.0f} %",
                each.verdict,
            )
            for each in self.changes
        ]
        head = ("type", "model", "recent", "before", "seconds before", "seconds recent", "change", "verdict")
        note = f"the last {_days(self.recent_days)} beside the {_days(self.days)} before"
        return joined([table(rows, head) if rows else element("p", repr(self)), element("p", note)])


def regressions(
    executions: Sequence[Execution], now: float, days: float = 7, recent_days: float = 1, level: float = LEVEL
) -> Regressions:
    """Compare the executions of the last `recent_days` with those of the `days` before them.

    Parameters
    ----------
    executions
        Earlier executions; those that loaded a model are left out.
    now
        Seconds since 1970.
    days, recent_days
        Lengths of both times.
    level
        The rate of false alarms of the whole table.

    Raises
    ------
    NbgraphError
        A length is not positive.
    """
    if days <= 0 or recent_days <= 0:
        raise NbgraphError(f"days and recent_days are longer than 0, such as 7 and 1; not {days:g} and {recent_days:g}")
    begin, middle = now - (days + recent_days) * DAY, now - recent_days * DAY
    kinds: dict[tuple[str, str, str, int], tuple[list[Execution], list[Execution]]] = {}
    for each in executions:
        if begin <= each.started <= now and not each.has_loaded:
            sides = kinds.setdefault((each.type, each.model, each.device, each.batch), ([], []))
            sides[each.started >= middle].append(each)
    compared = [
        _compared(before, recent)
        for before, recent in kinds.values()
        if recent and np.median([each.seconds for each in recent]) >= SHORTEST
    ]
    corrected = holm([each.p for each in compared])
    return Regressions((_judged(each, p, level) for each, p in zip(compared, corrected)), days, recent_days)


def _days(count: float) -> str:
    return "day" if count == 1 else f"{count:g} days"


def _compared(before: Sequence[Execution], recent: Sequence[Execution]) -> Change:
    one, took = recent[0], float(np.median([each.seconds for each in recent]))
    if len(before) < FEWEST or len(recent) < FEWEST:
        verdict = f"too few to tell: {FEWEST} are needed on each side"
        return Change(one.type, one.model, one.device, len(recent), len(before), took, nan, nan, nan, verdict)
    expected = line_through([each.work for each in before], [each.seconds for each in before])
    factors = [
        np.array([each.seconds for each in side]) / np.maximum(expected(np.array([each.work for each in side])), 1e-12)
        for side in (before, recent)
    ]
    change = float(np.median(factors[1]) / np.median(factors[0])) - 1
    p = permutation_p(np.log(factors[0]), np.log(factors[1]))
    return Change(one.type, one.model, one.device, len(recent), len(before), took, took / (1 + change), change, p, "")


def _judged(found: Change, p: float, level: float) -> Change:
    if found.verdict:
        return found
    verdict = "no change found"
    if p <= level and abs(found.change) >= SMALLEST:
        verdict = "slower" if found.change > 0 else "faster"
    figures = found.recent, found.before, found.seconds_recent, found.seconds_before, found.change
    return Change(found.type, found.model, found.device, *figures, p, verdict)


def permutation_p(first: np.ndarray, second: np.ndarray) -> float:
    """Return the two-sided p of the permutation test of the difference of two means."""
    both = np.concatenate([first, second])
    rng = np.random.default_rng(RANDOM_STATE)
    mixed = rng.permuted(np.tile(both, (RESAMPLES, 1)), axis=1)
    apart = np.abs(mixed[:, : len(first)].mean(axis=1) - mixed[:, len(first) :].mean(axis=1))
    reached = int((apart >= abs(float(first.mean() - second.mean())) * (1 - 1e-12)).sum())
    return (reached + 1) / (RESAMPLES + 1)
