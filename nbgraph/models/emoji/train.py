"""Train the emoji model from the font alone: `python -m nbgraph.models.emoji.train --work WORK --out OUT --minutes 82`.

Five stages, each kept in the work folder and skipped when it is already there: the autoencoder, the latents of every
drawing in many looks, the decoder of twice the size, the denoiser with its text encoder, and the export as a diffusers
folder. Stop it at any time;
the same command goes on from the last checkpoint, which is ten minutes old at most. With `--begin FOLDER` the
autoencoder is taken from an exported model and the denoiser begins with its weights.
"""

import argparse
import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from . import FOLDER, autoencoder, data, denoiser_training, enlarge
from .bank import Bank, Batches, write_bank
from .denoiser import Denoiser
from .export import export
from .looks import Looks, show
from .nets import Autoencoder, WordTokenizer, autoencoder_config, load_autoencoder, seed_torch
from .schedule import Schedule
from .text import Prompts, build_tokenizer

_multiprocessing: Any = torch.multiprocessing
SEED = 0
FITTED = 64  # pictures on which the larger encoder is to agree with the smaller one


def trained_autoencoder(args: argparse.Namespace, listed: list[data.Drawing]) -> Autoencoder:
    """Return the autoencoder of the work folder, taking it from the model to begin from or training it if need be."""
    folder = args.work / "autoencoder"
    if not folder.exists() and args.begin:
        shutil.copytree(args.begin / "vae", folder)
    if not folder.exists():
        model = autoencoder.build().to(args.device)
        schedule = Schedule(minutes=args.autoencoder_minutes)
        autoencoder.train(model, data.canvases(listed, args.font), schedule)
        model.save_pretrained(folder)
    return load_autoencoder(folder, torch.float32).eval().to(args.device)


def train_decoder(args: argparse.Namespace, listed: list[data.Drawing]) -> None:
    """Leave the autoencoder of twice the size in the work folder, training its decoder if need be."""
    torch.set_num_threads(args.processes)
    old, layers = trained_autoencoder(args, listed), data.layers(listed, args.font)
    generator = torch.Generator().manual_seed(SEED)
    some = torch.randperm(len(layers), generator=generator)[:FITTED]
    new = enlarge.enlarged(old.cpu(), show(layers[some], Looks.draw(len(some), generator))).to(args.device)
    schedule = Schedule(minutes=args.decoder_minutes, clock=clock(args.device))
    enlarge.train(new, old.to(args.device), layers, schedule, args.work / "decoder.safetensors")
    new.save_pretrained(args.work / "enlarged")


def clock(device: str) -> Callable[[], float]:
    """Return what the minutes of a training are counted by: on a CPU the time it computes, not the time it waits."""
    return time.process_time if device == "cpu" else time.monotonic


def tokenizer_for(names: list[list[str]]) -> WordTokenizer:
    """Return a tokenizer for the names of all drawings."""
    return build_tokenizer([name for own in names for name in own])


def train_denoiser(rank: int, args: argparse.Namespace) -> None:
    """Train the denoiser as process `rank` of `args.processes`."""
    listed = data.drawings(args.font)
    names = data.all_names(listed)
    tokenizer = tokenizer_for(names)
    seed_torch(SEED)
    model = Denoiser(tokenizer)
    if args.begin:
        model.begin_from(args.begin)
    model.to(args.device)
    seed_torch(SEED + rank)
    bank = Bank.read(args.work / "latents.safetensors")
    factor = autoencoder_config(args.work / "autoencoder")["scaling_factor"]
    batches = Batches(listed, Prompts(tokenizer, names), bank, factor, random.Random(SEED + rank))
    schedule = Schedule(steps=args.steps, minutes=args.minutes, clock=clock(args.device))
    team = denoiser_training.Team(rank, args.processes, args.work / "meeting")
    path = args.work / "denoiser.safetensors"
    denoiser_training.train(model, batches, schedule, team, path, args.rate, args.batch)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints; reused if it exists")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder the model is written to")
    parser.add_argument("--font", type=Path, default=data.FONT, help="Noto Color Emoji with bitmaps")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, help="how long to train the denoiser (default 82)")
    length.add_argument("--steps", type=int, help="how many steps to train the denoiser instead")
    parser.add_argument("--autoencoder-minutes", type=float, default=8.5)
    parser.add_argument("--decoder-minutes", type=float, default=15, help="how long to train the larger decoder")
    parser.add_argument("--begin", type=Path, help="folder of an exported model whose weights to begin with")
    parser.add_argument("--unposed", action="store_true", help="show no drawing smaller, shifted or turned")
    parser.add_argument("--rate", type=float, default=denoiser_training.LEARNING_RATE, help="learning rate at first")
    parser.add_argument("--batch", type=int, default=denoiser_training.BATCH, help="pictures a step")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--processes", type=int, help="denoiser training processes (default: one a core, 1 on a GPU)")
    given = parser.parse_args()
    if given.begin and len(autoencoder_config(given.begin / "vae")["decoder_block_out_channels"]) != 3:
        parser.error(f"--begin {given.begin} draws 128 pixels; give a model of 64, as the work folder begins with one")
    if not given.steps and not given.minutes:
        given.minutes = 82.0
    given.processes = given.processes or (min(os.cpu_count() or 1, 8) if given.device == "cpu" else 1)
    return given


def main() -> None:
    """Run the stages that are not done yet, then export."""
    args = arguments()
    args.work.mkdir(parents=True, exist_ok=True)
    seed_torch(SEED)
    listed = data.drawings(args.font)
    bank = args.work / "latents.safetensors"
    if not bank.exists():
        model = trained_autoencoder(args, listed)
        layers, generator = data.layers(listed, args.font), torch.Generator().manual_seed(SEED)
        write_bank(bank, model, listed, layers, generator, not args.unposed)
        if not args.begin:
            model.register_to_config(scaling_factor=Bank.read(bank).factor())
            model.save_pretrained(args.work / "autoencoder")
    if not (args.work / "enlarged").exists():
        train_decoder(args, listed)
    (args.work / "meeting").unlink(missing_ok=True)
    _multiprocessing.spawn(train_denoiser, (args,), args.processes)
    export(args.work, args.out, tokenizer_for(data.all_names(listed)))


if __name__ == "__main__":
    main()
