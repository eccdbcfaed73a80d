"""Measure what prompts give: `python -m nbgraph.models.emoji.evaluate --seeds 0 1 2 3`.

A generated picture counts as right when the drawing it is nearest to, on whatever ground, is the prompted one. The
distance between two seeds of one prompt is measured beside that between two prompts: a model that draws every prompt in
one way has none of the first.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from PIL import Image

from . import FOLDER, GUIDANCE, STEPS, checked, data
from .likeness import Gallery, all_apart, spread
from .nets import Pipeline, integers, load_pipeline

BATCH = 32


def load(folder: Path) -> Pipeline:
    """Load the model in single precision, without progress bars."""
    pipeline = load_pipeline(folder, torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def generate(
    pipeline: Pipeline, prompts: list[str], seed: int, steps: int = STEPS, guidance: float = GUIDANCE
) -> Iterator[torch.Tensor]:
    """Yield one uint8 image (3, side, side) a prompt, all from the same seed."""
    for first in range(0, len(prompts), BATCH):
        some = prompts[first : first + BATCH]
        generators = [torch.Generator().manual_seed(seed) for _ in some]
        made = pipeline(
            some, num_inference_steps=steps, guidance_scale=guidance, generator=generators, output_type="pt"
        )
        yield from (made.images * 255).round().to(torch.uint8)


def sheet(images: list[torch.Tensor], columns: int) -> Image.Image:
    """Lay uint8 images (3, side, side) out in rows; an incomplete last row is left out."""
    side = images[0].shape[-1]
    rows = torch.stack(images[: len(images) // columns * columns]).view(-1, columns, 3, side, side)
    return Image.fromarray(rows.permute(0, 3, 1, 4, 2).reshape(-1, columns * side, 3).numpy())


def accuracy(
    listed: list[data.Drawing], tried: list[int], gallery: Gallery, images: list[torch.Tensor], label: str
) -> None:
    """Print how many of the images show the drawings tried, all and core, and the misses."""
    found = integers(gallery.find(torch.stack(images).float() / 255).drawing)
    right = {index: index == other for index, other in zip(tried, found, strict=True)}
    core = [ok for index, ok in right.items() if listed[index].is_core]
    print(f"{label}: core {sum(core)} of {len(core)}, all {sum(right.values())} of {len(right)}", flush=True)
    misses = [(listed[i].name, listed[j].name) for i, j in zip(tried, found, strict=True) if i != j]
    print("  misses:", "; ".join(f"{asked} -> {got}" for asked, got in misses))


def main() -> None:
    """Print the accuracy over the core and over all names for each seed, the misses, and how far seeds differ."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=checked.model, default=FOLDER, help="folder of an exported model")
    parser.add_argument("--font", type=checked.font, default=str(data.FONT), help="Noto Color Emoji with bitmaps")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3])
    parser.add_argument("--steps", type=checked.count, default=STEPS)
    parser.add_argument("--guidance", type=float, default=GUIDANCE)
    parser.add_argument("--every", type=checked.count, default=1, help="try only every n-th name")
    parser.add_argument("--core", action="store_true", help="try only core names")
    parser.add_argument("--words", default="", help='words to add to every prompt, such as "blue"')
    parser.add_argument(
        "--sheet", type=checked.picture_to_write, help="write the pictures here, one row a name and one column a seed"
    )
    args = parser.parse_args()
    listed = data.drawings(args.font)
    gallery, pipeline = Gallery(data.layers(listed, args.font)), load(args.model)
    tried = [index for index, drawing in enumerate(listed) if drawing.is_core or not args.core][:: args.every]
    prompts = [f"{listed[index].name} {args.words}" for index in tried]
    made: list[list[torch.Tensor]] = []
    for seed in args.seeds:
        made.append(list(generate(pipeline, prompts, seed, args.steps, args.guidance)))
        accuracy(listed, tried, gallery, made[-1], f"seed {seed}")
    if len(args.seeds) > 1 and len(tried) > 1:
        pictures = torch.stack([torch.stack(images) for images in made], dim=1).float() / 255
        within, between = spread(pictures)
        apart = all_apart(pictures).sum()
        print(f"mean distance between seeds {within:.3f}, between prompts {between:.3f}")
        print(f"{apart} of {len(tried)} names have no two seeds that look alike")
    if args.sheet:
        sheet([image for images in zip(*made, strict=True) for image in images], len(args.seeds)).save(args.sheet)


if __name__ == "__main__":
    main()
