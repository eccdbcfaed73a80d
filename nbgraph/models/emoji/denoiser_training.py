"""Train the denoiser on the latents: on a GPU in one process, on a CPU in one process a core.

Processes that each work on their share of the batch meet once a step. One process on all cores meets at every layer,
which is slower by a third on an idle machine, and by far more where other programs run.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from . import checkpoint
from .batches import Batches
from .denoiser import Denoiser
from .nets import Stateful, seed_torch
from .schedule import Schedule

_averaged: Any = AveragedModel

BATCH = 64
LEARNING_RATE = 1.5e-3
WARMUP = 200  # steps
SAVE_SECONDS = 600
AVERAGE_EVERY = 5  # steps
AVERAGE_DECAY = 0.995  # with the above: a running average over some 1,000 steps


@dataclass
class Team:
    """The processes that train together; `rank` is this one's number, and `meeting` a file that does not exist yet."""

    rank: int
    size: int
    meeting: Path

    def join(self, model: Denoiser) -> torch.nn.Module:
        """Return the model, sharing its gradients with the other processes if there are any."""
        if self.size == 1:
            return model
        torch.set_num_threads(1)
        address = f"file://{self.meeting.resolve()}"
        distributed.init_process_group("gloo", address, rank=self.rank, world_size=self.size)
        return DistributedDataParallel(model)

    def agree(self, progress: float) -> float:
        """Return the progress of the first process."""
        if self.size == 1:
            return progress
        shared = torch.tensor(progress, dtype=torch.float64)
        distributed.broadcast(shared, src=0)
        return shared.item()


def train(
    model: Denoiser,
    batches: Batches,
    schedule: Schedule,
    team: Team,
    path: Path,
    rate: float = LEARNING_RATE,
    batch: int = BATCH,
) -> None:
    """Train until the schedule ends, going on from the checkpoint at `path` if there is one, and leave one there.

    `rate` is the learning rate to begin with; weights that know much already want a smaller one. `batch` is the number
    of pictures a step.
    """
    device = model.signal.device
    average: Any = _averaged(model, multi_avg_fn=get_ema_multi_avg_fn(AVERAGE_DECAY))
    optimizer: Any = torch.optim.AdamW(model.parameters(), rate, betas=(0.9, 0.99), weight_decay=0.0, fused=True)
    parts: dict[str, Stateful] = {"model": model, "average": average}
    if path.exists():
        facts = checkpoint.load(path, parts, optimizer)
        schedule.step, schedule.spent = int(facts["step"]), facts["seconds"]
        seed_torch(schedule.step + team.rank)
        batches.chance.seed(schedule.step + team.rank)
    schedule.agree = team.agree
    together = team.join(model)
    mean_loss, saved = 1.0, time.monotonic()
    for step, progress in schedule:
        latents, tokens = batches.draw(batch // team.size)
        loss = together(latents.to(device), tokens.to(device), 0.5 + 0.5 * progress)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.param_groups[0]["lr"] = rate * schedule.warmed(step, WARMUP) * (1 - progress) ** 0.5
        optimizer.step()
        optimizer.zero_grad()
        mean_loss += 0.01 * (loss.item() - mean_loss)
        if team.rank > 0:
            continue
        if step % AVERAGE_EVERY == 0:
            average.update_parameters(model)
        if step % 50 == 0:
            print(f"denoiser step {step}, {schedule.spent:.0f} s: loss {mean_loss:.4f}", flush=True)
        if time.monotonic() - saved > SAVE_SECONDS:
            checkpoint.save(path, parts, optimizer, step=step + 1, seconds=schedule.spent)
            saved = time.monotonic()
    if team.rank == 0:
        checkpoint.save(path, parts, optimizer, step=schedule.step, seconds=schedule.spent)
