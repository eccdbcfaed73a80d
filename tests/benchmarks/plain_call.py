"""Pictures by a graph beside the pipeline's own call, in one process and by its processor time.

The graph runs on the worker thread of its studio, the call on the thread of its caller. Each picture of a graph comes
between two of the plain call: even one call varies by a tenth.
"""

import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from picture_measures import MODEL, Figures

import nbgraph as nb
from nbgraph.invocations import DenoiseLatents, LatentsToImage, ModelLoader, Noise, Prompt

TEXT, CFG = "a red apple", 4.0
SMALL_STEPS, SMALL_SIDE, SMALL_PAIRS = 20, 128, 7
REAL_STEPS, REAL_SIDE, REAL_PAIRS = 2, 128, 3
Draw = Callable[[int], float]
"""Draws a picture with a seed; returns the seconds of processor time."""


def seconds_of(act: Callable[[], object]) -> float:
    began = time.process_time()
    act()
    return time.process_time() - began


def plain_call(folder: str, steps: int, side: int) -> Draw:
    """Return the pipeline's own call, which keeps its model loaded."""
    import torch
    from diffusers import StableDiffusionPipeline

    pipeline: Any = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)

    def draw(seed: int) -> float:
        size: dict[str, Any] = {"width": side, "height": side, "num_inference_steps": steps, "guidance_scale": CFG}
        generator = torch.Generator("cpu").manual_seed(seed)
        return seconds_of(lambda: pipeline(TEXT, negative_prompt="", generator=generator, **size))

    return draw


def by_graph(studio: nb.Studio, folder: str, steps: int, side: int, *, is_cached: bool = False) -> Draw:
    """Return the same by nodes, all of which run each time unless `is_cached`."""
    model = ModelLoader(model=folder)
    noise = Noise(id="noise", unet=model, seed=0, width=side, height=side)
    text, nothing = (Prompt(text=words, clip=model) for words in (TEXT, ""))
    settings: dict[str, Any] = {"steps": steps, "cfg_scale": CFG}
    latents = DenoiseLatents(unet=model, noise=noise, positive=text, negative=nothing, **settings)
    target = LatentsToImage(latents=latents, vae=model)

    def draw(seed: int) -> float:
        with nullcontext() if is_cached else studio.cache.off():
            return seconds_of(lambda: studio.run(target, {"noise.seed": seed}, progress=False))

    return draw


def beside(ours: Draw, plain: Draw, pairs: int) -> tuple[float, float]:
    """Return what ours takes of the plain call before and after each, and what each plain call takes of the last."""
    ours(0)
    plain(0)
    before, ratios, itself = plain(1), list[float](), list[float]()
    for seed in range(1, pairs + 1):
        own, after = ours(seed), plain(seed)
        ratios.append(2 * own / (before + after))
        itself.append(after / before)
        before = after
    return median(ratios), median(itself)


def pictures() -> Figures:
    """Twenty steps of the shipped model, by a graph and by the plain call; and eight seeds, together and one by one."""
    import torch
    from test_batch_throughput import SEEDS, timed
    from test_batch_throughput import pictures as seeds_together

    torch.set_num_threads(1)
    with nb.Studio(settings=nb.Settings(device="cpu")) as studio:
        plain = plain_call(MODEL, SMALL_STEPS, SMALL_SIDE)
        times, itself = beside(by_graph(studio, MODEL, SMALL_STEPS, SMALL_SIDE), plain, SMALL_PAIRS)
        node = seeds_together("emoji", range(SEEDS), steps=8)
        timed(studio, node, False, time.process_time)
        together, alone = (timed(studio, node, strict, time.process_time)[0] for strict in (False, True))
    return {
        "of the shipped model, a graph beside it": times,
        "of the shipped model, it beside itself": itself,
        "eight seeds beside eight alone": alone / together,
    }


def real_sizes() -> Figures:
    """Pictures of a model with the UNet and autoencoder of Stable Diffusion 1.5 at full size, with random weights."""
    import torch
    from gpu.sizes import build_sd15_sized

    torch.set_num_threads(1)
    with TemporaryDirectory() as parent, nb.Studio(settings=nb.Settings(device="cpu", dtype="float32")) as studio:
        folder = str(build_sd15_sized(Path(parent) / "model", "cpu"))
        plain = plain_call(folder, REAL_STEPS, REAL_SIDE)
        times, itself = beside(by_graph(studio, folder, REAL_STEPS, REAL_SIDE), plain, REAL_PAIRS)
    return {"a graph beside the plain pipeline call": times, "the plain pipeline call beside itself": itself}
