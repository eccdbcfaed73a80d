"""The stats of a studio in a notebook cell: choose runs, columns and a plot; save the table and the plot."""

from collections.abc import Callable
from functools import partial, wraps
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import ipywidgets  # pyright: ignore[reportMissingTypeStubs] - it is not annotated
from matplotlib.figure import Figure

from nbgraph import plots
from nbgraph.errors import NbgraphError
from nbgraph.frames import STATS, compared_frame, session_frame, stats_frame
from nbgraph.html import Html, element, frame_table
from nbgraph.services.events.events_common import SessionFinished
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.texts import seconds_text
from nbgraph.widgets.kernel_banner import PANEL, KernelBanner
from nbgraph.widgets.rpc import skip_cell_events
from nbgraph.widgets.throttle import Throttle

PLOTS = {
    "Timeline": "timeline",
    "Memory of each node": "memory",
    "Memory over time": "over time",
    "Node types over runs": "types",
    "What each run is made of": "runs",
    "Compare two runs": "compare",
    "Side by side": "sessions",
}
FIGURES = ["seconds", "ram_peak_mb", "vram_peak_mb"]
COLUMNS = ["node", "type", "status", "cached", "seconds", "ram_peak_mb", "vram_peak_mb", "error"]
MAX_ROWS, MAX_PLOTTED, MAX_SIDES, MAX_RUNS = 200, 60, 4, 500
"""Rows of the table, nodes of a plot, plots side by side, and runs to choose from."""
DOTS_PER_INCH = 96
RED = "color: var(--jp-error-color1, #c62828)"
STYLE = """
.nbgraph-static-{id} {{ display: none }}
.nbgraph-stats {{ border: 1px solid var(--jp-border-color2, #dfe3e8); border-radius: 8px; padding: 10px }}
.nbgraph-stats {{ max-width: 1100px }}
.nbgraph-stats select[multiple] {{ border-radius: 5px; padding: 4px }}
.nbgraph-stats svg {{ max-width: 100%; height: auto; fill: currentColor; color: var(--jp-ui-font-color1, #1f2933) }}
.nbgraph-stats-table {{ max-height: 320px; overflow: auto; line-height: 1.4 }}
.nbgraph-stats table {{ font-size: 12px; border-collapse: collapse }}
.nbgraph-stats :is(th, td) {{ padding: 3px 14px 3px 0; text-align: left }}
.nbgraph-stats tbody tr {{ border-top: 1px solid var(--jp-border-color2, #dfe3e8) }}
"""
NARROW, LABEL = {"description_width": "52px"}, {"description_width": "68px"}


class StatsPanel(ipywidgets.VBox):
    """The panel; `.runs`, `.columns` and `.plot` are the controls, whose values can be set from Python."""

    on_change: Callable[[], None] | None = None

    def __init__(self, services: InvocationServices) -> None:
        self._services = services
        # ipywidgets is not annotated: a typed attribute would make every use of it an unknown.
        tall, wide = {"height": "132px"}, {"width": "260px"}
        runs, columns = {**tall, "flex": "1 1 380px", "max_width": "470px"}, {**tall, "flex": "1 1 200px"}
        self.runs: Any = ipywidgets.SelectMultiple(description="Runs", style=NARROW, layout=runs)
        self.columns: Any = ipywidgets.SelectMultiple(
            options=list(STATS), value=COLUMNS, description="Columns", style=LABEL, layout=columns
        )
        self.plot: Any = ipywidgets.Dropdown(options=PLOTS, description="Plot", style=NARROW, layout=wide)
        self.figure: Any = ipywidgets.Dropdown(options=FIGURES, description="Figure", style=NARROW, layout=wide)
        self.file: Any = ipywidgets.Text("stats", description="File", style=NARROW, layout=wide)
        self._save: list[Any] = [_button("Save CSV", "Write the table"), _button("Save PNG", "Write the plot")]
        # Not an Image widget, which has no text for page readers.
        self._image: Any = ipywidgets.HTML()
        self._table: Any = ipywidgets.HTML()
        self._message: Any = ipywidgets.HTML()
        side = ipywidgets.VBox(
            [self.plot, self.figure, self.file, ipywidgets.HBox(self._save, layout={"margin": "0 0 0 58px"})]
        )
        self._style = ipywidgets.HTML()
        self._banner = KernelBanner("studio.stats_view()")
        controls = ipywidgets.HBox([self.runs, side, self.columns], layout={"flex_flow": "row wrap"})
        box: Any = super()
        box.__init__([self._banner, controls, self._message, self._image, self._table, self._style])
        box.add_class("nbgraph-stats")
        box.add_class(PANEL)
        self._style.value = element("style", Html(STYLE.format(id=self.model_id)))
        for each in (self.runs, self.columns, self.plot, self.figure):
            each.observe(self._drawn, "value")
        self._save[0].on_click(self._guarded(lambda: self.to_csv(f"{self.file.value}.csv")))
        self._save[1].on_click(self._guarded(lambda: self.to_png(f"{self.file.value}.png")))
        skip_cell_events(self.runs, self.columns, self.plot, self.figure, self.file, *self._save)
        self._refreshes = Throttle(self.refresh)
        self._end = services.events.subscribe(self._on_event)
        self.refresh()

    def refresh(self) -> None:
        """Read the list of runs and draw again; the newest run is chosen if none is."""
        sessions: Any = session_frame(self._services.performance_statistics.readable_rows())
        options = [(_label(row), str(row["session"])) for row in sessions.head(MAX_RUNS).to_dict("records")]
        chosen: set[str] = set(self.runs.value)
        kept = [session for _, session in options if session in chosen]
        # Setting the options clears the value: without this, the panel would draw an empty choice in between.
        with self.hold_trait_notifications():
            self.runs.options = options
            self.runs.value = kept or [session for _, session in options[:1]]
        self._drawn()

    @property
    def frame(self) -> Any:
        """The rows of the chosen runs, all columns."""
        rows = self._services.performance_statistics.rows
        return stats_frame(row for session in self._ordered() for row in rows(session))

    def draw(self) -> Figure:
        """Return the chosen plot as a new matplotlib figure."""
        return draw_plot(self.frame, str(self.plot.value), str(self.figure.value))

    def to_csv(self, path: str | Path) -> Path:
        """Write the chosen columns of the chosen runs and return the absolute path."""
        self.frame[list(self.columns.value)].to_csv(path, index=False)
        return Path(path).absolute()

    def to_png(self, path: str | Path) -> Path:
        """Write the chosen plot and return the absolute path."""
        _write_png(self.draw(), path, 2 * DOTS_PER_INCH)
        return Path(path).absolute()

    @property
    def png(self) -> bytes:
        """The plot on the page, as a PNG file; drawn when it is asked for."""
        target = BytesIO()
        _write_png(self.draw(), target, DOTS_PER_INCH)
        return target.getvalue()

    def table_html(self) -> Html:
        """Return the chosen columns as an HTML table."""
        frame = self.frame
        chosen = frame[list(self.columns.value)].head(MAX_ROWS)
        # A column without a single value, as that of VRAM without a GPU, only takes room.
        if len(chosen):
            chosen = chosen.loc[:, ~(chosen.isna() | (chosen == "")).all()]
        parts = [frame_table(chosen, formatters={"seconds": seconds_text}, float_format="{:.1f}".format, na_rep="")]
        if len(frame) > MAX_ROWS:
            parts.append(element("p", f"{len(frame) - MAX_ROWS} more rows are in the CSV file"))
        return element("div", *parts, class_="nbgraph-stats-table", tabindex=0)

    def close(self) -> None:
        """Unsubscribe and close the widgets."""
        self._end()
        self._banner.close()
        super().close()

    def __repr__(self) -> str:
        return f"StatsPanel({len(self.runs.value)} of {len(self.runs.options)} runs, {self.plot.label})"

    def _ordered(self) -> list[str]:
        chosen: set[str] = set(self.runs.value)
        return [session for _, session in reversed(self.runs.options) if session in chosen]

    def _on_event(self, event: Any) -> None:
        if isinstance(event, SessionFinished):
            self._refreshes()

    def _drawn(self, _: Any = None) -> None:
        self._guarded(self._redraw)()

    def _redraw(self) -> None:
        self._table.value = self.table_html()
        self._image.value = plot_html(self.draw(), f"plot: {self.plot.value}")
        if self.on_change is not None:
            self.on_change()

    def _guarded(self, act: Callable[[], Any]) -> Callable[..., None]:
        """Return a callback for a control; it shows the result of `act`, or its error, under the controls."""

        @wraps(act)
        def guarded(*_: Any) -> None:
            try:
                done = act()
            except (NbgraphError, ValueError, OSError, KeyError) as error:
                self._message.value = element("p", str(error), role="alert", style=RED)
            else:
                self._message.value = element("p", f"saved as {done}", role="status") if done else ""

        return guarded


def _write_png(figure: Figure, target: str | Path | BytesIO, dots_per_inch: int) -> None:
    own: Any = figure  # matplotlib leaves the options of savefig open
    own.savefig(target, format="png", dpi=dots_per_inch)


def plot_html(figure: Figure, about: str) -> Html:
    """Return a figure as SVG in the page, its texts and lines in the colour of the text around it."""
    target = StringIO()
    own: Any = figure  # matplotlib leaves the options of savefig open
    own.savefig(target, format="svg", transparent=True, metadata={"Date": None})
    drawn = target.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    # On a page the texts can have the contrast of the text around them.
    for ink in ("#000000", plots.INK, plots.LIGHTER_INK):
        drawn = drawn.replace(ink, "currentColor")
    return element("div", Html(drawn), role="img", aria_label=about, class_="nbgraph-plot")


def draw_plot(frame: Any, plot: str, column: str) -> Figure:
    """Return a plot of stats by its short name; of too many nodes the slowest are drawn, as the title says."""
    sessions = list(dict.fromkeys(frame["session"]))
    if plot == "compare":
        return _comparison(frame, sessions)
    if plot == "sessions":
        return _sides(frame, sessions[-MAX_SIDES:])
    shown, title = frame, ""
    if plot in ("timeline", "memory") and len(frame) > MAX_PLOTTED:
        shown = frame.nlargest(MAX_PLOTTED, "seconds").sort_values("started")
        title = f"the slowest {MAX_PLOTTED} of {len(frame)} nodes"
    by_plot: dict[str, tuple[Callable[..., Any], int]] = {
        "timeline": (plots.plot_timeline, len(shown)),
        "memory": (plots.plot_memory, len(shown)),
        "over time": (plots.plot_memory_over_time, 8),
        "types": (partial(plots.plot_by_type, y=column), shown["type"].nunique()),
        "runs": (partial(plots.plot_runs, y=column), len(sessions)),
    }
    draw, rows = by_plot[plot]
    figure = _figure(9, rows)
    draw(shown, ax=figure.add_subplot()).set_title(title)
    return figure


def _comparison(frame: Any, sessions: list[str]) -> Figure:
    if len(sessions) != 2:
        raise ValueError(f"two runs can be compared, and {len(sessions)} are chosen; choose two with Ctrl")
    compared = compared_frame(*(frame[frame["session"] == session] for session in sessions)).head(MAX_PLOTTED)
    figure = _figure(9, len(compared))
    title = f"a: {sessions[0][:8]}, b: {sessions[1][:8]}"
    ax: Any = plots.plot_comparison(compared, ax=figure.add_subplot())
    ax.set_title(title, parse_math=False)
    return figure


def _sides(frame: Any, sessions: list[str]) -> Figure:
    shown = frame[frame["session"].isin(sessions)]
    figure = _figure(4.5 * max(1, len(sessions)), len(shown) / max(1, len(sessions)))
    plots.plot_sessions(shown, axes=list(figure.subplots(1, max(1, len(sessions)), squeeze=False)[0]))
    return figure


def _figure(width: float, rows: float) -> Figure:
    # Not pyplot: it would keep the figure, and show it a second time at the end of the cell.
    return plots.own_figure(width, min(18.0, max(2.4, 0.3 * rows + 1.2)))


def _label(row: dict[Any, Any]) -> str:
    failed = f", {row['failed']} failed" if row["failed"] else ""
    nodes = f"{row['nodes']} nodes, {row['cached']} cached{failed}"
    return f"{row['started']:%H:%M:%S}  {nodes}, {row['seconds']:.2f} s  {row['session'][:8]}"


def _button(text: str, tooltip: str) -> ipywidgets.Button:
    return ipywidgets.Button(description=text, tooltip=tooltip, layout={"width": "109px", "margin": "2px 2px 2px 0"})
