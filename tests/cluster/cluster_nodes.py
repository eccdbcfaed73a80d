"""Nodes that run on workers: quick and slow ones, ones that fail, that use memory up, and that end their process."""

import os
import signal
import time
import warnings
from collections.abc import Hashable, Sequence
from pathlib import Path
from threading import Lock
from time import monotonic, sleep
from typing import Any

from PIL import Image as PilImage

import nbgraph as nb
from nbgraph.errors import NbgraphError
from nbgraph.invocations import Iterate
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.outputs import IntegerOutput


@nb.node(type="test_cluster_patient", use_cache=False)
def patient(context: InvocationContext, value: int = 0, seconds: float = 0.3) -> int:
    """Take some time, in steps of a fiftieth of a second; return the process."""
    end, step = monotonic() + seconds, 0
    while monotonic() < end:
        sleep(0.02)
        step += 1
        context.progress(step, 1000)
    return os.getpid()


@nb.node(type="test_cluster_pattern")
def pattern(value: int = 0, side: int = 8) -> nb.Image:
    """Draw an image that depends on a number."""
    return PilImage.effect_mandelbrot((side, side), (-2, -1, 1, 1), 2 + value % 60).convert("RGB")


@nb.node(type="test_cluster_noise", use_cache=False)
def noise(side: int) -> nb.Image:
    """Return an image that no compression makes smaller."""
    return PilImage.frombytes("RGB", (side, side), os.urandom(3 * side * side))


@nb.node(type="test_cluster_text", use_cache=False)
def text(length: int) -> list[Any]:
    """Return a list of ten long texts."""
    return ["x" * (length // 10)] * 10


@nb.node(type="test_cluster_uncached", use_cache=False)
def uncached(image: nb.Image, value: int = 0) -> nb.Image:
    """Change an image; the result is not cached."""
    return image.point(lambda level: (level + value) % 256)


@nb.node(type="test_cluster_failing", use_cache=False)
def failing(notes: str, value: int = 0) -> int:
    """Fail, after noting that it was tried."""
    note(notes, "tried")
    raise NbgraphError(f"no {value} today")


@nb.node(type="test_cluster_hungry", use_cache=False)
def hungry(notes: str) -> int:
    """Run out of memory the first time."""
    note(notes, "tried")
    if lines(notes) == ["tried"]:
        raise MemoryError("not enough for everybody")
    return 7


@nb.node(type="test_cluster_fatal", use_cache=False)
def fatal(image: nb.Image, notes: str, times: int = 1) -> int:
    """Kill the process in which it runs, as often as asked, in the middle of what it does."""
    if len(lines(notes)) < times:
        note(notes, str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


@nb.node(type="test_cluster_lasting", use_cache=False)
def lasting(context: InvocationContext, notes: str) -> int:
    """Go on until it is started a second time; return how often it was."""
    note(notes, "begun")
    while lines(notes) == ["begun"]:
        sleep(0.02)
        context.progress(1, 1000)
    return len(lines(notes))


@nb.node(type="test_cluster_unsendable", use_cache=False)
def unsendable(value: int = 0) -> list[Any]:
    """Return what is not JSON."""
    return [object()]


class Held(Exception):  # noqa: N818 - an error of somebody else
    """An error that can be neither pickled nor, if asked for its text, shown."""

    def __init__(self, says: str) -> None:
        super().__init__(says)
        self.lock, self.says = Lock(), says

    def __str__(self) -> str:
        if not self.says:
            raise RuntimeError("no text")
        return self.says


@nb.node(type="test_cluster_leaving", use_cache=False)
def leaving(how: str = "") -> int:
    """Fail in a way that would harm who has to send the error."""
    if how == "exit":
        raise SystemExit(3)
    if how:
        raise Held("held" if how == "lock" else "")
    return 3


@nb.node(type="test_cluster_talking", use_cache=False)
def talking(context: InvocationContext) -> int:
    """Print, and warn in two ways."""
    print("x" * 100_000)  # noqa: T201 - what is printed on a worker goes to its log
    warnings.warn("not seen", stacklevel=1)
    context.warn("seen by a person")
    return 7


def set_zone(name: str) -> None:
    """Put this process into another time zone."""
    os.environ["TZ"] = name
    time.tzset()


@invocation("test_cluster_joined", category="test")
class Joined(BaseInvocation):
    """Count the nodes of a call; one call may take some time, fail, or kill its process once."""

    value: int
    seconds: float = 0.0
    fails: bool = False
    kills: str = ""

    def batch_key(self, context: InvocationContext) -> Hashable:
        return "all"

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        return self.invoke_batch([self], [context])[0]

    @staticmethod
    def invoke_batch(nodes: Sequence["Joined"], contexts: Sequence[InvocationContext]) -> list[IntegerOutput]:
        end = monotonic() + max(node.seconds for node in nodes)
        for node in nodes:
            if node.fails:
                raise NbgraphError(f"no {node.value} in a call of {len(nodes)}")
            if node.kills and not Path(node.kills).exists():
                Path(node.kills).touch(exist_ok=False)  # of two that try, one fails, and its nodes run one by one
                os.kill(os.getpid(), signal.SIGKILL)
        while monotonic() < end:
            sleep(0.02)
            for context in contexts:
                context.progress(1, 1000)
        return [IntegerOutput(value=100 * node.value + len(nodes)) for node in nodes]


def note(path: str, text: str) -> None:
    """Add a line to a file that several processes write."""
    with Path(path).open("a") as file:
        file.write(text + "\n")


def lines(path: str) -> list[str]:
    """Return the lines of that file."""
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def patterns(count: int) -> nb.BaseInvocation:
    """Return a node that draws an image for each of so many numbers."""
    return pattern(id="pattern", value=Iterate(id="each", collection=list(range(count))))
