"""The stats of a studio in a notebook cell: choose runs, columns and a plot; save the table and the plot."""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, Literal

import matplotlib as mpl
import traitlets
from matplotlib.figure import Figure
from pydantic import Field, TypeAdapter

from nbgraph import plots
from nbgraph.errors import ChoiceError, NbgraphError
from nbgraph.frames import STATS, compared_frame, session_frame, stats_frame
from nbgraph.html import DRAWING, Html, element, image, table
from nbgraph.services.events.events_common import SessionFinished
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.texts import cell_text, heading_of
from nbgraph.widgets.queue_table import graph_label
from nbgraph.widgets.rpc import Answer, Name, Request, RpcWidget, on_other_kernels

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
MAX_ROWS, MAX_PLOTTED, MAX_SIDES, MAX_RUNS, MAX_LABELS = 200, 60, 4, 500, 60
"""Rows of the table, nodes of a plot, plots side by side, runs to choose from, and runs whose graphs are read."""
DOTS_PER_INCH = 96
INK = "#1f2933"
"""The colour of texts in a plot that is saved with the notebook."""
FRAME = 0.35
"""Opacity of the lines around a plot."""
THEME = {
    "#1f77b4": "var(--nbp-brand, #1a6fd4)",
    "#2ca02c": "var(--nbp-ok, #2e7d32)",
    "#d62728": "var(--nbp-error, #c62828)",
    "#ff7f0e": "var(--nbp-warn, #b26a00)",
}
"""Colours of matplotlib, and those of panels that stand for the same."""


class ShowStats(Request):
    """Return the runs, and the plot and the table of those that are chosen."""

    type: Literal["show"]


class ChooseStats(Request):
    """Choose runs, columns, the plot or its figure; what is None stays."""

    type: Literal["choose"]
    runs: Annotated[list[Name], Field(max_length=MAX_RUNS)] | None = None
    columns: Annotated[list[Name], Field(max_length=len(STATS))] | None = None
    plot: Name | None = None
    figure: Name | None = None


class SaveStats(Request):
    """Write the table or the plot to a file, named without its suffix."""

    type: Literal["save"]
    what: Literal["csv", "png"]
    file: Annotated[str, Field(min_length=1, max_length=1000)]


class StatsPanel(RpcWidget):
    """The panel; `choose` sets what the page shows, and a person's choice there is what the methods use."""

    _widget = traitlets.Unicode("stats_view").tag(sync=True)
    _requests = TypeAdapter(Annotated[ShowStats | ChooseStats | SaveStats, Field(discriminator="type")])

    def __init__(self, services: InvocationServices) -> None:
        self._services = services
        self._runs: list[str] = []
        self._labels: dict[str, str] = {}
        self._drawn: tuple[str, str, Any, Html] | None = None
        self.columns, self.plot, self.figure = list(COLUMNS), "timeline", FIGURES[0]
        super().__init__()
        self._endings = [services.events.subscribe(self._on_event), *on_other_kernels(services, self._notify)]

    @property
    def sessions(self) -> Any:
        """One row per run, the newest first."""
        return session_frame(self._services.performance_statistics.readable_rows())

    @property
    def runs(self) -> list[str]:
        """The ids of the chosen runs, the oldest first; the newest run while none is chosen."""
        return self._chosen(list(self.sessions["session"]))

    def choose(
        self,
        runs: Iterable[str] | None = None,
        *,
        columns: Iterable[str] | None = None,
        plot: str | None = None,
        figure: str | None = None,
    ) -> None:
        """Choose runs by their ids, columns, the plot and its figure; None leaves the choice.

        Raises
        ------
        ChoiceError
            There is no such run, column, plot or figure; nothing is chosen.
        """
        possible = {
            "a chosen run": (runs, list(self.sessions["session"]) if runs is not None else []),
            "column": (columns, list(STATS)),
            "plot": (None if plot is None else [plot], list(PLOTS.values())),
            "figure": (None if figure is None else [figure], FIGURES),
        }
        chosen = {what: None if values is None else list(values) for what, (values, _) in possible.items()}
        for what, values in chosen.items():
            for value in values or ():
                if value not in possible[what][1]:
                    raise ChoiceError(what, value, possible[what][1])
        if (wanted := chosen["a chosen run"]) is not None:
            self._runs = wanted
        if (shown := chosen["column"]) is not None:
            # in the order of the frame, whatever was ticked first
            self.columns = [name for name in STATS if name in shown]
        self.plot, self.figure = plot or self.plot, figure or self.figure
        self._notify()

    @property
    def frame(self) -> Any:
        """The rows of the chosen runs, all columns."""
        rows = self._services.performance_statistics.rows
        return stats_frame(row for session in self.runs for row in rows(session))

    def draw(self) -> Figure:
        """Return the chosen plot as a new matplotlib figure."""
        return draw_plot(self.frame, self.plot, self.figure)

    def to_csv(self, path: str | Path) -> Path:
        """Write the chosen columns of the chosen runs and return the absolute path."""
        self.frame[self.columns].to_csv(path, index=False)
        return Path(path).absolute()

    def to_png(self, path: str | Path) -> Path:
        """Write the chosen plot and return the absolute path."""
        own: Any = self.draw()  # matplotlib leaves the options of savefig open
        own.savefig(path, format="png", dpi=2 * DOTS_PER_INCH)
        return Path(path).absolute()

    def static_parts(self) -> list[Html]:
        """Return the plot and the nodes of the chosen runs for a reader without a kernel."""
        frame = self.frame
        # a notebook shows the panel again and again, and drawing takes a tenth of a second
        if self._drawn is None or self._drawn[:2] != (self.plot, self.figure) or not self._drawn[2].equals(frame):
            self._drawn = (self.plot, self.figure, frame, self._static_plot(frame))
        drawing = self._drawn[3]
        head, rows, numbers = table_of(frame, self.columns)
        return [drawing, table(rows, head, numbers), *([_more(len(frame))] if len(frame) > MAX_ROWS else [])]

    def _static_plot(self, frame: Any) -> Html:
        try:
            return plot_image(draw_plot(frame, self.plot, self.figure), f"plot: {self.plot}")
        except ValueError as error:
            return element("p", str(error))

    def __repr__(self) -> str:
        return f"StatsPanel({len(self.runs)} of {len(self.sessions)} runs, {self.plot})"

    def _chosen(self, sessions: Sequence[str]) -> list[str]:
        kept = [session for session in reversed(sessions) if session in set(self._runs)]
        return kept or list(sessions[:1])

    def _on_event(self, event: Any) -> None:
        if isinstance(event, SessionFinished):
            self._notify()

    def _answer(self, request: Any, buffers: list[Any]) -> Answer:
        if isinstance(request, SaveStats):
            write = self.to_csv if request.what == "csv" else self.to_png
            return {"type": "saved", "path": str(write(f"{request.file}.{request.what}"))}, []
        if isinstance(request, ChooseStats):
            self.choose(request.runs, columns=request.columns, plot=request.plot, figure=request.figure)
        return self._shown(), []

    def _shown(self) -> dict[str, Any]:
        sessions = self.sessions
        frame = self.frame
        head, rows, numbers = table_of(frame, self.columns)
        shown: dict[str, Any] = {
            "type": "stats",
            "runs": [self._run(row) for row in sessions.head(MAX_RUNS).to_dict("records")],
            "total": len(sessions),
            "chosen": self._chosen(list(sessions["session"])),
            "columns": [[name, heading_of(name), name in self.columns] for name in STATS],
            "plots": [[plot, label] for label, plot in PLOTS.items()],
            "plot": self.plot,
            "figures": [[name, heading_of(name)] for name in FIGURES],
            "figure": self.figure,
            "head": head,
            "rows": rows,
            "numbers": numbers,
            "more": max(0, len(frame) - MAX_ROWS),
        }
        try:
            return {**shown, "drawing": page_svg(draw_plot(frame, self.plot, self.figure)) if len(frame) else ""}
        except (NbgraphError, ValueError, KeyError) as error:
            return {**shown, "problem": str(error)}

    def _run(self, row: dict[Any, Any]) -> dict[str, Any]:
        session = str(row["session"])
        return {
            "session": session,
            "label": self._label(session),
            "started": row["started"].timestamp(),
            "seconds": float(row["seconds"]),
            "nodes": int(row["nodes"]),
            "cached": int(row["cached"]),
            "failed": int(row["failed"]),
        }

    def _label(self, session: str) -> str:
        """Return the label of a run as the queue has it; empty for a run that was deleted, and for the oldest."""
        if session not in self._labels:
            # In a folder a graph is read from a file, which takes too long for hundreds of runs.
            if len(self._labels) >= MAX_LABELS:
                return ""
            try:
                self._labels[session] = graph_label(self._services.graph_execution_manager.get(session).graph)
            except (NbgraphError, ValueError):  # deleted, or of a node type that is gone
                self._labels[session] = ""
        return self._labels[session]


def table_of(frame: Any, columns: Sequence[str]) -> tuple[list[str], list[list[str]], list[bool]]:
    """Return headings, rows of texts with their units, and which columns are numbers; columns without a value are out.

    A column such as that of VRAM without a GPU only takes room.
    """
    chosen = frame[list(columns)].head(MAX_ROWS)
    if len(chosen):
        chosen = chosen.loc[:, ~(chosen.isna() | (chosen == "")).all()]
    rows = [
        [cell_text(name, value) for name, value in zip(chosen.columns, row)] for row in chosen.itertuples(index=False)
    ]
    numbers = [STATS[name].lower().startswith(("int", "float")) for name in chosen.columns]
    return [heading_of(name) for name in chosen.columns], rows, numbers


def _more(count: int) -> Html:
    return element("p", f"{count - MAX_ROWS} more rows are in the CSV file")


def plot_image(figure: Figure, about: str) -> Html:
    """Return a figure as an image that follows the theme of the notebook, with its texts in the ink of cards."""
    drawn = _svg(figure).replace("currentColor", INK)
    drawn = drawn.replace("font-family: inherit", "font-family: system-ui, sans-serif")
    drawn = drawn.replace("<svg ", f'<svg fill="{INK}" ', 1)
    # Figures beside bars begin with spaces, which keep them off the bars.
    drawn = drawn.replace("*{stroke-linejoin", "text{white-space: pre} *{stroke-linejoin", 1)
    return image(drawn.encode(), about, style=DRAWING)


def page_svg(figure: Figure) -> str:
    """Return a figure as SVG for a panel: texts in the font and colour of the panel, bars in colours of its theme."""
    drawn = _svg(figure)
    for colour, own in THEME.items():
        drawn = drawn.replace(colour, own)
    return drawn


def _svg(figure: Figure) -> str:
    target = StringIO()
    own: Any = figure  # matplotlib leaves the options of savefig open
    # Texts stay texts, which the page can show in its own font. The setting is one of the process.
    with plots.DRAWING:
        before = mpl.rcParams["svg.fonttype"]
        mpl.rcParams["svg.fonttype"] = "none"
        try:
            own.savefig(target, format="svg", transparent=True, metadata={"Date": None})
        finally:
            mpl.rcParams["svg.fonttype"] = before
    drawn = target.getvalue()
    drawn = re.sub(r"font-family: [^;\"]*", "font-family: inherit", drawn[drawn.index("<svg") :])
    for ink in ("#000000", plots.INK, plots.LIGHTER_INK):
        drawn = drawn.replace(ink, "currentColor")
    return drawn


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
    draw(shown, ax=_axes(figure)[0]).set_title(title)
    return figure


def _comparison(frame: Any, sessions: list[str]) -> Figure:
    if len(sessions) != 2:
        raise ValueError(f"two runs can be compared, and {len(sessions)} are chosen; tick two of the list")
    compared = compared_frame(*(frame[frame["session"] == session] for session in sessions)).head(MAX_PLOTTED)
    figure = _figure(9, len(compared))
    title = f"a: {sessions[0][:8]}, b: {sessions[1][:8]}"
    ax: Any = plots.plot_comparison(compared, ax=_axes(figure)[0])
    ax.set_title(title, parse_math=False)
    return figure


def _sides(frame: Any, sessions: list[str]) -> Figure:
    shown = frame[frame["session"].isin(sessions)]
    count = max(1, len(sessions))
    figure = _figure(4.5 * count, len(shown) / count)
    plots.plot_sessions(shown, axes=_axes(figure, count))
    return figure


def _figure(width: float, rows: float) -> Figure:
    # Not pyplot: it would keep the figure, and show it a second time at the end of the cell.
    return plots.own_figure(width, min(18.0, max(2.4, 0.3 * rows + 1.2)))


def _axes(figure: Figure, columns: int = 1) -> list[Any]:
    """Return so many Axes side by side, with no more lines around them than are needed to read them."""
    found: list[Any] = list(figure.subplots(1, columns, squeeze=False)[0])
    for ax in found:
        ax.spines[["top", "right"]].set_visible(False)
        for spine in ax.spines.values():
            spine.set_alpha(FRAME)
        ax.tick_params(length=0)
    return found
