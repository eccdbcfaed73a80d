"""Frames as a cell shows them: cards with sensible digits and units; code and files have the plain frames in them."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from nbgraph.frames import pandas_module
from nbgraph.html import Html, noted, table, table_html
from nbgraph.texts import seconds_text, size_text

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs] - its types are in its code

SHOWN = ("node", "type", "status", "cached", "seconds", "ram_peak_mb", "vram_peak_mb", "error")
NUMBERS = ("seconds", "ram_peak_mb", "vram_peak_mb")
OFTEN_EMPTY = ("vram_peak_mb", "error")
"""Columns that a cell shows where they say something: memory of a GPU, and what failed."""
MOST_ROWS = 60
LONGEST_ERROR = 80
MB = 2**20


def readable(stats: "pd.DataFrame") -> "pd.DataFrame":
    """Return a frame of stats that a cell shows in at most eight columns; `.wide` is the plain frame of all."""
    return _stats_class()(stats)


def in_card(frame: "pd.DataFrame", note: "Callable[[pd.DataFrame], str]") -> "pd.DataFrame":
    """Return a frame that a cell shows as a card, as the panels; `note` returns its heading, as for `table_html`."""
    return _card_class(note)(frame)


def loaded_note(loaded: Any) -> str:
    """Return the heading of models in memory: how many components, and their bytes."""
    if not len(loaded):
        return "LoadedModels(none is in memory)"
    return f"LoadedModels({_count(len(loaded), 'component')}, {size_text(loaded['mb'].sum() * MB)})"


def explained_note(reasons: Any) -> str:
    """Return the heading of the reasons why nodes would run: how many would."""
    count = int(reasons["will_run"].sum())
    return f"WouldRun({count if count else 'none'} of {_count(len(reasons), 'node')})"


def compared_note(compared: Any) -> str:
    """Return the heading of the stats of two runs side by side."""
    return f"Compared({_count(len(compared), 'node')}, the largest slowdown first)"


@cache
def _plain_class() -> Any:
    """Return the base of readable frames; it is made late, as pandas takes most of a second to import."""
    frame_class: Any = pandas_module().DataFrame

    class ReadableFrame(frame_class):
        """A DataFrame that shows itself in its own way. Selections of it are plain frames."""

        @property
        def _constructor(self) -> Any:
            return frame_class

        @property
        def wide(self) -> Any:
            """The plain frame, which shows all columns."""
            return frame_class(self)

        def __reduce__(self) -> Any:
            # this class cannot be imported by its name, a plain frame can
            return frame_class.__reduce__(frame_class(self))

    return ReadableFrame


@cache
def _card_class(note: Callable[[Any], str]) -> Any:
    class CardFrame(_plain_class()):
        """A DataFrame that a cell shows as a card."""

        def _repr_html_(self) -> Html:
            return table_html(self.wide, note(self), MOST_ROWS)

    return CardFrame


@cache
def _stats_class() -> Any:
    class StatsFrame(_plain_class()):
        """A DataFrame of stats, of which a cell shows at most eight columns."""

        def _repr_html_(self) -> Html:
            return stats_html(self)

        def __repr__(self) -> str:
            shown = pandas_module().DataFrame(_rows(self), columns=_columns(self))
            return f"{shown.to_string(index=False)}\n{_note(self)}"

    return StatsFrame


def stats_html(stats: Any) -> Html:
    """Return the readable columns as a card, whose heading says what is left out."""
    columns = _columns(stats)
    parts = [table(_rows(stats), columns, [name in NUMBERS for name in columns])] if len(stats) else []
    return noted(f"Stats({_note(stats)})", *parts)


def _columns(stats: Any) -> list[str]:
    # which run a node is of, where there are several
    runs = ["session"] if stats["session"].nunique() > 1 else []
    # of nodes that ran with a step cache or compiled, where there are some
    faster = ["speedup"] if "speedup" in stats else []
    shown = (name for name in SHOWN if name not in OFTEN_EMPTY or _has_values(stats[name]))
    return [*runs, *shown, *faster]


def _has_values(column: Any) -> bool:
    return bool((column.notna() & (column.astype("str") != "")).any())


def _note(stats: Any) -> str:
    more = f"; {len(stats) - MOST_ROWS} more rows" if len(stats) > MOST_ROWS else ""
    return f"{_count(len(stats), 'node')}, {seconds_text(float(stats['seconds'].sum()))}; all columns: stats.wide{more}"


def _rows(stats: Any) -> list[list[str]]:
    columns = _columns(stats)
    return [[_text(name, row[name]) for name in columns] for row in stats.head(MOST_ROWS).to_dict("records")]


def _text(column: str, value: Any) -> str:
    if value is None or value is pandas_module().NA or value != value:
        return ""
    if column == "seconds":
        return seconds_text(value)
    if column.endswith("_mb"):
        return f"{value:,.0f}"
    if column == "cached":
        return "yes" if value else ""
    return value[:8] if column == "session" else str(value)[:LONGEST_ERROR]


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
