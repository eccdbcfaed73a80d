"""Backups of the database, made before its format changes, and the way back to one."""

import os
import sqlite3
from pathlib import Path
from time import strftime

from nbgraph.errors import StoreError
from nbgraph.services.shared.sqlite.store_folder import StoreFolder, sync_folder

KEPT = 3


def back_up(connection: sqlite3.Connection, folder: StoreFolder) -> Path:
    """Copy the database in one step into `backups/`, where the newest three are kept; returns the copy's path."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    path = folder.backups / f"nbgraph-{strftime('%Y%m%d-%H%M%S')}-{version}.db"
    temporary = path.with_suffix(".part")
    temporary.unlink(missing_ok=True)
    connection.execute("VACUUM INTO ?", (str(temporary),))
    descriptor = os.open(temporary, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(path)
    sync_folder(folder.backups)
    for old in sorted(folder.backups.glob("*.db"))[:-KEPT]:
        old.unlink()
    return path


def restore_backup(root: str | os.PathLike[str]) -> Path:
    """Put the newest backup in the place of the database; what was there is set aside as `.damaged-<time>`.

    No kernel may have the folder open. Returns the path the damaged database has now; `StoreError` without a backup.
    """
    folder = StoreFolder(root)
    backups = sorted(folder.backups.glob("*.db"))
    if not backups:
        raise StoreError(f"there is no backup in {folder.backups}; open another folder")
    aside = folder.database.with_suffix(f".damaged-{strftime('%Y%m%d-%H%M%S')}")
    for ending in ("", "-wal", "-shm"):
        part = Path(f"{folder.database}{ending}")
        if part.exists():
            part.rename(f"{aside}{ending}")
    part = folder.database.with_suffix(".part")
    part.write_bytes(backups[-1].read_bytes())
    part.rename(folder.database)
    return aside
