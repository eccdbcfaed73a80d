"""The stats of a studio, as a person looks at them: `studio.stats_view()`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbgraph.frames import session_frame
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.showing import Shown, widget_class
from nbgraph.static_html import picture_html, table_html

if TYPE_CHECKING:
    import pandas as pd
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

    def choose(self, runs: "list[Any] | None" = None, *, plot: str | None = None) -> "StatsView":
        """Choose runs, as `Run`s or ids, and the plot, by its name in the list; ValueError if there is none."""
        panel = self.widget
        panel.refresh()
        if runs is not None:
            panel.runs.value = [getattr(run, "id", run) for run in runs]
        if plot is not None:
            names = dict(panel.plot.options)
            if plot not in names:
                raise ValueError(f"there is no plot {plot!r} (there is: {', '.join(names)})")
            panel.plot.value = names[plot]
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

    def _html(self) -> str:
        sessions = self.sessions
        plot = picture_html(self.widget.png, "plot of the chosen runs") if self._made is not None else ""
        return plot + table_html(sessions.round({"seconds": 3}), repr(self))

    def __repr__(self) -> str:
        return f"StatsView({len(self.sessions)} runs)"
