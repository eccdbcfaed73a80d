"""What this process has open, by name: files, pipes, sockets. Using a studio, or opening another one, adds nothing."""

import gc
import os
import re
from collections import Counter
from contextlib import suppress
from time import monotonic, sleep

import psutil

DRAWN = re.compile(r"[0-9a-f]{8,}|\d+")
"""Numbers, and names that are drawn anew for each studio."""
SECONDS = 60.0


def open_descriptors() -> Counter[str]:
    """Count what is open, by path or by kind, such as `socket:[*]`; drawn names and numbers are written as `*`."""
    if not os.path.isdir("/proc/self/fd"):
        return Counter(descriptors=psutil.Process().num_fds())
    found: Counter[str] = Counter()
    for number in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # closed meanwhile, as the descriptor that this list was read from
            found[DRAWN.sub("*", os.readlink(f"/proc/self/fd/{number}"))] += 1
    return found


def opened_since(before: Counter[str], seconds: float = SECONDS) -> dict[str, int]:
    """Return what is open beyond `before`, and how often; what threads and dropped studios close soon is waited for."""
    end = monotonic() + seconds
    while (grown := open_descriptors() - before) and monotonic() < end:
        gc.collect()
        sleep(0.02)
    return dict(grown)
