"""Which folders are on a network filesystem: SQLite's write-ahead log needs shared memory, which none of them has."""

from pathlib import Path, PurePath

import psutil

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


def network_filesystem(path: Path) -> str:
    """The type of the network filesystem that holds a path, empty for a local one.

    Filesystems in user space, such as `fuse.sshfs`, count as network ones unless they are known to be local.
    """
    place, found = path.resolve(), ""
    deepest = -1
    for mount in psutil.disk_partitions(all=True):
        depth = len(PurePath(mount.mountpoint).parts)
        if depth >= deepest and place.is_relative_to(mount.mountpoint):
            deepest, kind = depth, mount.fstype.lower()
            is_network = kind in NETWORK_FILESYSTEMS or "remote" in mount.opts.split(",")
            found = kind if is_network or (kind.startswith("fuse.") and kind not in LOCAL_FUSE) else ""
    return found
