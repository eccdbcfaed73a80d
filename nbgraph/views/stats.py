"""The view of the stats of a studio: `studio.stats_view()`."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbgraph.errors import ChoiceError
from nbgraph.frames import session_frame
from nbgraph.html import Html, element, panel, table_html
from nbgraph.run import Run, run_id
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.views.base import Shown, widget_class

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs] - its types are in its code
    from matplotlib.figure import Figure


class StatsView(Shown):
    """A choice of runs, columns and plots: `.frame`, `.draw()`, `.to_csv(path)` and `.to_png(path)`.

    `.choose(...)` sets the controls of the widget, and a person's choice there is what the methods use.
    """

    def __init__(self, services: InvocationServices) -> None:
        self._services = services

    @property
    def frame(self) -> "pd.DataFrame":
        """One row per prepared node of the chosen runs."""
        return self.widget.frame

    @property
    def sessions(self) -> "pd.DataFrame":
        """One row per run, the newest first: id, nodes, cached, failed and seconds."""
        return session_frame(self._services.performance_statistics.readable_rows())

    def choose(self, runs: Run | str | Iterable[Run | str] | None = None, *, plot: str | None = None) -> "StatsView":
        """Choose runs and the plot, and return the view.

        Parameters
        ----------
        runs
            One or several runs, as `Run`s or ids; None leaves the choice.
        plot
            The name of a plot in the list; None leaves the choice.

        Raises
        ------
        ChoiceError
            There is no such run or plot; nothing is chosen.
        """
        plots: dict[str, str] = widget_class("stats_view", "PLOTS")
        if plot is not None and plot not in plots:
            raise ChoiceError("plot", plot, plots)
        chosen = None if runs is None else [run_id(run) for run in ([runs] if isinstance(runs, Run | str) else runs)]
        self.widget.choose(chosen, plot=None if plot is None else plots[plot])
        return self

    def draw(self) -> "Figure":
        """Return the chosen plot as a new matplotlib figure."""
        return self.widget.draw()

    def to_csv(self, path: str | Path) -> Path:
        """Write the chosen columns of the chosen runs and return the absolute path."""
        return self.widget.to_csv(path)

    def to_png(self, path: str | Path) -> Path:
        """Write the chosen plot and return the absolute path."""
        return self.widget.to_png(path)

    def _make_widget(self) -> Any:
        return widget_class("stats_view", "StatsPanel")(self._services)

    def _html(self) -> Html:
        sessions: Any = self.sessions
        # The ids of runs, which say least, come last.
        runs = sessions[[*sessions.columns.drop("session"), "session"]]
        # Nothing is drawn for the HTML alone: that would load matplotlib.
        parts: list[Html] = self.widget.static_parts() if self._made is not None and len(sessions) else []
        shown = [table_html(runs, repr(self)), *([panel("The chosen runs", *parts)] if parts else [])]
        return element("div", *shown, style="display:grid;gap:10px")

    def __repr__(self) -> str:
        return f"StatsView({len(self.sessions)} runs)"
