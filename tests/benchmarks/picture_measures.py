"""Figures of fresh processes: the first studio, the first picture, pictures beside busy cores."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbgraph as nb

QUIET_FLOOR = 3.3e-6
"""Seconds of F on a quiet machine."""
PATH = os.pathsep.join([str(Path(__file__).parent.parent), *sys.path])
MODEL = str(Path(nb.__file__).parent / "models" / "emoji")
Figures = dict[str, float]


def child(code: str) -> str:
    """Run code in a fresh process that finds what this one finds; return what it prints last."""
    environment = {**os.environ, "PYTHONPATH": PATH}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


STUDIO = """
import time
import ipykernel.kernelapp
from floor import floor_seconds
before = floor_seconds(3_000, 1)
began = time.process_time()
import nbgraph as nb
nb.Studio()
seconds = time.process_time() - began
print(seconds / ((before + floor_seconds(3_000, 1)) / 2))
"""


def first_studio() -> Figures:
    """The first studio of a kernel, with all that it imports but torch, which loads in the background."""
    return {"first nb.Studio() in a kernel": float(child(STUDIO)) * QUIET_FLOOR}


PICTURE = """
import time
import nbgraph as nb
from pictures import apple
with nb.Studio() as studio:
    studio.run(apple(steps=4), progress=False).images[0].load()
    print(time.process_time())
"""
PLAIN = """
import time
import torch
from diffusers import StableDiffusionPipeline
pipeline = StableDiffusionPipeline.from_pretrained({model!r}, dtype=torch.float32, local_files_only=True)
pipeline.set_progress_bar_config(disable=True)
pipeline("a red apple", negative_prompt="", num_inference_steps=4, guidance_scale=4.0).images[0].load()
print(time.process_time())
"""


def first_picture() -> Figures:
    """A picture of a fresh process, everything in it, beside the same with diffusers alone before and after it.

    Both are read when the picture is there: neither has released its model, which a studio does when it is closed.
    """
    plain = PLAIN.format(model=MODEL)
    before = float(child(plain))
    ours = float(child(PICTURE))
    return {"first picture beside plain diffusers": ours / ((before + float(child(plain))) / 2)}


PICTURES = """
import statistics, sys, time
import nbgraph as nb
from pictures import apple
studio = nb.Studio()
def seconds(seed):
    began = time.perf_counter(), time.process_time()
    studio.run(apple(seed, steps=8), progress=False)
    return time.perf_counter() - began[0], time.process_time() - began[1]
seconds(0)
print("ready", flush=True)
for line in sys.stdin:
    print(*map(statistics.median, zip(*[seconds(int(line) + number) for number in range(1, 6)])), flush=True)
"""


@contextlib.contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """Within the block, so many processes do nothing but count."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        time.sleep(0.3)
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def busy() -> Figures:
    """Pictures of the shipped model while two other processes want the cores, beside the same without these.

    Threads that spin while they wait show in the processor time, which does not depend on what else the machine does.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "MKL_"))}
    drawing = subprocess.Popen(
        [sys.executable, "-c", PICTURES],
        env={**environment, "PYTHONPATH": PATH},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert drawing.stdin is not None
    assert drawing.stdout is not None
    asked, answers = drawing.stdin, drawing.stdout

    def pictures(seed: int) -> tuple[float, float]:
        asked.write(f"{seed}\n")
        asked.flush()
        seconds, of_processor = map(float, answers.readline().split())
        return seconds, of_processor

    try:
        assert answers.readline() == "ready\n"
        before = pictures(1)
        with busy_loops(2):
            beside = pictures(11)
        pairs = zip(beside, before, pictures(21))
        ratios = [during / ((one + other) / 2) for during, one, other in pairs]
        return dict(zip(("a picture beside two busy loops", "its processor time beside them"), ratios))
    finally:
        asked.close()
        drawing.wait()
