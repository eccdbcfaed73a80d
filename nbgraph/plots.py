"""Plots of stats frames: Axes in, Axes out; nothing is shown or styled behind a person's back."""

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

STATUS_COLOURS = {"completed": "tab:blue", "cached": "tab:green", "failed": "tab:red", "cancelled": "tab:orange"}


def plot_timeline(data: "pd.DataFrame", *, ax: "Axes | None" = None, **kwargs: Any) -> "Axes":
    """A bar for each prepared node, from its start, in seconds since the first; coloured by what became of it.

    A tick marks where each node began, so that those too quick to show as a bar are seen; its seconds stand beside it.
    """
    ax = ax or _new_axes(len(data))
    starts = (data["started"] - data["started"].min()).dt.total_seconds().to_numpy()
    seconds = data["seconds"].to_numpy()
    kinds = ["cached" if cached else status for cached, status in zip(data["cached"], data["status"].astype(str))]
    for kind in dict.fromkeys(kinds):
        rows = [row for row, each in enumerate(kinds) if each == kind]
        colour = STATUS_COLOURS[kind]
        ax.barh(rows, seconds[rows], left=starts[rows], color=colour, label=kind, **kwargs)
        ax.scatter(starts[rows], rows, marker="|", s=120, color=colour)
    for row, (start, length) in enumerate(zip(starts, seconds)):
        ax.annotate(f" {length:.2g} s", (start + length, row), va="center", fontsize="small")
    ax.set_yticks(range(len(data)), list(data["node"]))
    ax.invert_yaxis()
    ax.margins(x=0.1)
    ax.set_xlabel("seconds")
    if kinds:
        ax.legend(loc="upper right")
    return ax


def plot_memory(data: "pd.DataFrame", *, x: str = "vram_peak_mb", ax: "Axes | None" = None, **kwargs: Any) -> "Axes":
    """A bar for each prepared node: peak VRAM, or peak RAM of the process where there is no GPU."""
    ax = ax or _new_axes(len(data))
    column = x if data[x].notna().to_numpy().any() else "ram_peak_mb"
    ax.barh(data["node"], data[column].astype(float), **kwargs)
    ax.invert_yaxis()
    ax.set_xlabel(column.replace("_mb", " (MB)").replace("_", " "))
    return ax


def plot_by_type(data: "pd.DataFrame", *, y: str = "seconds", ax: "Axes | None" = None, **kwargs: Any) -> "Axes":
    """The distribution of a column for each node type, as boxes."""
    ax = ax or _new_axes(len(set(data["type"])))
    groups = {str(name): found[y].dropna().to_numpy() for name, found in data.groupby("type", observed=True)}
    ax.boxplot(list(groups.values()), tick_labels=list(groups), orientation="horizontal", **kwargs)
    ax.set_xlabel(y)
    return ax


def _new_axes(rows: int) -> "Axes":
    return plt.subplots(figsize=(8, max(2.0, 0.3 * rows + 1)), layout="constrained")[1]


class RunPlots:
    """The plots of one frame of stats."""

    def __init__(self, data: "pd.DataFrame") -> None:
        self._data = data

    def timeline(self, *, ax: "Axes | None" = None, **kwargs: Any) -> "Axes":
        """When each node ran, and how long."""
        return plot_timeline(self._data, ax=ax, **kwargs)

    def vram(self, *, ax: "Axes | None" = None, **kwargs: Any) -> "Axes":
        """Peak VRAM of each node, RAM where there is no GPU."""
        return plot_memory(self._data, ax=ax, **kwargs)

    def by_type(self, *, ax: "Axes | None" = None, **kwargs: Any) -> "Axes":
        """Seconds for each node type, as boxes."""
        return plot_by_type(self._data, ax=ax, **kwargs)
