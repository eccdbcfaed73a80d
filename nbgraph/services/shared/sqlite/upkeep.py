"""Upkeep of a studio's folder: copy it, remove what crashes left, and give the room of what was deleted back.

Each function waits for the folder as a transaction does, and raises the same `StoreError`s.
"""

from contextlib import suppress
from pathlib import Path

from nbgraph.errors import StoreError, StoreFullError
from nbgraph.services.shared.sqlite.cleaning import DAY, CleanReport, OrphanRule, audit_files, handle_orphans
from nbgraph.services.shared.sqlite.sqlite_database import SqliteDatabase
from nbgraph.services.shared.sqlite.store_errors import translate_errors
from nbgraph.services.shared.sqlite.store_folder import FileKind, StoreFolder


def copy_folder(database: SqliteDatabase, target: StoreFolder) -> Path:
    """Copy the database as it is now, then the files its records name, into a new folder.

    Files never change once they are written, so no copy can be torn. A file that is deleted meanwhile is left out, as
    its record would be a moment later.

    Returns
    -------
    Path
        The new folder.

    Raises
    ------
    StoreError
        The target has anything in it, or cannot be written.
    """
    with translate_errors(target.root):
        is_used = target.root.is_dir() and any(target.root.iterdir())
    if is_used:
        raise StoreError(f"{target.root} is not empty; name a new folder for the copy")
    target.make()
    with database.exclusive() as connection, translate_errors(target.database):
        connection.execute("VACUUM INTO ?", (str(target.database),))
        # listed under the same lock, so that the copied database names no file that is missing here
        named: list[tuple[FileKind, str]] = [
            (kind, name) for kind, query in database.records.items() for name, _ in database.rows(query)
        ]
    for kind, name in named:
        data = database.folder.read(kind, name)
        if data is not None:
            target.write(kind, name, data, database.kernel, durable=False)
    return target.root


def clean_folder(database: SqliteDatabase, grace_seconds: float = DAY, compact: bool = False) -> CleanReport:
    """Remove what crashes left, and look for files that are missing or changed in length.

    Parameters
    ----------
    database
        The open database of the folder.
    grace_seconds
        A file without a record is removed when an earlier call has seen it too, at least so many seconds before: it
        may belong to a save that is under way.
    compact
        Shrink the database file even if little of it is empty.

    Returns
    -------
    CleanReport
        What was found and removed.
    """
    report = CleanReport()
    with database.transaction() as connection:
        database.finish_crashed(connection, report)
        rule = _orphan_rule(database, grace_seconds)
        for kind, query in database.records.items():
            audit_files(connection, database.folder, kind, query, rule, report)
    database.folder.remove_empty_folders()
    # shrinking needs room for a copy; without it, the empty pages of the file are used again anyway
    with suppress(StoreFullError):
        _compact(database, always=compact)
    return report


def remove_orphans(database: SqliteDatabase, grace_seconds: float = DAY) -> CleanReport:
    """Remove files without a record that were first seen at least `grace_seconds` ago, and note new ones.

    Others may use the folder meanwhile: files and records are listed outside of a transaction.

    Returns
    -------
    CleanReport
        Counts of orphans and of bytes freed.
    """
    report = CleanReport()
    for kind, query in database.records.items():
        with translate_errors(database.folder.root):
            # files before records: a save writes its file first, so its record may only appear after this
            found = set(database.folder.names(kind))
        orphans = found.difference(name for name, _ in database.rows(query))
        if orphans or database.row("SELECT 1 FROM orphans WHERE kind = ? LIMIT 1", (kind,)):
            with database.transaction(awaited=False) as connection:
                # a save that was under way may have ended since
                orphans = orphans.difference(name for name, _ in connection.execute(query))
                handle_orphans(
                    connection, database.folder, kind, orphans, _orphan_rule(database, grace_seconds), report
                )
    return report


def _orphan_rule(database: SqliteDatabase, grace_seconds: float) -> OrphanRule:
    return OrphanRule(grace_seconds, database.oldest_other_kernel(), frozenset(database.being_saved))


def _compact(database: SqliteDatabase, always: bool) -> None:
    """Give empty pages back to the disk: always, or if they are over a quarter of the file."""
    (pages,), (free,) = database.rows("PRAGMA page_count")[0], database.rows("PRAGMA freelist_count")[0]
    if free * 4 > pages or (always and free):
        with database.exclusive() as connection:
            connection.execute("VACUUM")
            database.log.checkpoint()
