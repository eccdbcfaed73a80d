# pyright: basic
"""Plots of stats frames: Axes in, Axes out; nothing is shown and no global style is set.

A figure made here has no background, and its texts and lines are of a grey that can be read on white and on black, so
that it follows the theme of the notebook that shows it. Axes that are given keep their own style.

Panels draw on threads of their own while a cell draws on the main thread, and matplotlib's caches are not made for
that: all figures made here are drawn one at a time. Only on the main thread are they known to pyplot, which shows them
at the end of the cell; a figure of another thread would be shown in whatever cell ends next.
"""

from collections.abc import Sequence
from threading import RLock, current_thread, main_thread
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nbgraph.texts import seconds_text, shorten

if TYPE_CHECKING:
    import pandas as pd

STATUS_COLOURS = {"completed": "tab:blue", "cached": "tab:green", "failed": "tab:red", "cancelled": "tab:orange"}
STATUS_HATCHES = {"cached": "///", "failed": "xx", "cancelled": ".."}
STATUS_MARKS = {"failed": "x", "cancelled": "s"}
ROOM_FOR_TEXT = 1.2
INK = "#777777"
"""A grey whose contrast is above 4 to 1 on white and on the background of dark themes."""
LIGHTER_INK = "#828282"
"""Of the ticks of y: where all ticks are dark, or all light, notebooks put a background behind a plot without one."""
DRAWING = RLock()
"""Held while a figure of this module is drawn."""
LONGEST_NAME = 48
"""Characters of the name of an operator."""
TEXT: dict[str, Any] = {"parse_math": False}
"""Ids of nodes may contain dollars, which matplotlib would read as mathematics."""


def plot_timeline(data: "pd.DataFrame", *, ax: "Axes | None" = None, **kwargs: Any) -> "Axes":
    """Draw a bar for each prepared node, from its start, in seconds since the first; coloured by status.

    A tick marks each start, so that nodes too short for a visible bar are seen, with the seconds beside it. Cached
    nodes are hatched, failed ones end in a cross. Nodes that ran on several workers of a cluster are drawn in a lane
    for each worker.
    """
    lanes, labels = _lanes(data)
    ax = ax or new_axes(len(labels))
    starts = (data["started"] - data["started"].min()).dt.total_seconds().to_numpy()
    seconds = data["seconds"].to_numpy()
    kinds = ["cached" if cached else status for cached, status in zip(data["cached"], data["status"].astype(str))]
    for kind in dict.fromkeys(kinds):
        rows = [row for row, each in enumerate(kinds) if each == kind]
        heights = [lanes[row] for row in rows]
        colour = STATUS_COLOURS[kind]
        style = {"color": colour, "hatch": STATUS_HATCHES.get(kind), "edgecolor": "white", "linewidth": 0}
        ax.barh(heights, seconds[rows], left=starts[rows], label=kind, **{**style, **kwargs})
        ax.scatter(starts[rows], heights, marker="|", s=120, color=colour)
        if kind in STATUS_MARKS:
            ax.scatter(starts[rows] + seconds[rows], heights, marker=STATUS_MARKS[kind], s=50, color=colour)
    # in a lane the next bar begins where the text would be
    for row, (start, length) in enumerate(zip(starts, seconds)) if len(labels) == len(data) else ():
        ax.annotate(
            f"   {seconds_text(length)}", (start + length, row), va="center", fontsize="small", color=ink_of(ax)
        )
    ax.set_yticks(range(len(labels)), labels, **TEXT)
    ax.invert_yaxis()
    ax.margins(x=0.02)
    ax.set_xlim(right=max(starts + seconds, default=1.0) * ROOM_FOR_TEXT)
    ax.set_xlabel("seconds")
    add_legend(ax, loc="upper right")
    return ax


def _lanes(data: "pd.DataFrame") -> tuple[list[int], list[str]]:
    """Return the lane of each row, and the label of each lane: a worker where there are several, else a node."""
    workers = [str(worker) for worker in data["worker"]] if "worker" in data else []
    names = sorted(set(workers))
    if len(names) < 2:
        return list(range(len(data))), list(data["node"])
    return [names.index(worker) for worker in workers], [f"worker {name}" if name else "here" for name in names]


def plot_memory(data: "pd.DataFrame", *, x: str = "vram_peak_mb", ax: "Axes | None" = None, **kwargs: Any) -> "Axes":
    """Draw a bar for each prepared node: peak VRAM, or peak RAM of the process where there is no GPU."""
    ax = ax or new_axes(len(data))
    column = x if data[x].notna().to_numpy().any() else "ram_peak_mb"
    ax.barh(range(len(data)), data[column].astype(float), **kwargs)
    ax.set_yticks(range(len(data)), list(data["node"]), **TEXT)
    ax.invert_yaxis()
    ax.set_xlabel(_unit(column))
    return ax


def plot_memory_over_time(
    data: "pd.DataFrame", *, models_mb: float = 0.0, budget_mb: float = 0.0, ax: "Axes | None" = None, **kwargs: Any
) -> "Axes":
    """Draw the memory of a run over its seconds: VRAM with a GPU, else the RAM of the process; its peak is named.

    Parameters
    ----------
    models_mb
        MB of the models that are in memory now, drawn as an area; 0 draws none.
    budget_mb
        MB that models may take, drawn as a line where the scale reaches it, else named beside; 0 draws none.
    """
    ax = ax or new_axes(8)
    rows = data.sort_values("started")
    # Memory is measured when a node ends, so its value belongs to that moment.
    ends = ((rows["started"] - rows["started"].min()).dt.total_seconds() + rows["seconds"]).to_numpy(dtype=float)
    on_device = rows["vram_peak_mb"].notna().to_numpy().any()
    kind, after, peak = (
        ("VRAM", "vram_peak_mb", "vram_peak_mb") if on_device else ("RAM", "ram_after_mb", "ram_peak_mb")
    )
    values = rows[after].astype("Float64").to_numpy(dtype=float, na_value=float("nan"))
    label = "peak VRAM of each node" if on_device else "RAM of the process"
    style = {"where": "post", "color": "tab:purple" if on_device else "tab:blue", "label": label}
    ax.step(ends, values, **{**style, "marker": "o", "markersize": 3, **kwargs})
    peaks = rows[peak].astype("Float64").to_numpy(dtype=float, na_value=float("nan"))
    if (peaks == peaks).any():
        _name_peak(ax, ends, peaks, list(rows["node"]))
    if models_mb:
        ax.axhspan(0, models_mb, color="tab:gray", alpha=0.25, label=f"models in memory now: {models_mb:,.0f} MB")
    if budget_mb:
        highest = max([models_mb, *(value for value in peaks if value == value)])
        where = f"budget of models: {budget_mb:,.0f} MB"
        if budget_mb <= 1.5 * highest:
            ax.axhline(budget_mb, color="tab:red", linestyle="--", label=where)
        else:  # on that scale nothing else could be seen
            ax.plot([], [], color="tab:red", linestyle="--", label=f"{where}, above the scale")
    ax.set_ylim(bottom=0)
    ax.set_xlabel("seconds")
    ax.set_ylabel(f"{kind} (MB)")
    add_legend(ax, loc="lower right")
    return ax


def _name_peak(ax: "Axes", ends: Any, peaks: Any, nodes: Sequence[str]) -> None:
    """Mark the highest value, with the node that reached it."""
    place = max(range(len(peaks)), key=lambda row: peaks[row] if peaks[row] == peaks[row] else -1.0)
    ax.scatter([ends[place]], [peaks[place]], marker="^", s=50, color="tab:orange", zorder=3)
    is_right = ends[place] > max(ends) / 2
    ax.annotate(
        f"peak {peaks[place]:,.0f} MB: {nodes[place]}  "
        if is_right
        else f"  peak {peaks[place]:,.0f} MB: {nodes[place]}",
        (ends[place], peaks[place]),
        ha="right" if is_right else "left",
        va="bottom",
        fontsize="small",
        color=ink_of(ax),
        **TEXT,
    )
    ax.margins(y=0.15)


def plot_by_type(data: "pd.DataFrame", *, y: str = "seconds", ax: "Axes | None" = None, **kwargs: Any) -> "Axes":
    """Draw the distribution of a column for each node type over all runs of the frame, as boxes with their points."""
    groups = {str(name): found[y].dropna().to_numpy(float) for name, found in data.groupby("type", observed=True)}
    # Without a GPU a whole column may be <NA>, and a box of nothing raises.
    groups = {name: values for name, values in groups.items() if len(values)}
    ax = ax or new_axes(len(groups))
    if groups:
        ax.boxplot(list(groups.values()), **{"orientation": "horizontal", "showfliers": False, **kwargs})
    for row, values in enumerate(groups.values(), 1):
        ax.scatter(values, [row] * len(values), s=14, alpha=0.4, color="tab:blue")
    ax.set_yticks(range(1, len(groups) + 1), [f"{name} ({len(values)})" for name, values in groups.items()], **TEXT)
    ax.set_xlabel(_unit(y))
    return ax


def plot_operators(data: "pd.DataFrame", *, top: int = 15, ax: "Axes | None" = None, **kwargs: Any) -> "Axes":
    """Draw a bar for each of the longest operators of a profile, of CPU and device time, in parts for its nodes."""
    seconds = data["cpu_seconds"] + data["device_seconds"]
    table = data.assign(both=seconds).pivot_table(index="operator", columns="node", values="both", aggfunc="sum")
    longest = table.sum(axis=1).nlargest(top)
    table = table.loc[longest.index]
    ax = ax or new_axes(len(table))
    left = [0.0] * len(table)
    for node in table.columns[table.sum().argsort()[::-1]]:
        widths = table[node].fillna(0.0).to_numpy(float)
        ax.barh(range(len(table)), widths, left=left, label=str(node), **kwargs)
        left = [start + width for start, width in zip(left, widths)]
    for row, length in enumerate(left):
        ax.annotate(f"   {seconds_text(length)}", (length, row), va="center", fontsize="small", color=ink_of(ax))
    ax.set_yticks(range(len(table)), [shorten(str(name), LONGEST_NAME) for name in table.index], **TEXT)
    ax.invert_yaxis()
    ax.set_xlim(right=max(left, default=1.0) * ROOM_FOR_TEXT)
    ax.set_xlabel("seconds of CPU and device")
    add_legend(ax, loc="lower right")
    return ax


def plot_runs(data: "pd.DataFrame", *, y: str = "seconds", ax: "Axes | None" = None, **kwargs: Any) -> "Axes":
    """Draw a bar for each run, made up of its node types: which runs took long, and for what."""
    table = data.pivot_table(index="session", columns="type", values=y, aggfunc="sum", observed=True, sort=False)
    ax = ax or new_axes(len(table))
    # The largest share first, so that the same colour begins every bar.
    left = [0.0] * len(table)
    for name in table.columns[table.sum().argsort()[::-1]]:
        widths = table[name].fillna(0.0).to_numpy(float)
        ax.barh(range(len(table)), widths, left=left, label=str(name), **kwargs)
        left = [start + width for start, width in zip(left, widths)]
    ax.set_yticks(range(len(table)), [session[:8] for session in table.index], **TEXT)
    ax.invert_yaxis()
    ax.set_xlabel(_unit(y))
    add_legend(ax)
    return ax


def plot_comparison(data: "pd.DataFrame", *, ax: "Axes | None" = None, **kwargs: Any) -> "Axes":
    """Draw the seconds per node of two runs, a frame of `studio.compare(a, b)`: red got slower, green got faster."""
    ax = ax or new_axes(len(data))
    before, after = (data[name].to_numpy(dtype=float, na_value=float("nan")) for name in ("seconds_a", "seconds_b"))
    for row, (a, b) in enumerate(zip(before, after)):
        ax.plot([a, b], [row, row], color="tab:red" if b > a else "tab:green", linewidth=3, alpha=0.6, zorder=1)
        end = max(value for value in (a, b) if value == value)  # NaN, of a node of one run, is not equal to itself
        change = _change(a, b)
        ax.annotate(f"   {change}", (end, row), va="center", fontsize="small", color=ink_of(ax))
    rows = range(len(data))
    ax.scatter(before, rows, label="a", **{"facecolor": "none", "edgecolor": ink_of(ax), "zorder": 2, **kwargs})
    ax.scatter(after, rows, label="b", **{"color": ink_of(ax), "zorder": 2, **kwargs})
    ax.set_yticks(list(rows), list(data["node"]), **TEXT)
    ax.invert_yaxis()
    ax.margins(x=0.02)
    ax.set_xlim(right=max((value for value in (*before, *after) if value == value), default=1.0) * ROOM_FOR_TEXT)
    ax.set_xlabel("seconds")
    add_legend(ax)
    return ax


def plot_sessions(data: "pd.DataFrame", *, axes: "Sequence[Axes] | None" = None, **kwargs: Any) -> "list[Axes]":
    """Draw the timelines of several runs side by side with one scale of seconds, and return an Axes for each."""
    sessions = list(dict.fromkeys(data["session"]))
    if axes is None:
        height = max(2.5, 0.3 * len(data) / max(1, len(sessions)) + 1.2)
        axes = axes_of(new_figure(4.5 * max(1, len(sessions)), height), max(1, len(sessions)))
    for session, ax in zip(sessions, axes):
        plot_timeline(data.query("session == @session"), ax=ax, **kwargs)
        ax.set_title(session[:8], **TEXT)
    # One scale, or a short run would look as long as its neighbour.
    right = max((ax.get_xlim()[1] for ax in axes), default=1.0)
    for ax in axes:
        ax.set_xlim(left=None, right=right)
    return list(axes)


def _change(before: float, after: float) -> str:
    if before != before or after != after:
        return "only in b" if before != before else "only in a"
    return f"{'+' if after >= before else '-'}{seconds_text(abs(after - before))}"


def _unit(column: str) -> str:
    """`vram_peak_mb` as a person reads it."""
    words = column.replace("_mb", "_(MB)").split("_")
    return " ".join(word.upper() if word in ("ram", "vram") else word for word in words)


class NotebookAxes(Axes):
    """Axes that a cell does not also show as text above their plot, when they are the value of its last line."""

    def _ipython_display_(self) -> None:
        figure: Any = self.figure
        if "inline" not in plt.get_backend() or not plt.fignum_exists(getattr(figure, "number", -1)):
            raise NotImplementedError  # nothing shows the plot by itself: IPython then shows the text


class NotebookFigure(Figure):
    """A figure without background that is drawn by one thread at a time."""

    def draw(self, renderer: Any) -> None:
        with DRAWING:
            super().draw(renderer)

    def get_tightbbox(self, *args: Any, **kwargs: Any) -> Any:
        with DRAWING:
            return super().get_tightbbox(*args, **kwargs)


def new_figure(width: float, height: float) -> Figure:
    """Return a figure of so many inches; on the main thread pyplot shows it at the end of the cell."""
    options: dict[str, Any] = {"figsize": (width, height), "layout": "constrained", "facecolor": "none"}
    if current_thread() is main_thread():
        return plt.figure(FigureClass=NotebookFigure, **options)
    figure = NotebookFigure(**options)
    FigureCanvasAgg(figure)
    return figure


def own_figure(width: float, height: float) -> Figure:
    """Return a figure that pyplot does not know, black on white, for a widget that shows it in its own colours."""
    figure = NotebookFigure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def axes_of(figure: Figure, columns: int = 1) -> "list[Axes]":
    """Return so many Axes side by side, in the grey of this module."""
    found: list[Axes] = list(figure.subplots(1, columns, squeeze=False, subplot_kw={"axes_class": NotebookAxes})[0])
    for ax in found:
        ax.set_facecolor("none")
        ax.tick_params(axis="x", colors=INK)
        ax.tick_params(axis="y", colors=LIGHTER_INK)
        for text in (ax.xaxis.label, ax.yaxis.label, ax.title):
            text.set_color(INK)
        for spine in ax.spines.values():
            spine.set_edgecolor(INK)
        ax.spines[["top", "right"]].set_visible(False)
    return found


def new_axes(rows: float) -> "Axes":
    """Return the Axes of a new figure, as high as so many rows need."""
    return axes_of(new_figure(8, max(2.0, 0.3 * rows + 1)))[0]


def ink_of(ax: "Axes") -> Any:
    """Return the colour of the texts of Axes: that of this module, or that of the style of a person's own."""
    return ax.xaxis.label.get_color()


def add_legend(ax: "Axes", **options: Any) -> None:
    """Add a legend in the colours of the Axes, whose texts are drawn as they are, if anything has a label."""
    if not ax.get_legend_handles_labels()[1]:
        return
    legend = ax.legend(**{"loc": "best", "fontsize": "small", "labelcolor": ink_of(ax), "framealpha": 0, **options})
    for text in legend.get_texts():
        text.set_parse_math(False)


class RunPlots:
    """The plots of one frame of stats."""

    def __init__(self, data: "pd.DataFrame", models_mb: float = 0.0, budget_mb: float = 0.0) -> None:
        self._data, self._models_mb, self._budget_mb = data, models_mb, budget_mb

    def timeline(self, *, ax: "Axes | None" = None, **kwargs: Any) -> "Axes":
        """When each node ran, and how long."""
        return plot_timeline(self._data, ax=ax, **kwargs)

    def vram(self, *, ax: "Axes | None" = None, **kwargs: Any) -> "Axes":
        """Peak VRAM of each node, RAM where there is no GPU."""
        return plot_memory(self._data, ax=ax, **kwargs)

    def memory(self, *, ax: "Axes | None" = None, **kwargs: Any) -> "Axes":
        """Memory over the seconds of the run: VRAM with a GPU, else RAM, with its peak, models and their budget."""
        given: dict[str, Any] = {"models_mb": self._models_mb, "budget_mb": self._budget_mb, **kwargs}
        return plot_memory_over_time(self._data, ax=ax, **given)

    def by_type(self, *, ax: "Axes | None" = None, **kwargs: Any) -> "Axes":
        """Seconds for each node type, as boxes."""
        return plot_by_type(self._data, ax=ax, **kwargs)

    def __repr__(self) -> str:
        return f"RunPlots({len(self._data)} nodes: .timeline(), .vram(), .memory(), .by_type())"
