"""The view of the space a studio takes, by part, and how to free it: `studio.disk`."""

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
    """The space of each part, on disk for a folder, else in RAM: `.frame`, `.free("intermediates")`, `.free_all()`.

    A cell shows a table of the parts with their number, bytes and limits: `pictures`, `starred pictures`,
    `intermediates` (tensors and intermediate images), `cache` (results, without the images they name), `runs` (ended
    ones), `stats`; of a folder also `thumbnails`, `backups`, and `database`, the file that contains cache, runs and
    stats.
    """

    def __init__(self, services: InvocationServices) -> None:
        self._services = services

    @property
    def frame(self) -> "pd.DataFrame":
        """One row per part: count, bytes, and the limits in bytes and days, <NA> without one."""
        return disk_frame(self._usage())

    @property
    def bytes(self) -> int:
        """All bytes together; cache, runs and stats of a folder count as its database."""
        # Their rows are part of the database file, which would be counted twice.
        in_database = ("cache", "runs", "stats") if self._services.database is not None else ()
        return sum(usage.bytes for usage in self._usage() if usage.part not in in_database)

    def free(self, *parts: str) -> int:
        """Delete these parts, except what a run is using, and return the bytes freed.

        Parameters
        ----------
        parts
            Names of parts, as in `frame`. `runs` includes their stats and runs that could be resumed; `database`
            returns the space of deleted rows to the disk.

        Raises
        ------
        ChoiceError
            There is no such part; nothing is deleted.
        """
        # Every name is checked before anything is deleted.
        possible = self._ways()
        for part in parts:
            if part not in possible:
                raise ChoiceError("part", part, map(repr, possible))
        before = self.bytes
        for part in parts:
            possible[part]()
        return before - self.bytes

    def free_all(self) -> int:
        """Delete all parts, starred images too, except what a run is using; return the bytes freed."""
        return self.free(*self._ways())

    def _ways(self) -> dict[str, Callable[[], object]]:
        """Return the function that frees each part, in an order in which none waits for a later one."""
        retention = self._services.retention
        ways: dict[str, Callable[[], object]] = {
            # The default binds the part now; a plain closure would see the last one.
            part: lambda part=part: retention.free(part)
            for part in reversed(PARTS)
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
