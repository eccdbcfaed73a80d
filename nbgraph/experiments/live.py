"""A sweep while it runs, in the output of its cell: images as they come, how many of how many, time left, Cancel.

The first output is a widget, so that Cancel works while the cell runs. At the end a line of text takes its place, as
the sweep shows itself below. Front ends without widgets show the first state, and then that line.
"""

from time import monotonic
from typing import Any, Protocol, cast

from nbgraph.experiments.estimate import Estimate
from nbgraph.html import SOFT, Html, element, joined
from nbgraph.loading import load
from nbgraph.run import Run
from nbgraph.services.shared.interrupts import defer_interrupt
from nbgraph.texts import seconds_text

REFRESH_SECONDS = 1.0
SHARE = 10
"""Drawing the grid may take at most one part in so many of the time."""
TRACK = "height:4px;border-radius:2px;background:var(--jp-border-color2,#dfe3e8);max-width:480px;margin:4px 0"
BAR = "height:4px;border-radius:2px;background:var(--jp-brand-color1,#1976d2)"
WARNING = "color:var(--jp-warn-color1,#b45309)"


class Shown(Protocol):
    """What is shown: a sweep, which draws what there is of it."""

    runs: Any

    def _repr_html_(self) -> Html: ...

    def __len__(self) -> int: ...


class LiveSweep:
    """Called with the progress of its cells; shows the sweep so far, and a line about it when all have ended.

    Parameters
    ----------
    sweep
        The sweep, whose runs are queued.
    expected
        What it will cost, which is shown until the first cell has ended; None where that is not known.
    """

    def __init__(self, sweep: Shown, expected: Estimate | None = None) -> None:
        self._sweep, self._runs, self._expected = sweep, list[Run](sweep.runs), expected
        self._handle: Any = load("IPython.display").DisplayHandle()  # IPython does not annotate it
        self._began = monotonic()
        # what it will cost is said at once, the first images a little later
        self._due = 0.0 if expected is not None and expected.seconds else self._began
        self._panel: SweepPanel | None = None
        self._is_cancelled = False
        self._waiting = list(self._runs)

    def __call__(self, progress: object = None) -> None:
        # counted from those that had not ended: a sweep of a thousand quick cells is asked a thousand times
        while self._waiting and self._waiting[0].is_done:
            self._waiting.pop(0)
        now = monotonic()
        if self._waiting and now < self._due:
            return
        if not self._waiting and self._panel is None:
            return  # it ended before anything was shown; the sweep shows itself
        with defer_interrupt():
            if self._waiting:
                self._refresh()
            else:
                self.close()
        self._due = monotonic() + max(REFRESH_SECONDS, SHARE * (monotonic() - now))

    def close(self) -> None:
        """Put a line about what there is in place of the grid, and close its widgets."""
        if self._panel is not None:
            line = element("div", self._text(), style=SOFT)
            self._handle.update({"text/html": line, "text/plain": self._text()}, raw=True)
            self._panel.close()
            self._panel = None

    def cancel(self) -> None:
        """Stop the cells that have not ended; what is finished is kept."""
        self._is_cancelled = True
        # the last first: the running one ends and begins the next, which must be cancelled by then
        for run in reversed(self._waiting):
            run.cancel()

    def html(self) -> Html:
        """Return the state of the sweep as HTML."""
        done = sum(run.is_done for run in self._runs)
        bar = element("div", element("div", style=f"{BAR};width:{100 * done // max(1, len(self._runs))}%"), style=TRACK)
        problem = "" if self._expected is None else self._expected.memory_problem
        warning = element("div", problem, style=WARNING) if problem else ""
        grid = cast(Any, self._sweep)._repr_html_()
        return joined([element("div", self._text(), style=SOFT), warning, bar, grid])

    def _refresh(self) -> None:
        content, begins = self.html(), self._panel is None
        panel = self._panel = self._panel or SweepPanel(self.cancel)
        panel.show(content)
        if begins:
            self._handle.display({**panel.bundle, "text/html": content, "text/plain": self._text()}, raw=True)

    def _text(self) -> str:
        ended = [run for run in self._runs if run.is_done]
        counts = {status: sum(run.status == status for run in ended) for status in ("failed", "cancelled")}
        parts = [f"{len(ended) - counts['cancelled']} of {len(self._runs)} cells"]
        parts += [f"{count} {status}" for status, count in counts.items() if count]
        seconds = monotonic() - self._began
        parts.append(seconds_text(seconds))
        if self._waiting and self._is_cancelled:
            parts.append("stopping at the next step")
        elif self._waiting and ended:
            parts.append(f"about {seconds_text(seconds / len(ended) * (len(self._runs) - len(ended)))} left")
        elif self._waiting and self._expected is not None:
            parts.append(f"expected: {self._expected.summary}")
        return ", ".join(parts)


class SweepPanel:
    """The widgets of a sweep that runs: Cancel, and the grid below it."""

    def __init__(self, cancel: Any) -> None:
        widgets = load("ipywidgets")
        self._cancel = cancel
        self._grid: Any = widgets.HTML()
        self.button: Any = widgets.Button(
            description="Cancel", tooltip="Stop the sweep; what is finished is kept", layout={"width": "90px"}
        )
        self._box: Any = widgets.VBox([self.button, self._grid])
        self.button.on_click(self._on_click)
        # a message that waited for the end of the cell would come too late
        load("nbgraph.widgets.rpc").use_comm_subshell(self.button)

    @property
    def bundle(self) -> dict[str, Any]:
        """The widgets as an output by media type."""
        return cast("dict[str, Any]", self._box._repr_mimebundle_())

    def show(self, html: Html) -> None:
        """Replace the grid."""
        self._grid.value = html

    def close(self) -> None:
        """Close the widgets: neither the kernel nor the saved notebook keeps them."""
        for widget in (self._grid, self.button, self._box):
            widget.close()

    def _on_click(self, _: object) -> None:
        self.button.disabled, self.button.description = True, "Stopping"
        self._cancel()
