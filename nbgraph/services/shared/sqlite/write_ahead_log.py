"""The write-ahead log of the database: whether a folder allows it, and when it is emptied into the database.

It needs memory shared between processes, which network filesystems do not have.
"""

import os
import sqlite3
import warnings
from contextlib import suppress
from pathlib import Path, PurePath

import psutil

from nbgraph.errors import NbgraphWarning

SOFT_LIMIT = 16 * 2**20
"""Bytes above which the next transaction that no person waits for empties the log."""
HARD_LIMIT = 64 * 2**20
"""Bytes above which the next transaction of any kind empties it."""

NETWORK_FILESYSTEMS = {
    *(
        "9p",
        "acfs",
        "afp",
        "afpfs",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "davfs",
        "gfs",
        "gfs2",
        "glusterfs",
        "gpfs",
    ),
    *("lustre", "ncp", "ncpfs", "nfs", "nfs3", "nfs4", "ocfs2", "orangefs", "pvfs2", "smb", "smb2", "smb3"),
    *("smbfs", "vboxsf", "vmhgfs", "webdav", "drvfs"),
}
LOCAL_FUSE = {"fuseblk", "fuse.ext2", "fuse.ntfs", "fuse.ntfs-3g", "fuse.exfat", "fuse.fuse-overlayfs", "fuse.portal"}


class WriteAheadLog:
    """Turns the log on if the folder allows it; else each transaction uses a rollback journal and is synced in full.

    `refused` is the reason why it is off, empty if it is on. The reason is reported once, as an `NbgraphWarning`.
    """

    def __init__(self, connection: sqlite3.Connection, database: Path) -> None:
        self._connection, self._path = connection, f"{database}-wal"
        self.refused = self._turn_on(database)
        connection.execute(f"PRAGMA synchronous={self.relaxed}")
        # SQLite would checkpoint within any commit, also in one that a person waits for
        connection.execute("PRAGMA wal_autocheckpoint=0")
        if self.refused:
            text = (
                f"{database.parent}: {self.refused}, so every change is synced to the disk, and small nodes run slower"
            )
            warnings.warn(f"{text}; a studio in a local folder is faster", NbgraphWarning, stacklevel=2)

    def _turn_on(self, database: Path) -> str:
        filesystem = network_filesystem(database.parent)
        # on a network filesystem SQLite accepts the log, which then fails between machines
        wanted = "DELETE" if filesystem else "WAL"
        (mode,) = self._connection.execute(f"PRAGMA journal_mode={wanted}").fetchone()
        if mode != "wal" and not filesystem:
            self._connection.execute("PRAGMA journal_mode=DELETE")
            return f"SQLite could not turn its write-ahead log on (it stays at {mode!r})"
        return f"the folder is on a network filesystem ({filesystem})" if filesystem else ""

    @property
    def relaxed(self) -> str:
        """The value of `PRAGMA synchronous` between durable transactions."""
        return "FULL" if self.refused else "NORMAL"

    def checkpoint_if_longer(self, limit: int) -> None:
        """Empty the log if it has more than `limit` bytes."""
        if self.refused:
            return
        with suppress(OSError):
            if os.stat(self._path).st_size > limit:
                self.checkpoint()

    def checkpoint(self) -> None:
        """Move the log into the database, if possible now."""
        # a reader may hold it; what stays in the log is as safe as what is in the database
        with suppress(sqlite3.OperationalError):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def network_filesystem(path: Path) -> str:
    """Return the type of the network filesystem that holds a path, empty for a local one.

    Filesystems in user space, such as `fuse.sshfs`, count as network ones unless they are known to be local.
    """
    place, found = path.resolve(), ""
    deepest = -1
    for mount in psutil.disk_partitions(all=True):
        depth = len(PurePath(mount.mountpoint).parts)
        # mounts nest, and the deepest one that contains the path holds it
        if depth >= deepest and place.is_relative_to(mount.mountpoint):
            deepest, kind = depth, mount.fstype.lower()
            is_network = kind in NETWORK_FILESYSTEMS or "remote" in mount.opts.split(",")
            found = kind if is_network or (kind.startswith("fuse.") and kind not in LOCAL_FUSE) else ""
    return found
