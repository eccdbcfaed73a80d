"""A kernel that stops between writing the file of a picture and its record: it dies there, or waits until it may go on.

`orphan_child.py FOLDER die` or `orphan_child.py FOLDER wait`; prints the name of the picture.
"""

import os
import signal
import sys

from PIL import Image

import nbgraph as nb
from nbgraph.services.shared.sqlite.store_folder import StoreFolder


def stop_after_writing(is_last: bool) -> None:
    """Let the next file that is written be the last thing its kernel does, or does until a line comes in."""
    write = StoreFolder.write

    def write_and_stop(self: StoreFolder, kind, name: str, *more, **options) -> None:
        write(self, kind, name, *more, **options)
        print(name, flush=True)
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)
        sys.stdin.readline()

    StoreFolder.write = write_and_stop


if __name__ == "__main__":
    folder, what = sys.argv[1:]
    with nb.Studio(folder) as studio:
        stop_after_writing(what == "die")
        studio.images.add(Image.new("L", (8, 8), 77))
