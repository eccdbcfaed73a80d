"""Room on the disk that is kept for deleting: a deletion is noted in the database before anything is freed."""

import os
from contextlib import suppress

from nbgraph.services.shared.sqlite.store_folder import StoreFolder

RESERVE_BYTES = 2**20


class Reserve:
    """A file of 1 MB in the folder. It is given up when the disk is full, and made again when there is room."""

    def __init__(self, folder: StoreFolder) -> None:
        self._path = folder.reserve

    def keep(self) -> None:
        """Make the file if it is not there; nothing where there is no room, or the folder cannot be written."""
        with suppress(OSError):
            if not self._path.exists():
                try:
                    self._path.write_bytes(os.urandom(RESERVE_BYTES))  # bytes that no filesystem makes smaller
                except OSError:
                    self.release()

    def release(self) -> bool:
        """Give the room up; False if none was kept."""
        with suppress(OSError):
            self._path.unlink()
            return True
        return False
