"""Train the emoji model from the font alone: `python -m nbgraph.models.emoji.train --work WORK --out OUT --minutes 82`.

Six stages, each kept in the work folder and skipped when it is already there: the autoencoder of 64 pixels, the
denoiser with its text encoder, what it draws of every name, the decoder and the encoder of 128 pixels, and the export
as a diffusers folder. Stop it at any time; the same command goes on from the last checkpoint, which is ten minutes old
at most; the first and the third stage keep none and begin again. With `--begin FOLDER` the autoencoder is taken from an
exported model of 64 pixels and the denoiser begins with its weights.
"""

import argparse
import os
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from . import FOLDER, autoencoder, checked, data, denoiser_training, enlarge
from .batches import Batches
from .checkpoint import read_tensors, whole, write_tensors
from .denoiser import Denoiser
from .export import assemble, export
from .layout import opacities
from .nets import Autoencoder, WordTokenizer, load_autoencoder, seed_torch
from .rehearsal import rehearse
from .schedule import Schedule
from .text import Prompts, build_tokenizer

_multiprocessing: Any = torch.multiprocessing
SEED = 0


@dataclass
class Work:
    """The drawings, and the folder that keeps the results of each stage."""

    args: argparse.Namespace
    listed: list[data.Drawing]
    layers: torch.Tensor
    tokenizer: WordTokenizer

    @staticmethod
    def of(args: argparse.Namespace) -> "Work":
        """Return the drawings of the font."""
        listed = data.drawings(args.font)
        names = [name for own in data.all_names(listed) for name in own]
        return Work(args, listed, data.layers(listed, args.font), build_tokenizer(names))

    @property
    def folder(self) -> Path:
        """The folder for checkpoints."""
        return self.args.work

    def autoencoder(self) -> Autoencoder:
        """Return the autoencoder of 64 pixels, taking it from the model to begin from or training it if need be."""
        folder = self.folder / "autoencoder"
        if not folder.exists() and self.args.begin:
            with whole(folder) as unfinished:
                shutil.copytree(self.args.begin / "vae", unfinished)
        if not folder.exists():
            model = autoencoder.build().to(self.args.device)
            schedule = Schedule(minutes=self.args.autoencoder_minutes)
            pixels = data.canvases(self.listed, self.args.font)
            autoencoder.train(model, pixels, schedule)
            model.register_to_config(scaling_factor=1 / autoencoder.encode(model, pixels).std().item())
            with whole(folder) as unfinished:
                model.save_pretrained(unfinished)
        return load_autoencoder(folder, torch.float32).eval().to(self.args.device)

    def encoded(self) -> torch.Tensor:
        """Return the scaled latents of each drawing and its opacity: (drawings, 5, 16, 16)."""
        model, pixels = self.autoencoder(), data.canvases(self.listed, self.args.font)
        drawn = autoencoder.encode(model, pixels) * model.config.scaling_factor
        return torch.cat([drawn, opacities(self.layers)], dim=1)

    def rehearsed(self) -> torch.Tensor:
        """Return what the trained denoiser draws of every name, drawing it if need be."""
        path = self.folder / "rehearsal.safetensors"
        if not path.exists():
            pipeline = assemble(self.folder, self.tokenizer, enlarge.enlarged(self.autoencoder().cpu()), torch.float32)
            pipeline.set_progress_bar_config(disable=True)
            names = [drawing.name for drawing in self.listed]
            drawn = rehearse(pipeline.to(self.args.device), names, self.encoded())
            with whole(path) as unfinished:
                write_tensors({"drawn": drawn.half()}, unfinished)
        return read_tensors(path)["drawn"]

    def enlarge(self) -> None:
        """Leave the autoencoder of 128 pixels in the work folder, training what is not trained yet."""
        model = enlarge.enlarged(self.autoencoder().cpu()).to(self.args.device)
        core = torch.tensor([drawing.is_core for drawing in self.listed])
        drawn = self.rehearsed()
        # the encoder is to lead back to the drawing itself, so it learns nothing of the denoiser's faults
        for part, minutes, learnt in (
            ("decoder", self.args.decoder_minutes, drawn),
            ("encoder", self.args.encoder_minutes, drawn[:, :1]),
        ):
            schedule = Schedule(minutes=minutes, clock=clock(self.args.device))
            examples = enlarge.Examples(self.layers, learnt, core)
            enlarge.train(model, part, examples, schedule, self.folder / f"{part}.safetensors")
        with whole(self.folder / "enlarged") as unfinished:
            model.save_pretrained(unfinished)


def clock(device: str) -> Callable[[], float]:
    """Return what the minutes of a training are counted by: on a CPU the time it computes, not the time it waits."""
    return time.process_time if device == "cpu" else time.monotonic


def train_denoiser(rank: int, args: argparse.Namespace) -> None:
    """Train the denoiser as process `rank` of `args.processes`."""
    work = Work.of(args)
    seed_torch(SEED)
    model = Denoiser(work.tokenizer)
    if args.begin:
        model.begin_from(args.begin)
    model.to(args.device)
    seed_torch(SEED + rank)
    prompts = Prompts(work.tokenizer, data.all_names(work.listed))
    batches = Batches(work.listed, prompts, work.encoded(), random.Random(SEED + rank))
    schedule = Schedule(steps=args.steps, minutes=args.minutes, clock=clock(args.device))
    team = denoiser_training.Team(rank, args.processes, args.work / "meeting")
    path = args.work / "denoiser.safetensors"
    denoiser_training.train(model, batches, schedule, team, path, args.rate, args.batch)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--work", type=checked.folder_to_write, required=True, help="folder for checkpoints; reused if it exists"
    )
    parser.add_argument("--out", type=checked.folder_to_write, default=FOLDER, help="folder the model is written to")
    parser.add_argument("--font", type=checked.font, default=str(data.FONT), help="Noto Color Emoji with bitmaps")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=checked.above_zero, help="how long to train the denoiser (default 82)")
    length.add_argument("--steps", type=checked.count, help="how many steps to train the denoiser instead")
    parser.add_argument(
        "--autoencoder-minutes", type=checked.above_zero, default=8.5, help="the same of the smaller autoencoder"
    )
    parser.add_argument("--decoder-minutes", type=checked.above_zero, default=45, help="the same of the larger decoder")
    parser.add_argument("--encoder-minutes", type=checked.above_zero, default=30, help="the same of the larger encoder")
    parser.add_argument(
        "--begin", type=checked.model_of_64, help="folder of an exported model of 64 pixels to begin with"
    )
    parser.add_argument(
        "--rate", type=checked.above_zero, default=denoiser_training.LEARNING_RATE, help="learning rate at first"
    )
    parser.add_argument("--batch", type=checked.count, default=denoiser_training.BATCH, help="pictures a step")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--processes", type=checked.count, help="denoiser training processes (default: one a core, 1 on a GPU)"
    )
    given = parser.parse_args()
    if not given.steps and not given.minutes:
        given.minutes = 82.0
    given.processes = given.processes or (min(os.cpu_count() or 1, 8) if given.device == "cpu" else 1)
    if given.batch < given.processes:
        parser.error(f"--batch {given.batch} has less than one picture for each of {given.processes} processes")
    return given


def main() -> None:
    """Run the stages that are not done yet, then export."""
    args = arguments()
    args.work.mkdir(parents=True, exist_ok=True)
    seed_torch(SEED)
    work = Work.of(args)
    work.autoencoder()
    (args.work / "meeting").unlink(missing_ok=True)
    _multiprocessing.spawn(train_denoiser, (args,), args.processes)
    if not (args.work / "enlarged").exists():
        torch.set_num_threads(args.processes)
        work.enlarge()
    export(args.work, args.out, work.tokenizer)


if __name__ == "__main__":
    main()
