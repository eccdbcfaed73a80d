"""An autoencoder of 128x128 pixels around the latents of one of 64x64: the denoiser need not learn anything anew.

The encoder gives, for a picture twice as large, the latents that the old one gives for the picture at half its size:
that is one linear layer more, solved and not trained. The decoder has one more step of upsampling and is trained, from
the old weights, to draw the edges that 64 pixels cannot hold.
"""

import time
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from torch.nn.functional import l1_loss, mse_loss, unfold

from . import checkpoint
from .data import halved
from .looks import Looks, show
from .nets import Autoencoder, backpropagate, new_autoencoder
from .schedule import Schedule

_linalg: Any = torch.linalg
CHANNELS = 32
BATCH = 8
LEARNING_RATE = 1e-3
LATENT_NOISE = 0.05  # standard deviation; makes the decoder forgive small errors of the denoiser
SAVE_SECONDS = 600
OLD_DECODER = {0: 0, 2: 2, 3: 3, 6: 5, 7: 6, 10: 8, 11: 9, 14: 10}  # layer of the new decoder: layer of the old one
IDENTITY = (4, 8)  # blocks of the new decoder that begin by handing on what they get


def build() -> Autoencoder:
    """Return an untrained autoencoder: one latent pixel for 8x8 pixels."""
    return new_autoencoder(
        encoder_block_out_channels=(CHANNELS,) * 4,
        decoder_block_out_channels=(CHANNELS,) * 4,
        num_encoder_blocks=(0, 1, 1, 2),
        num_decoder_blocks=(3, 2, 1, 0),
        latent_channels=4,
        upsampling_scaling_factor=2,
    )


@torch.no_grad()
def enlarged(old: Autoencoder, pictures: torch.Tensor) -> Autoencoder:
    """Return an autoencoder of twice the size that begins with what the old one knows.

    `pictures` (n, 3, 128, 128) in [0, 1] are those on which its encoder is to agree with the old one.
    """
    new = build()
    new.register_to_config(scaling_factor=old.config.scaling_factor)
    for index in range(1, len(old.encoder.layers)):
        new.encoder.layers[index + 1].load_state_dict(old.encoder.layers[index].state_dict())
    agree(new.encoder.layers[0], new.encoder.layers[1], old.encoder.layers[0], pictures)
    for index, other in OLD_DECODER.items():
        new.decoder.layers[index].load_state_dict(old.decoder.layers[other].state_dict())
    for index in IDENTITY:
        nn.init.zeros_(new.decoder.layers[index].conv[4].weight)
        nn.init.zeros_(new.decoder.layers[index].conv[4].bias)
    nn.init.dirac_(new.decoder.layers[13].weight)
    return new


def agree(fine: nn.Conv2d, halving: nn.Conv2d, old: nn.Conv2d, pictures: torch.Tensor) -> None:
    """Set two convolutions so that they give for pictures what the old one gives for the pictures at half their size.

    The first lays the nine neighbours of every pixel (27 values) and a one side by side; the second, which sees every
    other pixel, then weighs 5x5 pixels as least squares says.
    """
    wanted = old(halved(pictures)).flatten(2).transpose(1, 2).flatten(0, 1)
    seen = unfold(pictures, 5, padding=2, stride=2).transpose(1, 2).flatten(0, 1)
    seen = torch.cat([seen, torch.ones(len(seen), 1)], dim=1).double()
    normal = seen.T @ seen + 1e-3 * torch.eye(seen.shape[1])
    solved: torch.Tensor = _linalg.solve(normal, seen.T @ wanted.double()).float().T  # (channels, 76)
    kernel = solved[:, :-1].view(-1, 3, 5, 5)
    bias = cast(torch.Tensor, fine.bias)
    for weights in (fine.weight, bias, halving.weight):
        nn.init.zeros_(weights)
    for row in range(3):
        for column in range(3):
            for colour in range(3):
                fine.weight[9 * colour + 3 * row + column, colour, row, column] = 1
    bias[27] = 1
    halving.weight[:, 27, 1, 1] = solved[:, -1]
    for row in range(5):  # each of the 5x5 pixels through the most central place that reaches it
        for column in range(5):
            down, right = (row + 1) // 2, (column + 1) // 2
            down, right = min(max(down, row - 2), 2), min(max(right, column - 2), 2)
            inner = 3 * (row - down) + column - right
            halving.weight[:, [inner, 9 + inner, 18 + inner], down, right] = kernel[:, :, row, column]


def loss(model: Autoencoder, latents: torch.Tensor, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (training loss, mean absolute error) of decoding unscaled latents to pictures in [-1, 1]."""
    decoded = model.decode(latents + LATENT_NOISE * torch.randn_like(latents)).sample.float()
    error = l1_loss(decoded, pictures)
    edges = l1_loss(decoded.diff(dim=-1), pictures.diff(dim=-1)) + l1_loss(decoded.diff(dim=-2), pictures.diff(dim=-2))
    return error + mse_loss(decoded, pictures) + 0.5 * edges, error


def train(new: Autoencoder, old: Autoencoder, layers: torch.Tensor, schedule: Schedule, path: Path) -> None:
    """Train the decoder of `new` in place on the latents of `old`, going on from the checkpoint at `path`, if any.

    `layers` (drawings, 4, 128, 128) are the drawings; each is shown in a new look every time.
    """
    device = next(new.parameters()).device
    optimizer: Any = torch.optim.AdamW(new.decoder.parameters(), LEARNING_RATE, betas=(0.9, 0.99), fused=True)
    if path.exists():
        facts = checkpoint.load(path, {"autoencoder": new}, optimizer)
        schedule.step, schedule.spent = int(facts["step"]), facts["seconds"]
    generator = torch.Generator().manual_seed(schedule.step)
    new.decoder.train()
    mean_error, saved = 0.0, time.monotonic()
    for step, progress in schedule:
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * schedule.warmed(step, 50) * (1 - progress) ** 0.5
        chosen = torch.randint(len(layers), (BATCH,), generator=generator)
        pictures = show(layers[chosen], Looks.draw(BATCH, generator))
        with torch.no_grad():
            latents = old.encode((2 * halved(pictures) - 1).to(device)).latents
        total, error = loss(new, latents, (2 * pictures - 1).to(device))
        backpropagate(total)
        nn.utils.clip_grad_norm_(new.decoder.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        mean_error += 0.02 * (error.item() - mean_error) if mean_error else error.item()
        if step % 50 == 0:
            print(f"decoder step {step}, {schedule.spent:.0f} s: mean absolute error {mean_error:.4f}", flush=True)
        if time.monotonic() - saved > SAVE_SECONDS:
            checkpoint.save(path, {"autoencoder": new}, optimizer, step=step + 1, seconds=schedule.spent)
            saved = time.monotonic()
    new.eval()
    checkpoint.save(path, {"autoencoder": new}, optimizer, step=schedule.step, seconds=schedule.spent)
