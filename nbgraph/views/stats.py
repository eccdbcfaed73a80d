"""The stats of a studio, as a person looks at them: `studio.stats_view()`."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbgraph.errors import ChoiceError
from nbgraph.frames import session_frame
from nbgraph.html import Html, image, joined, table_html
from nbgraph.run import Run, run_id
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.views.base import Shown, widget_class

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs] - its types are in its code
    from matplotlib.figure import Figure


class StatsView(Shown):
    """Runs, columns and plots to choose from in a notebook; `.frame`, `.draw()`, `.to_csv(path)` and `.to_png(path)`.

    What Python chooses with `.choose(...)` is what the widget shows, and the other way round.
    """

    def __init__(self, services: InvocationServices) -> None:
        self._services = services

    @property
    def frame(self) -> "pd.DataFrame":
        """One row for each node of the runs that are chosen."""
        return self.widget.frame

    @property
    def sessions(self) -> "pd.DataFrame":
        """One row for each run, the newest first: its id, nodes, cached, failed and seconds."""
        return session_frame(self._services.performance_statistics.readable_rows())

    def choose(self, runs: Run | str | Iterable[Run | str] | None = None, *, plot: str | None = None) -> "StatsView":
        """Choose one or several runs, as `Run`s or ids, and the plot, by its name in the list.

        `ChoiceError`, a ValueError, names what there is, and nothing is chosen.
        """
        panel = self.widget
        panel.refresh()
        plots, sessions = dict(panel.plot.options), [session for _, session in panel.runs.options]
        chosen = None if runs is None else [run_id(run) for run in ([runs] if isinstance(runs, Run | str) else runs)]
        for session in chosen or ():
            if session not in sessions:
                raise ChoiceError("a chosen run", session, sessions)
        if plot is not None and plot not in plots:
            raise ChoiceError("plot", plot, plots)
        if chosen is not None:
            panel.runs.value = chosen
        if plot is not None:
            panel.plot.value = plots[plot]
        return self

    def draw(self) -> "Figure":
        """The chosen plot, as a new matplotlib figure."""
        return self.widget.draw()

    def to_csv(self, path: str | Path) -> Path:
        """Write the chosen columns of the chosen runs; returns where."""
        return self.widget.to_csv(path)

    def to_png(self, path: str | Path) -> Path:
        """Write the chosen plot; returns where."""
        return self.widget.to_png(path)

    def _make_widget(self) -> Any:
        return widget_class("stats_view", "StatsPanel")(self._services)

    def _html(self) -> Html:
        sessions: Any = self.sessions
        shown = [table_html(sessions.round({"seconds": 3}), repr(self))]
        if self._made is not None:
            shown.insert(0, image(self.widget.png, "plot of the chosen runs", style="max-width:100%"))
        return joined(shown)

    def __repr__(self) -> str:
        return f"StatsView({len(self.sessions)} runs)"
