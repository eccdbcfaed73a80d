"""What a studio keeps, by part, and how to free it: `studio.disk`."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from nbgraph.errors import ChoiceError
from nbgraph.frames import disk_frame
from nbgraph.html import Html, table_html
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.retention.retention_base import PARTS
from nbgraph.services.retention.retention_common import Usage
from nbgraph.services.shared.sqlite.upkeep import clean_folder

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs] - its types are in its code

FILES = ("thumbnails", "backups", "database")


class DiskView:
    """The room each part takes: on disk in a folder, else in RAM. `.frame`, `.free("intermediates")`, `.free_all()`.

    Shown, a table: parts, how many of each, their bytes, and the limits of the settings. The parts:
    `pictures`, `starred pictures`, `intermediates` (tensors, and pictures on the way), `cache` (results, without what
    they name), `runs` (that have ended), `stats`; of a folder also `thumbnails`, `backups`, and `database`, whose bytes
    are those of the file, in which cache, runs and stats are.
    """

    def __init__(self, services: InvocationServices) -> None:
        self._services = services

    @property
    def frame(self) -> "pd.DataFrame":
        """One row for each part: count, bytes, and the limits in bytes and days, <NA> without one."""
        return disk_frame(self._usage())

    @property
    def bytes(self) -> int:
        """All bytes together; cache, runs and stats of a folder count as its database."""
        in_database = ("cache", "runs", "stats") if self._services.database is not None else ()
        return sum(usage.bytes for usage in self._usage() if usage.part not in in_database)

    def free(self, *parts: str) -> int:
        """Delete what there is of these parts, but for what a run needs; returns the bytes that came back.

        Starred pictures are a part of their own; `runs` takes their stats along, and runs that could be resumed.
        `database` gives the room of what was deleted back to the disk. `ChoiceError` names the parts.
        """
        possible = self._ways()
        for part in parts:
            if part not in possible:
                raise ChoiceError("part", part, map(repr, possible))
        before = self.bytes
        for part in parts:
            possible[part]()
        return before - self.bytes

    def free_all(self) -> int:
        """Delete everything, starred pictures too, but for the library, settings, and what a run needs."""
        return self.free(*self._ways())

    def _ways(self) -> dict[str, Callable[[], object]]:
        """Return the function that frees each part, in an order in which none waits for a later one."""
        retention = self._services.retention
        ways: dict[str, Callable[[], object]] = {
            part: lambda part=part: retention.free(part) for part in reversed(PARTS)
        }
        database = self._services.database
        if database is not None:
            ways |= {"thumbnails": database.folder.remove_thumbnails, "backups": database.folder.remove_backups}
            ways |= {"database": lambda: clean_folder(database, compact=True)}
        return ways

    def _usage(self) -> list[Usage]:
        found = self._services.retention.usage()
        if self._services.database is not None:
            sizes = self._services.database.folder.sizes()
            found += [Usage(part, *sizes[part]) for part in FILES]
        return found

    def _repr_html_(self) -> Html:
        return table_html(self.frame, repr(self))

    def __repr__(self) -> str:
        parts = ", ".join(f"{usage.part} {_text(usage.bytes)}" for usage in self._usage() if usage.count)
        return f"Disk({_text(self.bytes)}: {parts or 'nothing'})"


def _text(size: int) -> str:
    return f"{size / 2**20:,.1f} MB"
