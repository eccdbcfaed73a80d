"""An autoencoder of 128x128 pixels with grounds, around the latents of one of 64x64 that draws on white.

The decoder has one more step of upsampling and lays what it draws on the ground that the latents tell of. It is trained
from the old decoder's weights, also on what the denoiser itself makes of every name, so that it knows its faults.
The encoder is then trained to lead back: to give for a picture the latents that it was made of.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import l1_loss, mse_loss

from . import checkpoint
from .grounds import Grounds, lay
from .layout import CHANNELS, DRAWN, WEIGHT, assemble
from .nets import Autoencoder, Stateful, backpropagate, is_half_faster, new_autoencoder
from .schedule import Schedule

WIDTH = 32  # channels of every layer
BATCH = 16
LEARNING_RATE = 2e-3
LATENT_NOISE = 0.07  # standard deviation in the drawing's channels; makes the decoder forgive errors of the denoiser
GROUND_NOISE = 0.2  # the same in the ground's, of WEIGHT
CORE_WEIGHT = 2.0  # how much more often a core drawing is shown
SAVE_SECONDS = 600
OLD_DECODER = {0: 0, 2: 2, 3: 3, 7: 5, 8: 6, 11: 8, 12: 9, 15: 10}  # layer of the new decoder: layer of the old one
OLD_ENCODER = {index: index - 1 for index in range(2, 9)}  # the same of the encoder
IDENTITY = (4, 5, 9)  # blocks of the new decoder that begin by handing on what they get


@dataclass
class Examples:
    """What the autoencoder learns from: drawings, and the latents that are to be decoded to them.

    `layers` (drawings, 4, 128, 128), uint8, are as `lay` takes them. `drawn` (drawings, variants, 8, 16, 16) are scaled
    latents of each drawing and its opacity, and by how much its ground is uneven: first as the old encoder gives them,
    then as the denoiser does.
    """

    layers: torch.Tensor
    drawn: torch.Tensor
    core: torch.Tensor  # (drawings,), bool

    def draw(self, count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (scaled latents (count, 8, 16, 16), the pictures in [-1, 1], (count, 3, 128, 128))."""
        weights = torch.where(self.core, CORE_WEIGHT, 1.0)
        chosen = torch.multinomial(weights, count, replacement=True, generator=generator)
        variants = torch.randint(self.drawn.shape[1], (count,), generator=generator)
        grounds = Grounds.draw(count, generator)
        drawn = self.drawn[chosen, variants].float()
        latents = assemble(drawn[:, :DRAWN], grounds)
        latents[:, DRAWN:] += drawn[:, DRAWN:]
        pictures = lay(self.layers[chosen], grounds.colours(self.layers.shape[-1]))
        return latents, 2 * pictures - 1


def build() -> Autoencoder:
    """Return an untrained autoencoder: one latent pixel for 8x8 pixels."""
    return new_autoencoder(
        encoder_block_out_channels=(WIDTH,) * 4,
        decoder_block_out_channels=(WIDTH,) * 4,
        num_encoder_blocks=(0, 1, 1, 2),
        num_decoder_blocks=(4, 2, 1, 0),
        latent_channels=CHANNELS,
        upsampling_scaling_factor=2,
    )


@torch.no_grad()
def enlarged(old: Autoencoder) -> Autoencoder:
    """Return an autoencoder of twice the size that begins with what the old one knows."""
    new = build()
    new.register_to_config(scaling_factor=old.config.scaling_factor)
    for own, other, pairs in ((new.decoder, old.decoder, OLD_DECODER), (new.encoder, old.encoder, OLD_ENCODER)):
        for index, number in pairs.items():
            for name, values in own.layers[index].state_dict().items():
                known = other.layers[number].state_dict()[name]
                values.zero_()[tuple(slice(size) for size in known.shape)] = known
    for index in IDENTITY:
        nn.init.zeros_(new.decoder.layers[index].conv[4].weight)
        nn.init.zeros_(new.decoder.layers[index].conv[4].bias)
    nn.init.dirac_(new.decoder.layers[14].weight)
    return new


def noised(latents: torch.Tensor) -> torch.Tensor:
    """Return scaled latents (n, 8, 16, 16) with the errors that a denoiser may leave."""
    deviation = torch.full((CHANNELS, 1, 1), LATENT_NOISE)
    deviation[DRAWN:] = GROUND_NOISE * WEIGHT
    return latents + deviation.to(latents.device) * torch.randn_like(latents)


def difference(decoded: torch.Tensor, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (training loss, mean absolute error) of pictures in [-1, 1]."""
    error = l1_loss(decoded, pictures)
    edges = l1_loss(decoded.diff(dim=-1), pictures.diff(dim=-1)) + l1_loss(decoded.diff(dim=-2), pictures.diff(dim=-2))
    return error + mse_loss(decoded, pictures) + 0.5 * edges, error


def decoder_loss(
    model: Autoencoder, latents: torch.Tensor, pictures: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (training loss, mean absolute error) of decoding scaled latents to pictures in [-1, 1]."""
    return difference(model.decode(noised(latents) / model.config.scaling_factor).sample.float(), pictures)


def encoder_loss(
    model: Autoencoder, latents: torch.Tensor, pictures: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (training loss, root mean squared error of the latents) of encoding pictures in [-1, 1].

    What the encoder gives is decoded, too: the picture is what a person sees.
    """
    encoded = model.encode(pictures).latents.float() * model.config.scaling_factor
    weights = torch.ones(CHANNELS, 1, 1, device=encoded.device)
    weights[DRAWN:] = 1 / WEIGHT
    error = mse_loss(weights * encoded, weights * latents)
    seen, _ = difference(model.decode(encoded / model.config.scaling_factor).sample.float(), pictures)
    return error + seen, error.sqrt()


def train(
    model: Autoencoder, part: str, examples: Examples, schedule: Schedule, path: Path, rate: float = LEARNING_RATE
) -> None:
    """Train one part of `model`, "decoder" or "encoder", in place, going on from the checkpoint at `path`, if any."""
    trained, loss = (model.encoder, encoder_loss) if part == "encoder" else (model.decoder, decoder_loss)
    device = next(model.parameters()).device
    optimizer: Any = torch.optim.AdamW(trained.parameters(), rate, betas=(0.9, 0.99), weight_decay=0.0, fused=True)
    parts: dict[str, Stateful] = {"autoencoder": model}
    if path.exists():
        facts = checkpoint.load(path, parts, optimizer)
        schedule.step, schedule.spent = int(facts["step"]), facts["seconds"]
    generator = torch.Generator().manual_seed(schedule.step)
    model.to(memory_format=torch.channels_last)  # a third faster on a CPU
    trained.train()
    mean_error, saved = 0.0, time.monotonic()
    for step, progress in schedule:
        optimizer.param_groups[0]["lr"] = rate * schedule.warmed(step, 50) * (1 - progress) ** 0.5
        latents, pictures = (
            tensor.to(device, memory_format=torch.channels_last) for tensor in examples.draw(BATCH, generator)
        )
        with torch.autocast(device.type, torch.bfloat16, enabled=is_half_faster(device)):
            total, error = loss(model, latents, pictures)
        backpropagate(total)
        nn.utils.clip_grad_norm_(trained.parameters(), 1.0)
        optimizer.step()
        for weights in model.parameters():
            weights.grad = None
        mean_error += 0.02 * (error.item() - mean_error) if mean_error else error.item()
        if step % 50 == 0:
            print(f"{part} step {step}, {schedule.spent:.0f} s: error {mean_error:.4f}", flush=True)
        if time.monotonic() - saved > SAVE_SECONDS:
            checkpoint.save(path, parts, optimizer, step=step + 1, seconds=schedule.spent)
            saved = time.monotonic()
    model.eval()
    checkpoint.save(path, parts, optimizer, step=schedule.step, seconds=schedule.spent)
