"""Plots of stats frames: Axes in, Axes out; nothing is shown or styled behind a person's back."""

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

STATUS_COLOURS = {"completed": "tab:blue", "cached": "tab:green", "failed": "tab:red", "cancelled": "tab:orange"}


def plot_timeline(data: "pd.DataFrame", *, ax: "Axes | None" = None, **kwargs: Any) -> "Axes":
    """A bar for each prepared node, from its start, in seconds since the first; coloured by what became of it."""
    ax = ax or _new_axes(len(data))
    begin = data["started"].min()
    starts = (data["started"] - begin).dt.total_seconds()
    kinds = ["cached" if cached else status for cached, status in zip(data["cached"], data["status"].astype(str))]
    for kind in dict.fromkeys(kinds):
        chosen = [each == kind for each in kinds]
        ax.barh(
            data["node"][chosen],
            data["seconds"][chosen],
            left=starts[chosen],
            color=STATUS_COLOURS[kind],
            label=kind,
            **kwargs,
        )
    ax.invert_yaxis()
    ax.set_xlabel("seconds")
    if kinds:
        ax.legend()
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
