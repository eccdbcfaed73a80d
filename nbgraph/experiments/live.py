"""A sweep while it runs, in the output of its cell: images as they come, how many of how many, and the time left."""

from time import monotonic
from typing import Any, Protocol, cast

from nbgraph.html import SOFT, Html, element, joined
from nbgraph.loading import load
from nbgraph.readable_stats import shown_seconds
from nbgraph.run import Run

REFRESH_SECONDS = 1.0
SHARE = 10
"""Drawing the grid may take at most one part in so many of the time."""
TRACK = "height:4px;border-radius:2px;background:var(--jp-border-color2,#dfe3e8);max-width:480px;margin:4px 0"
BAR = "height:4px;border-radius:2px;background:var(--jp-brand-color1,#1976d2)"


class Shown(Protocol):
    """What is shown: a sweep, which draws what there is of it."""

    runs: Any

    def _repr_html_(self) -> Html: ...

    def __len__(self) -> int: ...


class LiveSweep:
    """Called with the progress of its cells; shows the sweep so far, and a line about it when all have ended."""

    def __init__(self, sweep: Shown) -> None:
        self._sweep, self._runs = sweep, list[Run](sweep.runs)
        self._handle: Any = load("IPython.display").DisplayHandle()  # IPython does not annotate it
        self._began = monotonic()
        self._due = self._began
        self._is_shown = False
        self._waiting = list(self._runs)

    def __call__(self, progress: object = None) -> None:
        # counted from those that had not ended: a sweep of a thousand quick cells is asked a thousand times
        while self._waiting and self._waiting[0].is_done:
            self._waiting.pop(0)
        now = monotonic()
        if self._waiting and now < self._due:
            return
        if not self._waiting and not self._is_shown:
            return  # it ended before anything was shown; the sweep shows itself
        content = self.html() if self._waiting else self._summary()
        self._show({"text/html": content, "text/plain": self._text()})
        self._due = monotonic() + max(REFRESH_SECONDS, SHARE * (monotonic() - now))

    def html(self) -> Html:
        """Return the state of the sweep as HTML."""
        done = sum(run.is_done for run in self._runs)
        bar = element("div", element("div", style=f"{BAR};width:{100 * done // max(1, len(self._runs))}%"), style=TRACK)
        return joined([element("div", self._text(), style=SOFT), bar, cast(Any, self._sweep)._repr_html_()])

    def _text(self) -> str:
        ended = [run for run in self._runs if run.is_done]
        failed = sum(run.status == "failed" for run in ended)
        parts = [f"{len(ended)} of {len(self._runs)} cells"]
        if failed:
            parts.append(f"{failed} failed")
        seconds = monotonic() - self._began
        parts.append(shown_seconds(seconds))
        if ended and self._waiting:
            parts.append(f"about {shown_seconds(seconds / len(ended) * (len(self._runs) - len(ended)))} left")
        return ", ".join(parts)

    def _summary(self) -> Html:
        return element("div", self._text(), style=SOFT)

    def _show(self, bundle: dict[str, Any]) -> None:
        if self._is_shown:
            self._handle.update(bundle, raw=True)
        else:
            self._is_shown = True
            self._handle.display(bundle, raw=True)
