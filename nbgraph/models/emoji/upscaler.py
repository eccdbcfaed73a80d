"""Train the upscaler that ships: `python -m nbgraph.models.emoji.upscaler --work WORK --autoencoder A`.

It doubles a side. It learns 128 pixels from 64, the largest that the bitmaps of the font allow: half of its inputs are
drawings at half their size, half are what the autoencoder of 64 pixels makes of these, with the faults of a model.
Every twelfth drawing is held out and measured at the end. Minutes are those of the processor; the same command goes on
from the last checkpoint.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import l1_loss

from nbgraph.diffusion.compact_upscaler import CompactUpscaler

from . import FOLDER, checked, checkpoint, data
from .checkpoint import write_tensors
from .looks import Looks, show
from .nets import Autoencoder, backpropagate, from_array, integers, load_autoencoder, seed_torch, split
from .schedule import Schedule

WIDTH, LAYERS, SCALE = 32, 6, 2
BATCH, PATCH = 16, 32  # patches a step, and their side before they are enlarged
LEARNING_RATE = 2e-3
LATENT_NOISE = 0.05  # standard deviation, as in the training of the autoencoder
VARIANTS = 3  # of every drawing: as it is, and in random looks
HELD_OUT = 12  # every twelfth drawing
SEED = 0
FACTS = {"modelspec.title": "x2 for 64-pixel emoji", "modelspec.license": "OFL-1.1", "modelspec.author": "nbgraph"}
"""What the file says of itself: it was learnt from the drawings of Noto Color Emoji, and has their licence."""


@torch.no_grad()
def pairs(layers: torch.Tensor, vae: Autoencoder) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return drawings at 128 pixels, at 64, and at 64 by the autoencoder: uint8, (variants * n, 3, side, side)."""
    generator = torch.Generator().manual_seed(SEED)
    large: list[torch.Tensor] = []
    small: list[torch.Tensor] = []
    decoded: list[torch.Tensor] = []
    for variant in range(VARIANTS):
        for some in split(layers, 64):
            count = len(some)
            look = Looks.draw(count, generator, posed=variant > 1) if variant else Looks.plain(count)
            pictures = show(some, look)
            half = data.halved(pictures)
            latents = vae.encode(2 * half - 1).latents
            noise = LATENT_NOISE * torch.randn(latents.shape, generator=generator)
            made = (vae.decode(latents + noise).sample / 2 + 0.5).clamp(0, 1)
            for each, tensor in ((large, pictures), (small, half), (decoded, made)):
                each.append((255 * tensor).round().to(torch.uint8))
    return torch.cat(large), torch.cat(small), torch.cat(decoded)


def patches(
    large: torch.Tensor, small: torch.Tensor, decoded: torch.Tensor, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw a batch of inputs (n, 3, 32, 32) and what they are to become (n, 3, 64, 64), in [0, 1]."""
    inputs: list[torch.Tensor] = []
    wanted: list[torch.Tensor] = []
    side = small.shape[-1] - PATCH + 1
    for index in integers(torch.randint(len(small), (BATCH,), generator=generator)):
        row, column = integers(torch.randint(side, (2,), generator=generator))
        source = small if torch.rand((), generator=generator) < 0.5 else decoded
        turns = int(torch.randint(4, (), generator=generator))
        given = source[index, :, row : row + PATCH, column : column + PATCH]
        made = large[index, :, 2 * row : 2 * (row + PATCH), 2 * column : 2 * (column + PATCH)]
        inputs.append(given.rot90(turns, (1, 2)))
        wanted.append(made.rot90(turns, (1, 2)))
    return torch.stack(inputs) / 255, torch.stack(wanted) / 255


def train(
    model: CompactUpscaler, drawn: tuple[torch.Tensor, torch.Tensor, torch.Tensor], schedule: Schedule, path: Path
) -> None:
    """Train in place, going on from the checkpoint at `path`, if any; print the mean absolute error."""
    optimizer: Any = torch.optim.AdamW(model.parameters(), LEARNING_RATE, betas=(0.9, 0.99))
    if path.exists():
        facts = checkpoint.load(path, {"upscaler": model}, optimizer)
        schedule.step, schedule.spent = int(facts["step"]), facts["seconds"]
    generator = torch.Generator().manual_seed(SEED + schedule.step)
    mean_error, saved = 0.0, time.monotonic()
    for step, progress in schedule:
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * schedule.warmed(step, 100) * (1 - progress) ** 0.75
        inputs, wanted = patches(*drawn, generator)
        error = l1_loss(model(inputs), wanted)
        optimizer.zero_grad()
        backpropagate(error)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        mean_error += 0.02 * (error.item() - mean_error) if mean_error else error.item()
        if step % 100 == 0:
            print(f"step {step}, {schedule.spent:.0f} s: mean absolute error {mean_error:.4f}", flush=True)
        if time.monotonic() - saved > 300:
            checkpoint.save(path, {"upscaler": model}, optimizer, step=step + 1, seconds=schedule.spent)
            saved = time.monotonic()
    checkpoint.save(path, {"upscaler": model}, optimizer, step=schedule.step, seconds=schedule.spent)


@torch.no_grad()
def measure(model: CompactUpscaler, held: tuple[torch.Tensor, ...]) -> None:
    """Print the mean peak signal-to-noise ratio of held-out drawings, in dB, beside those of Lanczos."""
    large, *inputs = held
    for name, small in zip(("drawings", "by the autoencoder"), inputs, strict=True):
        ours = torch.cat([model(some / 255).clamp(0, 1) for some in split(small, 32)])
        lanczos = torch.stack([enlarged_by_lanczos(each) for each in small])
        ratios = [ratio(made, large / 255).mean() for made in (ours, lanczos)]
        better = (ratio(ours, large / 255) > ratio(lanczos, large / 255)).float().mean()
        print(f"{name}: {ratios[0]:.2f} dB, Lanczos {ratios[1]:.2f} dB, better for {better:.1%} of {len(large)}")


def ratio(made: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Return the peak signal-to-noise ratio of each picture (n, 3, h, w) in [0, 1], in dB."""
    return -10 * (made - wanted).square().flatten(1).mean(dim=1).clamp(min=1e-10).log10()


def enlarged_by_lanczos(small: torch.Tensor) -> torch.Tensor:
    """Return a uint8 picture (3, h, w) at twice its size, in [0, 1], as Pillow makes it."""
    picture = Image.fromarray(small.permute(1, 2, 0).numpy())
    made = picture.resize((2 * picture.width, 2 * picture.height), Image.Resampling.LANCZOS)
    return from_array(np.asarray(made).copy()).permute(2, 0, 1) / 255


def export(model: CompactUpscaler, path: Path) -> None:
    """Write the weights in half precision, and give the model these."""
    half = {name: tensor.half() for name, tensor in model.state_dict().items()}
    write_tensors(half, path, **FACTS)
    model.load_state_dict({name: tensor.float() for name, tensor in half.items()})


def main() -> None:
    """Train, measure, and write the weights in half precision."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--work", type=checked.folder_to_write, required=True, help="folder for the checkpoint; reused if it exists"
    )
    parser.add_argument(
        "--autoencoder",
        type=checked.autoencoder_of_64,
        required=True,
        help="that of 64 pixels: `autoencoder` in the work folder of `train`",
    )
    parser.add_argument(
        "--out", type=checked.file_to_write, default=FOLDER.parent / "emoji_x2.safetensors", help="file to write"
    )
    parser.add_argument("--font", type=checked.font, default=str(data.FONT), help="Noto Color Emoji with bitmaps")
    parser.add_argument(
        "--minutes", type=checked.above_zero, default=30, help="how long to train, by the processor's time"
    )
    parser.add_argument("--threads", type=checked.count, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    seed_torch(SEED)
    args.work.mkdir(parents=True, exist_ok=True)
    vae = load_autoencoder(args.autoencoder, torch.float32).eval()
    listed = data.drawings(args.font)
    layers = data.layers(listed, args.font)
    held = torch.arange(len(listed)) % HELD_OUT == HELD_OUT // 2
    model = CompactUpscaler(WIDTH, LAYERS, SCALE)
    schedule = Schedule(minutes=args.minutes, clock=time.process_time)
    train(model, pairs(layers[~held], vae), schedule, args.work / "upscaler.safetensors")
    export(model, args.out)
    # the first variant is the drawings as they are
    measure(model.eval(), tuple(each[: int(held.sum())] for each in pairs(layers[held], vae)))


if __name__ == "__main__":
    main()
