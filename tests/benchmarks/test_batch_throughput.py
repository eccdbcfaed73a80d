"""Eight seeds drawn together against the same eight one by one: denoising and decoding, in one process."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sdxl_sized import build_sdxl_sized

from nbgraph import Run, Settings, Studio
from nbgraph.invocations import DenoiseLatents, Iterate, LatentsToImage, ModelLoader, Noise, Prompt

SEEDS = 8


def pictures(model: str, seeds: range, steps: int, size: int | None = None) -> LatentsToImage:
    """One picture for each seed."""
    loader = ModelLoader(model=model)
    noise = Noise(unet=loader, seed=Iterate(collection=list(seeds)), width=size, height=size)
    text, nothing = (Prompt(text=words, clip=loader) for words in ("a red apple", ""))
    denoise = DenoiseLatents(unet=loader, positive=text, negative=nothing, noise=noise, steps=steps, cfg_scale=4)
    return LatentsToImage(id="image", latents=denoise, vae=loader)


def timed(studio: Studio, node: LatentsToImage, strict: bool, clock: Callable[[], float]) -> tuple[float, Run]:
    """Seconds of denoising and decoding anew, all else cached before; and the run."""
    began = clock()
    with studio.cache.off():
        run = studio.run(node, progress=False, strict=strict)
    return clock() - began, run


def compare(studio: Studio, node: LatentsToImage, rounds: int, clock: Callable[[], float]) -> list[tuple[float, float]]:
    """Seconds (together, one by one) of each round, after one to warm up; the pictures must agree."""
    _, together = timed(studio, node, False, clock)
    _, apart = timed(studio, node, True, clock)
    assert max(together.stats.batch) == SEEDS
    assert max(apart.stats.batch) == 1
    largest = max(
        np.abs(np.asarray(one, int) - np.asarray(other, int)).max() for one, other in zip(together.images, apart.images)
    )
    print(f"\nlargest difference of a pixel: {largest} of 255")
    return [(timed(studio, node, False, clock)[0], timed(studio, node, True, clock)[0]) for _ in range(rounds)]


def report(what: str, rows: list[tuple[float, float]]) -> None:
    ratio = statistics.median(apart / together for together, apart in rows)
    together, apart = (statistics.median(column) for column in zip(*rows))
    print(f"{what}: {SEEDS} together {together:.2f} s, one by one {apart:.2f} s, {ratio:.2f} times the throughput")


def test_eight_seeds_of_the_shipped_model_on_a_cpu(benchmark):
    torch.set_num_threads(1)
    with Studio(settings=Settings(device="cpu")) as studio:
        node = pictures("emoji", range(SEEDS), steps=8)
        rows = benchmark.pedantic(lambda: compare(studio, node, 3, time.process_time), rounds=1)
    report("shipped model, CPU time, 1 thread, 8 steps", rows)


@pytest.mark.parametrize("size", [512, 1024])
def test_eight_seeds_of_a_model_of_the_size_of_sdxl_on_a_gpu(benchmark, tmp_path: Path, size: int):
    if not torch.cuda.is_available():
        benchmark.pedantic(lambda: None, rounds=1)
        print(
            f"\nthere is no GPU here: eight seeds of {size} x {size} pixels with a model of SDXL's size were not drawn"
        )
        return
    folder = build_sdxl_sized(tmp_path / "sdxl", "cuda")
    settings = Settings(device="cuda", dtype="float16", batch_pixels=SEEDS * size * size)
    with Studio(settings=settings) as studio:
        node = pictures(str(folder), range(SEEDS), steps=10, size=size)
        rows = benchmark.pedantic(lambda: compare(studio, node, 3, time.perf_counter), rounds=1)
    name, peak = torch.cuda.get_device_name(), torch.cuda.max_memory_allocated() / 2**30
    report(f"SDXL-sized, random weights, float16, {size} x {size}, 10 steps, {name}, {peak:.1f} GiB at most", rows)
