"""The folder of a studio. Only this module makes paths in it and writes files there.

    nbgraph.db   nbgraph.log   images/ab/<name>.png   thumbnails/ab/<name>.webp   tensors/ab/<name>.safetensors
    reserve   tmp/<name>.<kernel>   locks/<kernel>.lock   locks/write.lock   locks/adds.count   locks/drops.count
    backups/nbgraph-<time>-<format>.db

Names are generated, 32 hexadecimal digits; every name is checked for that before it becomes part of a path.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal, cast

from nbgraph.errors import ForkedStoreError, StoreError, StoreGoneError
from nbgraph.services.shared.names import checked_name, is_name
from nbgraph.services.shared.sqlite.store_errors import translate_errors

FileKind = Literal["images", "thumbnails", "tensors"]
SUFFIXES: dict[FileKind, str] = {"images": ".png", "thumbnails": ".webp", "tensors": ".safetensors"}
RESERVE_BYTES = 2**20
"""Room on the disk that is kept for deleting: a deletion is noted in the database before anything is freed."""


class StoreFolder:
    """Paths, and files that are written whole or not at all.

    Raises
    ------
    StoreError
        `root` is empty, or not a path of text.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        path = _path_text(root)
        if path is None:
            raise StoreError(f"the folder of a studio is a text or a Path, not {repr(root)[:80]}")
        if not path:
            raise StoreError("the name of a studio's folder is empty; give one, or none for a studio in memory")
        self.root = Path(path).expanduser().absolute()

    @property
    def database(self) -> Path:
        return self.root / "nbgraph.db"

    @property
    def backups(self) -> Path:
        return self.root / "backups"

    @property
    def locks(self) -> Path:
        return self.root / "locks"

    @property
    def write_lock(self) -> Path:
        return self.locks / "write.lock"

    @property
    def reserve(self) -> Path:
        """The file of the `Reserve`."""
        return self.root / "reserve"

    @property
    def log(self) -> Path:
        return self.root / "nbgraph.log"

    def counter(self, name: str) -> Path:
        """Return the file of a `SharedCounter`."""
        return self.locks / f"{name}.count"

    def lease(self, kernel: str) -> Path:
        """Return the file that a kernel keeps locked while it lives."""
        return self.locks / f"{checked_name(kernel)}.lock"

    def path(self, kind: FileKind, name: str) -> Path:
        """Return the path of a resource's file.

        Raises
        ------
        InvalidNameError
            The name is not a generated one, so it could lead out of the folder.
        """
        return self.root / kind / checked_name(name)[:2] / f"{name}{SUFFIXES[kind]}"

    def make(self) -> None:
        """Create the folder and its subfolders, readable by their owner only."""
        with translate_errors(self.root):
            # prompts and images are private
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in ("tmp", "locks", "backups", *SUFFIXES):
                (self.root / name).mkdir(mode=0o700, exist_ok=True)

    def write(self, kind: FileKind, name: str, data: bytes, kernel: str, durable: bool = True) -> None:
        """Write a file so that it exists whole or not at all: temporary file, fsync, rename, fsync of the folder.

        Parameters
        ----------
        kind, name
            Which file.
        data
            Its bytes.
        kernel
            The kernel that writes; it is part of the temporary name, so that what it leaves can be removed later.
        durable
            Sync to the disk, so that a power cut loses nothing.

        Raises
        ------
        StoreFullError, StoreReadOnlyError, StoreError
            The file cannot be written; nothing is left behind.
        """
        path = self.path(kind, name)
        temporary = self.root / "tmp" / f"{name}{SUFFIXES[kind]}.{kernel}"
        with translate_errors(path):
            try:
                self._fill(temporary, data, durable)
                self._put_in_place(temporary, path)
                if durable:
                    sync_folder(path.parent)
            except BaseException:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)
                raise

    def read(self, kind: FileKind, name: str) -> bytes | None:
        """Return the bytes of a file, or None if it does not exist. Links are not followed."""
        path = self.path(kind, name)
        with translate_errors(path):
            try:
                # NOFOLLOW: a link put in the folder could lead to any file of this user
                descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
            except FileNotFoundError:
                return None
            with os.fdopen(descriptor, "rb") as stream:
                return stream.read()

    def state(self, kind: FileKind, name: str) -> tuple[int, int] | None:
        """Return (size in bytes, time of the last change in ns) of a file, or None if it does not exist."""
        try:
            found = os.stat(self.path(kind, name), follow_symlinks=False)
        except OSError:
            return None
        return found.st_size, found.st_mtime_ns

    def remove(self, kind: FileKind, name: str) -> bool:
        """Remove a file; False if there was none."""
        path = self.path(kind, name)
        with translate_errors(path):
            try:
                path.unlink()
            except FileNotFoundError:
                return False
        return True

    def names(self, kind: FileKind) -> Iterator[str]:
        """Yield the names of all files of a kind. Files without a generated name are skipped."""
        for folder in _folders_in(self.root / kind):
            # another kernel may have removed the folder as empty just now
            with suppress(FileNotFoundError), os.scandir(folder) as files:
                for file in files:
                    name, suffix = os.path.splitext(file.name)
                    if suffix == SUFFIXES[kind] and name.startswith(folder.name) and is_name(name):
                        yield name

    def temporary_files(self, kernel: str) -> Iterator[Path]:
        """Return the temporary files of a kernel."""
        return (self.root / "tmp").glob(f"*.{checked_name(kernel)}")

    def _put_in_place(self, temporary: Path, path: Path) -> None:
        """Rename a file into its folder, again if `remove_empty_folders` of another kernel removes that meanwhile."""
        for is_last in (False, False, True):
            path.parent.mkdir(mode=0o700, exist_ok=True)
            try:
                temporary.rename(path)
                return
            except FileNotFoundError:
                if is_last:
                    raise

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Return (files, bytes) of the thumbnails, the backups, and the database with its write-ahead log."""
        ends = ("", "-wal", "-shm")
        found = {
            "thumbnails": (self.root / "thumbnails").rglob("*.webp"),
            "backups": self.backups.glob("*.db"),
            "database": (path for end in ends if (path := Path(f"{self.database}{end}")).exists()),
        }
        sizes = {part: [path.stat().st_size for path in paths] for part, paths in found.items()}
        return {part: (len(each), sum(each)) for part, each in sizes.items()}

    def remove_thumbnails(self) -> None:
        """Remove all thumbnails; they are made again on demand."""
        for path in (self.root / "thumbnails").rglob("*.webp"):
            path.unlink(missing_ok=True)

    def remove_backups(self) -> None:
        """Remove the copies of the database that were made before its format changed."""
        for path in self.backups.glob("*.db"):
            path.unlink(missing_ok=True)

    def remove_empty_folders(self) -> None:
        """Remove the folders that hold no files any more."""
        for kind in SUFFIXES:
            for path in (self.root / kind).glob("??"):
                with suppress(OSError):  # it is not empty
                    path.rmdir()

    def _fill(self, path: Path, data: bytes, durable: bool) -> None:
        # "x": two saves must never share a temporary file
        with open(path, "xb") as stream:
            stream.write(data)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())


class OpenedDatabase:
    """The database file as this process opened it; it is refused in a forked process, and once it is another file."""

    def __init__(self, folder: StoreFolder) -> None:
        self._folder = folder
        self._process = os.getpid()
        self._identity = self._current_identity()

    @property
    def is_of_this_process(self) -> bool:
        """True if this process opened it, and not one that it was forked from."""
        return self._process == os.getpid()

    def refuse_fork(self) -> None:
        """Raise `ForkedStoreError` in a forked process.

        Called before any lock is taken: one that a thread of the parent held at the fork is never released here.
        """
        if not self.is_of_this_process:
            root = self._folder.root
            raise ForkedStoreError(f"{root} was opened before a fork; open it again in the forked process")

    def refuse_another(self) -> None:
        """Raise `StoreGoneError` if the file was deleted or replaced since."""
        if self._current_identity() != self._identity:
            text = f"{self._folder.database} was deleted or replaced while it was open; nothing was written"
            raise StoreGoneError(f"{text}. Put it back, or open a new studio")

    def _current_identity(self) -> tuple[int, int] | None:
        try:
            state = os.stat(self._folder.database)
        except OSError:
            return None
        return state.st_dev, state.st_ino


class Reserve:
    """A file of 1 MB that is removed when the disk is full, and written again when there is room."""

    def __init__(self, folder: StoreFolder) -> None:
        self._path = folder.reserve

    def keep(self) -> None:
        """Write the file if it does not exist; do nothing without room, or in a read-only folder."""
        with suppress(OSError):
            if not self._path.exists():
                try:
                    # random bytes, as some filesystems compress zeros to nothing
                    self._path.write_bytes(os.urandom(RESERVE_BYTES))
                except OSError:
                    self.release()

    def release(self) -> bool:
        """Remove the file; return False if there was none."""
        with suppress(OSError):
            self._path.unlink()
            return True
        return False


def _path_text(root: object) -> str | None:
    """Return a path as text; None for what is not a path, since callers pass what a person gave."""
    path = os.fspath(cast("os.PathLike[str] | os.PathLike[bytes]", root)) if isinstance(root, os.PathLike) else root
    return path if isinstance(path, str) and "\0" not in path else None


def _folders_in(path: Path) -> list[os.DirEntry[str]]:
    """Return the subfolders of files: those whose names are two characters, the first two of the files'."""
    with os.scandir(path) as found:
        return [each for each in found if len(each.name) == 2 and each.is_dir(follow_symlinks=False)]


def sync_folder(path: Path) -> None:
    """Make a rename in a folder survive a power cut; do nothing where folders cannot be synced."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
