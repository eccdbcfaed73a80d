"""What crashes leave in a studio's folder, and how it goes: all of it is done with the write lock held."""

from dataclasses import dataclass, field
from sqlite3 import Connection
from time import time

from nbgraph.services.shared.sqlite.store_folder import FileKind, StoreFolder


@dataclass(slots=True)
class CleanReport:
    """What `clean()` found and did: counts of files, bytes, and the names of resources whose files are not in order."""

    unneeded: int = 0
    dead_kernels: int = 0
    temporary_files: int = 0
    deleted_files: int = 0
    orphans: int = 0
    orphans_removed: int = 0
    bytes_freed: int = 0
    missing: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [
            f"{self.unneeded} tensors and intermediate pictures deleted that nothing names any more",
            f"{self.dead_kernels} kernels had ended without closing the folder",
            f"{self.temporary_files} temporary files removed, {self.deleted_files} deletions finished",
            f"{self.orphans} files without a record, {self.orphans_removed} removed ({self.bytes_freed:,} bytes)",
            f"{len(self.missing)} files missing, {len(self.damaged)} not as long as they were",
        ]
        return "\n".join(lines)


def remove_temporary_files(folder: StoreFolder, kernel: str) -> int:
    """Remove what a dead kernel was writing; returns how many files."""
    files = list(folder.temporary_files(kernel))
    for path in files:
        path.unlink(missing_ok=True)
    return len(files)


def empty_trash(connection: Connection, folder: StoreFolder) -> int:
    """Finish the deletions that a crash came into: the records are gone already, now the files; returns how many."""
    rows = connection.execute("SELECT kind, name FROM trash").fetchall()
    removed = sum(folder.remove(kind, name) for kind, name in rows)
    connection.executemany("DELETE FROM trash WHERE kind = ? AND name = ?", rows)
    return removed


def judge_files(
    connection: Connection, folder: StoreFolder, kind: FileKind, records: str, grace_seconds: float, report: CleanReport
) -> None:
    """Compare the files of a kind with their records (name, size; a size of None is not compared)."""
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
    _judge_orphans(connection, folder, kind, found - sizes.keys(), grace_seconds, report)


def _judge_orphans(
    connection: Connection, folder: StoreFolder, kind: FileKind, orphans: set[str], grace: float, report: CleanReport
) -> None:
    now = time()
    seen = dict(connection.execute("SELECT name, seen FROM orphans WHERE kind = ?", (kind,)).fetchall())
    report.orphans += len(orphans)
    for name in orphans & seen.keys():
        state = folder.state(kind, name)
        if seen[name] <= now - grace and state is not None and folder.remove(kind, name):
            report.orphans_removed += 1
            report.bytes_freed += state[0]
            del seen[name]
    connection.execute("DELETE FROM orphans WHERE kind = ?", (kind,))
    noted = [(kind, name, min(seen.get(name, now), now)) for name in orphans if folder.state(kind, name)]
    connection.executemany("INSERT INTO orphans VALUES (?, ?, ?)", noted)
