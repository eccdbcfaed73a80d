"""Stats as a cell shows them: eight columns with sensible digits; the frame has all columns, for code and for files."""

from functools import cache
from typing import TYPE_CHECKING, Any

from nbgraph.frames import pandas_module
from nbgraph.html import Html, element, joined, table
from nbgraph.texts import seconds_text

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs] - its types are in its code

SHOWN = ("node", "type", "status", "cached", "seconds", "ram_peak_mb", "vram_peak_mb", "error")
MOST_ROWS = 60
LONGEST_ERROR = 80


def readable(stats: "pd.DataFrame") -> "pd.DataFrame":
    """Return a frame of stats that a cell shows in eight columns; `.wide` is the plain frame of all."""
    return _stats_class()(stats)


@cache
def _stats_class() -> Any:
    """Return the class of readable frames; it is made late, as pandas takes most of a second to import."""
    frame_class: Any = pandas_module().DataFrame

    class StatsFrame(frame_class):
        """A DataFrame of stats. Selections of it are plain frames, which show what was selected."""

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

        def _repr_html_(self) -> Html:
            return stats_html(self)

        def __repr__(self) -> str:
            shown = frame_class(_rows(self), columns=_columns(self))
            return f"{shown.to_string(index=False)}\n{_note(self)}"

    return StatsFrame


def stats_html(stats: Any) -> Html:
    """Return the readable columns as a table, with a note below that says what is left out."""
    return joined([table(_rows(stats), _columns(stats)), element("p", _note(stats))])


def _columns(stats: Any) -> list[str]:
    # which run a node is of, where there are several
    runs = ["session"] if stats["session"].nunique() > 1 else []
    # of nodes that ran with a step cache or compiled, where there are some
    faster = ["speedup"] if "speedup" in stats else []
    return [*runs, *SHOWN, *faster]


def _note(stats: Any) -> str:
    more = f"; {len(stats) - MOST_ROWS} more rows" if len(stats) > MOST_ROWS else ""
    nodes = f"{len(stats)} node{'' if len(stats) == 1 else 's'}"
    return f"{nodes}, {seconds_text(float(stats['seconds'].sum()))}; all columns: stats.wide{more}"


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
