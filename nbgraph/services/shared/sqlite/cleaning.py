"""Find and remove what crashes leave in a studio's folder; the caller holds the write lock.

A file without a record is an *orphan*: its kernel died, or failed, between writing the file and writing the record. A
save in progress looks the same, so an orphan is recorded when it is first seen, and removed when it is seen again after
a while.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from math import inf
from sqlite3 import Connection
from time import time

from nbgraph.services.shared.sqlite.store_folder import FileKind, StoreFolder

DAY = 24 * 3600.0


@dataclass(slots=True)
class CleanReport:
    """What `clean()` found and removed: counts, bytes, and the names of resources with missing or damaged files."""

    unneeded: int = 0
    dead_kernels: int = 0
    temporary_files: int = 0
    deleted_files: int = 0
    orphans: int = 0
    orphans_removed: int = 0
    bytes_freed: int = 0
    missing: list[str] = field(default_factory=list[str])
    damaged: list[str] = field(default_factory=list[str])

    def __str__(self) -> str:
        lines = [
            f"{self.unneeded} unreferenced tensors and intermediate pictures deleted",
            f"{self.dead_kernels} kernels had ended without closing the folder",
            f"{self.temporary_files} temporary files removed, {self.deleted_files} deletions finished",
            f"{self.orphans} files without a record, {self.orphans_removed} removed ({self.bytes_freed:,} bytes)",
            f"{len(self.missing)} files missing, {len(self.damaged)} of another length than was saved",
        ]
        return "\n".join(lines)


def remove_temporary_files(folder: StoreFolder, kernel: str) -> int:
    """Remove the temporary files of a dead kernel; return how many."""
    files = list(folder.temporary_files(kernel))
    for path in files:
        path.unlink(missing_ok=True)
    return len(files)


def empty_trash(connection: Connection, folder: StoreFolder) -> int:
    """Finish deletions that a crash interrupted after the records, before the files; return how many files."""
    rows = connection.execute("SELECT kind, name FROM trash").fetchall()
    removed = sum(folder.remove(kind, name) for kind, name in rows)
    # last: a crash in between repeats the removal, which does no harm
    connection.executemany("DELETE FROM trash WHERE kind = ? AND name = ?", rows)
    return removed


@dataclass(frozen=True, slots=True)
class OrphanRule:
    """When an orphan may be removed: `grace_seconds` after it was first seen, and never while this process saves it.

    A kernel that was open before the file was written may be its writer, suspended in the middle of the save. Beside
    such a kernel a file stays for at least a day. `oldest_kernel` is when the first of the others was opened, in ns, by
    the clock of the filesystem: the times of files come from that clock too.
    """

    grace_seconds: float
    oldest_kernel: float = inf
    being_saved: Collection[str] = ()

    def allows(self, name: str, first_seen: float, written: int) -> bool:
        """Return whether an orphan may be removed.

        Parameters
        ----------
        name
            The resource.
        first_seen
            When it was recorded as an orphan, in seconds since 1970.
        written
            When its file was last written, in ns by the filesystem's clock.
        """
        grace = self.grace_seconds if written < self.oldest_kernel else max(self.grace_seconds, DAY)
        return first_seen <= time() - grace and name not in self.being_saved


def audit_files(
    connection: Connection, folder: StoreFolder, kind: FileKind, records: str, rule: OrphanRule, report: CleanReport
) -> None:
    """Compare the files of a kind with their records, and handle those without one.

    Parameters
    ----------
    connection, folder
        The database, within a transaction, and its folder.
    kind
        The kind of files.
    records
        The query that returns (name, size) of each record; a size of None is not compared.
    rule
        Which orphans may be removed.
    report
        What is found is added to it.
    """
    sizes: dict[str, int | None] = dict(connection.execute(records).fetchall())
    found: set[str] = set()
    for name in folder.names(kind):
        found.add(name)
        state = folder.state(kind, name)
        size = sizes.get(name)
        if state is not None and name in sizes and size is not None and state[0] != size:
            report.damaged.append(name)
    if any(size is not None for size in sizes.values()):
        report.missing += sorted(sizes.keys() - found)
    handle_orphans(connection, folder, kind, found - sizes.keys(), rule, report)


def handle_orphans(
    connection: Connection,
    folder: StoreFolder,
    kind: FileKind,
    orphans: set[str],
    rule: OrphanRule,
    report: CleanReport,
) -> None:
    """Remove the orphans of a kind that `rule` allows, and record when each of the others was first seen."""
    now = time()
    seen = dict(connection.execute("SELECT name, seen FROM orphans WHERE kind = ?", (kind,)).fetchall())
    states = {name: state for name in orphans if (state := folder.state(kind, name)) is not None}
    report.orphans += len(orphans)
    for name, (size, written) in list(states.items()):
        if name in seen and rule.allows(name, seen[name], written) and folder.remove(kind, name):
            report.orphans_removed += 1
            report.bytes_freed += size
            del states[name]
    # all are written again below, so that those which got a record since are forgotten
    connection.execute("DELETE FROM orphans WHERE kind = ?", (kind,))
    # a time in the future, from a clock that was wrong, would keep a file forever
    noted = [(kind, name, min(seen.get(name, now), now)) for name in states]
    connection.executemany("INSERT INTO orphans VALUES (?, ?, ?)", noted)
