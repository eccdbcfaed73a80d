"""Train the emoji model from the font alone: `python -m nbgraph.models.emoji.train --work WORK --out OUT --minutes 82`.

Four stages, each kept in the work folder and skipped when it is already there: the autoencoder, the latents of every
drawing, the denoiser with its text encoder, and the export as a diffusers folder. Stop it at any time; the same command
goes on from the last checkpoint.
"""

import argparse
import os
import random
from pathlib import Path

import torch
from diffusers import AutoencoderTiny
from transformers import PreTrainedTokenizerFast

from . import FOLDER, autoencoder, data, denoiser_training
from .bank import Batches, read_bank, write_bank
from .denoiser import Denoiser
from .export import export
from .schedule import Schedule
from .text import Prompts, build_tokenizer

SEED = 0


def trained_autoencoder(folder: Path, pixels: torch.Tensor, minutes: float, device: str) -> AutoencoderTiny:
    """Return the autoencoder of a folder, training it first on pixels (drawings, 3, 64, 64) if need be."""
    if not folder.exists():
        model = autoencoder.build().to(device)
        autoencoder.train(model, pixels, Schedule(minutes=minutes))
        model.save_pretrained(folder)
    return AutoencoderTiny.from_pretrained(folder).eval().to(device)


def tokenizer_for(names: list[list[str]]) -> PreTrainedTokenizerFast:
    """Return a tokenizer for the names of all drawings."""
    return build_tokenizer([name for own in names for name in own])


def train_denoiser(rank: int, args: argparse.Namespace) -> None:
    """Train the denoiser as process `rank` of `args.processes`."""
    listed = data.drawings(args.font)
    names = data.all_names(listed)
    tokenizer = tokenizer_for(names)
    torch.manual_seed(SEED)
    model = Denoiser(tokenizer).to(args.device)
    torch.manual_seed(SEED + rank)
    latents, _ = read_bank(args.work / "latents.safetensors")
    batches = Batches(listed, Prompts(tokenizer, names), latents, random.Random(SEED + rank))
    schedule = Schedule(steps=args.steps, minutes=args.minutes)
    team = denoiser_training.Team(rank, args.processes, args.work / "meeting")
    denoiser_training.train(model, batches, schedule, team, args.work / "denoiser.safetensors")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints; reused if it exists")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder the model is written to")
    parser.add_argument("--font", type=Path, default=data.FONT, help="Noto Color Emoji with bitmaps")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, help="how long to train the denoiser (default 82)")
    length.add_argument("--steps", type=int, help="how many steps to train the denoiser instead")
    parser.add_argument("--autoencoder-minutes", type=float, default=8.5)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--processes", type=int, help="denoiser training processes (default: one a core, 1 on a GPU)")
    given = parser.parse_args()
    if not given.steps and not given.minutes:
        given.minutes = 82.0
    given.processes = given.processes or (min(os.cpu_count() or 1, 8) if given.device == "cpu" else 1)
    return given


def main() -> None:
    """Run the stages that are not done yet, then export."""
    args = arguments()
    args.work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    listed = data.drawings(args.font)
    bank = args.work / "latents.safetensors"
    if not bank.exists():
        pixels = data.canvases(listed, args.font)
        folder = args.work / "autoencoder"
        write_bank(bank, trained_autoencoder(folder, pixels, args.autoencoder_minutes, args.device), pixels)
    (args.work / "meeting").unlink(missing_ok=True)
    torch.multiprocessing.spawn(train_denoiser, (args,), args.processes)
    export(args.work, args.out, tokenizer_for(data.all_names(listed)))


if __name__ == "__main__":
    main()
