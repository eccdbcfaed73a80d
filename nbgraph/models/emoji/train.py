"""Train the emoji model from the font alone: `python -m nbgraph.models.emoji.train --work WORK --out OUT --minutes 90`.

Four stages, each kept in the work folder and skipped when it is already there: the autoencoder, the bank of latents of
every drawing in every placement, the denoiser with its text encoder, and the export as a diffusers folder. Stop it at
any time; the same command goes on from the last checkpoint.
"""

import argparse
import os
import random
import time
from pathlib import Path

import torch
from diffusers import AutoencoderTiny
from safetensors.torch import load_file, save_file
from torch import distributed
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import PreTrainedTokenizerFast

from . import FOLDER, autoencoder, checkpoint, data
from .denoiser import Denoiser
from .export import export_trained
from .schedule import Schedule
from .text import Prompts, build_tokenizer

SEED = 0
BATCH = 64
LEARNING_RATE = 1.2e-3
WARMUP = 200  # steps
CORE_WEIGHT = 2.0  # how much more often a core drawing is shown
SAVE_SECONDS = 300
AVERAGE_EVERY, AVERAGE_DECAY = 5, 0.995  # a running average over some 1,000 steps


def trained_autoencoder(work: Path, pixels: torch.Tensor, minutes: float, device: str) -> AutoencoderTiny:
    """Return the autoencoder of the work folder, training it first if there is none."""
    folder = work / "autoencoder"
    if not folder.exists():
        model = autoencoder.build().to(device)
        autoencoder.train(model, pixels.flatten(0, 1), Schedule(minutes=minutes))
        model.save_pretrained(folder)
    return AutoencoderTiny.from_pretrained(folder).eval().to(device)


def write_latents(work: Path, model: AutoencoderTiny, pixels: torch.Tensor) -> None:
    """Encode all drawings in all placements, then all mirrored: (drawings, 2 x placements, 4, 16, 16)."""
    plain = pixels.flatten(0, 1)
    both = [autoencoder.encode(model, images) for images in (plain, plain.flip(-1))]
    latents = torch.cat([part.view(*pixels.shape[:2], 4, 16, 16) for part in both], dim=1)
    save_file({"latents": latents}, work / "latents.safetensors")


def scaled_latents(work: Path) -> tuple[torch.Tensor, float]:
    """Return the latents that `write_latents` wrote, brought to unit deviation, and the factor that did so."""
    latents = load_file(work / "latents.safetensors")["latents"]
    factor = 1 / latents.std().item()
    return latents * factor, factor


def named_drawings(font: Path) -> tuple[list[data.Drawing], list[list[str]], PreTrainedTokenizerFast]:
    """Return the drawings, the names of each, and a tokenizer for those names."""
    listed = data.drawings(font)
    names = data.all_names(listed)
    return listed, names, build_tokenizer([name for own in names for name in own])


def draw_batch(
    chance: random.Random, count: int, listed: list[data.Drawing], prompts: Prompts, bank: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (latents (count, 4, 16, 16), token ids (count, TOKENS)) of randomly chosen drawings and placements."""
    weights = [CORE_WEIGHT if drawing.is_core else 1.0 for drawing in listed]
    chosen = chance.choices(range(len(listed)), weights, k=count)
    copies = [chance.randrange(bank.shape[1] if listed[index].can_mirror else bank.shape[1] // 2) for index in chosen]
    tokens = torch.tensor([prompts.draw(index, chance) for index in chosen])
    return bank[chosen, copies], tokens


def train_denoiser(rank: int, args: argparse.Namespace) -> None:
    """Train UNet and text encoder together until the schedule ends, then leave them in the work folder.

    On a CPU one process a core, each on its share of the batch, is half as fast again as one process on all cores, and
    twice as fast when other programs use them too. The running average of the weights draws better than the last ones.
    """
    listed, names, tokenizer = named_drawings(args.font)
    prompts = Prompts(tokenizer, names)
    bank, _ = scaled_latents(args.work)
    torch.manual_seed(SEED)
    model = Denoiser(tokenizer).to(args.device)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(AVERAGE_DECAY))
    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, betas=(0.9, 0.99), weight_decay=0.0, fused=True)
    schedule = Schedule(steps=args.steps, minutes=args.minutes)
    path, parts = args.work / "denoiser.safetensors", {"model": model, "average": average}
    if path.exists():
        facts = checkpoint.load(path, parts, optimizer)
        schedule.first, schedule.spent = int(facts["step"]), facts["seconds"]
    if args.processes > 1:
        torch.set_num_threads(1)
        schedule.agree = first_process_decides
        distributed.init_process_group(
            "gloo", f"file://{args.work.resolve() / 'meeting'}", rank=rank, world_size=args.processes
        )
    together = DistributedDataParallel(model) if args.processes > 1 else model
    torch.manual_seed(SEED + schedule.first + rank)
    chance = random.Random(SEED + schedule.first + rank)
    mean_loss, saved = 1.0, time.monotonic()
    for step, progress in schedule:
        latents, tokens = draw_batch(chance, BATCH // args.processes, listed, prompts, bank)
        loss = together(latents.to(args.device), tokens.to(args.device))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        rate = LEARNING_RATE * schedule.warmed(step, WARMUP) * (1 - progress) ** 0.5
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        optimizer.zero_grad()
        mean_loss += 0.01 * (loss.item() - mean_loss)
        if rank > 0:
            continue
        if step % AVERAGE_EVERY == 0:
            average.update_parameters(model)
        if step % 50 == 0:
            print(f"denoiser step {step}, {schedule.spent:.0f} s: loss {mean_loss:.4f}, rate {rate:.5f}", flush=True)
        if time.monotonic() - saved > SAVE_SECONDS:
            checkpoint.save(path, parts, optimizer, step=step + 1, seconds=schedule.spent)
            saved = time.monotonic()
    if rank == 0:
        checkpoint.save(path, parts, optimizer, step=step + 1, seconds=schedule.spent)


def first_process_decides(progress: float) -> float:
    """Return the progress of process 0."""
    shared = torch.tensor(progress, dtype=torch.float64)
    distributed.broadcast(shared, src=0)
    return shared.item()


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints; reused if it exists")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder the model is written to")
    parser.add_argument("--font", type=Path, default=data.FONT, help="Noto Color Emoji with bitmaps")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, help="how long to train the denoiser (default 90)")
    length.add_argument("--steps", type=int, help="how many steps to train the denoiser instead")
    parser.add_argument("--autoencoder-minutes", type=float, default=8.5)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--processes", type=int, help="denoiser training processes (default: one a core, 1 on a GPU)")
    given = parser.parse_args()
    if not given.steps and not given.minutes:
        given.minutes = 90.0
    given.processes = given.processes or (min(os.cpu_count() or 1, 8) if given.device == "cpu" else 1)
    return given


def main() -> None:
    """Run the stages that are not done yet."""
    args = arguments()
    args.work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    listed, _, tokenizer = named_drawings(args.font)
    if not (args.work / "latents.safetensors").exists():
        pixels = data.canvases(listed, args.font)
        write_latents(args.work, trained_autoencoder(args.work, pixels, args.autoencoder_minutes, args.device), pixels)
    (args.work / "meeting").unlink(missing_ok=True)
    torch.multiprocessing.spawn(train_denoiser, (args,), args.processes)
    export_trained(args.work, args.out, tokenizer)


if __name__ == "__main__":
    main()
