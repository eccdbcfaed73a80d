"""Measure how often a prompt gives its own drawing: `python -m nbgraph.models.emoji.evaluate --seeds 0 1 2 3`.

A generated picture counts as right when the nearest of all drawings, by mean squared difference at 32x32 pixels, is
the prompted one.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from torch.nn.functional import avg_pool2d

from . import FOLDER, GUIDANCE, STEPS, data

BATCH = 32


def features(images: torch.Tensor) -> torch.Tensor:
    """uint8 images (n, 3, 64, 64) -> float rows (n, 3072): 32x32 pixels in [-1, 1]."""
    return avg_pool2d(data.to_signed(images), 2).flatten(1)


def nearest(images: torch.Tensor, drawn: torch.Tensor) -> list[int]:
    """Return for each generated image (n, 3, 64, 64) the index of the nearest of the drawings (m, 3, 64, 64)."""
    return torch.cdist(features(images), features(drawn)).argmin(dim=1).tolist()


def load(folder: Path) -> StableDiffusionPipeline:
    """Load the model in single precision, without progress bars."""
    pipeline = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def generate(
    pipeline: StableDiffusionPipeline, prompts: list[str], seed: int, steps: int = STEPS, guidance: float = GUIDANCE
) -> Iterator[torch.Tensor]:
    """Yield one uint8 image (3, 64, 64) a prompt, all from the same seed."""
    for first in range(0, len(prompts), BATCH):
        some = prompts[first : first + BATCH]
        generators = [torch.Generator().manual_seed(seed) for _ in some]
        made = pipeline(
            some, num_inference_steps=steps, guidance_scale=guidance, generator=generators, output_type="pt"
        )
        yield from (made.images * 255).round().to(torch.uint8)


def sheet(images: list[torch.Tensor], columns: int) -> Image.Image:
    """Lay uint8 images (3, 64, 64) out in rows; an incomplete last row is left out."""
    rows = torch.stack(images[: len(images) // columns * columns]).view(-1, columns, 3, 64, 64)
    return Image.fromarray(rows.permute(0, 3, 1, 4, 2).reshape(-1, columns * 64, 3).numpy())


def main() -> None:
    """Print the accuracy over the core and over all names for each seed, and the misses."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=FOLDER)
    parser.add_argument("--font", type=Path, default=data.FONT)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3])
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--guidance", type=float, default=GUIDANCE)
    parser.add_argument("--every", type=int, default=1, help="try only every n-th name")
    parser.add_argument("--sheet", type=Path, help="write the pictures of the first seed here")
    args = parser.parse_args()
    listed = data.drawings(args.font)
    drawn, pipeline = data.canvases(listed, args.font), load(args.model)
    tried = list(range(0, len(listed), args.every))
    for seed in args.seeds:
        images = list(generate(pipeline, [listed[i].name for i in tried], seed, args.steps, args.guidance))
        found = nearest(torch.stack(images), drawn)
        right = {index: index == other for index, other in zip(tried, found, strict=True)}
        core = [ok for index, ok in right.items() if listed[index].is_core]
        print(f"seed {seed}: core {sum(core)} of {len(core)}, all {sum(right.values())} of {len(right)}", flush=True)
        misses = [(listed[i].name, listed[j].name) for i, j in zip(tried, found, strict=True) if i != j]
        print("  misses:", "; ".join(f"{asked} -> {got}" for asked, got in misses))
        if args.sheet and seed == args.seeds[0]:
            sheet(images, columns=24).save(args.sheet)


if __name__ == "__main__":
    main()
