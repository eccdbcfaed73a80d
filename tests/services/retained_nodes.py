"""Nodes that save tensors and intermediate pictures, and what a studio keeps of them."""

import gc
import threading
from datetime import UTC, datetime, timedelta
from time import monotonic, sleep

from PIL import Image

from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput, invocation
from nbgraph.invocations.fields import ImageField, LatentsField
from nbgraph.invocations.outputs import IntegerOutput

SIZE = 2**16


class MadeOutput(BaseInvocationOutput):
    """Latents and an intermediate picture."""

    latents: LatentsField
    image: ImageField


class Torch:
    """Tensors to be saved, without a model."""

    def __init__(self, number: int) -> None:
        self.number = number

    def to_tensors(self):
        import torch

        return {"latents": torch.full((1, 4, 64, 64), float(self.number))}, {"number": self.number}


@invocation("test_makes", title="Makes", category="test")
class Makes(BaseInvocation):
    """Saves tensors and an intermediate picture."""

    number: int = 0

    def invoke(self, context) -> MadeOutput:
        name = context.tensors.save(Torch(self.number))
        picture = Image.new("L", (64, 64), self.number % 256)
        made = context.images.output(picture, is_intermediate=True)
        return MadeOutput(latents=LatentsField(latents_name=name), image=made.image)


class Gate:
    """Lets a test do something in the middle of a run."""

    reached, go = threading.Event(), threading.Event()
    fails = False


@invocation("test_uses", title="Uses", category="test", use_cache=False)
class Uses(BaseInvocation):
    """Waits for the gate, then opens what it was given."""

    latents: LatentsField
    image: ImageField

    def invoke(self, context) -> IntegerOutput:
        Gate.reached.set()
        assert Gate.go.wait(20)
        if Gate.fails:
            raise ValueError("fails on purpose")
        _, metadata = context.tensors.get(self.latents.latents_name)
        assert context.images.get(self.image).width == 64
        return IntegerOutput(value=metadata["number"])


def counts(studio) -> tuple[int, int]:
    """(tensors, intermediate pictures) that are kept."""
    services = studio.services
    return len(services.latents.records()), len(services.retention._intermediates())


def is_cleaned_to(studio, expected, seconds=60.0) -> bool:
    """Whether cleaning leaves so much; the worker may hold a session for a moment after its end."""
    end = monotonic() + seconds
    while (left := counts(studio)) != expected and monotonic() < end:
        gc.collect()
        studio.clean()
        sleep(0.01)
    return left == expected


def run_and_drop(studio, number: int) -> None:
    studio.run(Makes(id="makes", number=number), progress=False)


def aged(studio, days: float) -> None:
    """Let everything in a folder be so many days older."""
    ago = timedelta(days=days)
    then = (datetime.now(UTC) - ago).isoformat()
    with studio.services.database.transaction() as connection:
        connection.execute("UPDATE tensors SET created = ?", (then,))
        connection.execute("UPDATE images SET created = ?", (then,))
        connection.execute("UPDATE queue SET ended = ended - ?", (ago.total_seconds(),))
