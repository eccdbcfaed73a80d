"""The autoencoder: 64x64 pixels to 4x16x16 latents and back, trained on the drawings alone."""

import time
from typing import Any

import torch

from .data import to_signed
from .nets import Autoencoder, backpropagate, is_half_faster, new_autoencoder, split
from .schedule import Schedule

BATCH = 16
LEARNING_RATE = 2e-3
LATENT_NOISE = 0.05  # standard deviation; makes the decoder forgive small errors of the denoiser


def build() -> Autoencoder:
    """Return an untrained autoencoder of 0.26 M parameters: one latent pixel for 4x4 pixels."""
    return new_autoencoder(
        encoder_block_out_channels=(32, 32, 32),
        decoder_block_out_channels=(32, 32, 32),
        num_encoder_blocks=(1, 1, 2),
        num_decoder_blocks=(2, 1, 1),
        latent_channels=4,
        upsampling_scaling_factor=2,
    )


def loss(autoencoder: Autoencoder, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (training loss, mean absolute error) for images in [-1, 1] of shape (n, 3, 64, 64)."""
    latents = autoencoder.encode(images).latents
    decoded = autoencoder.decode(latents + LATENT_NOISE * torch.randn_like(latents)).sample.float()
    error = (decoded - images).abs()
    edges = (decoded.diff(dim=-1) - images.diff(dim=-1)).abs().mean()
    edges = edges + (decoded.diff(dim=-2) - images.diff(dim=-2)).abs().mean()
    size = latents.float().square().mean()
    return error.mean() + torch.nn.functional.mse_loss(decoded, images) + 0.5 * edges + 1e-3 * size, error.mean()


def train(autoencoder: Autoencoder, pixels: torch.Tensor, schedule: Schedule) -> None:
    """Train in place on uint8 pixels (n, 3, 64, 64) until the schedule ends."""
    device = next(autoencoder.parameters()).device
    optimizer: Any = torch.optim.AdamW(autoencoder.parameters(), LEARNING_RATE, betas=(0.9, 0.99), fused=True)
    autoencoder.train().to(memory_format=torch.channels_last)
    mean_error, started = 0.0, time.monotonic()
    for step, progress in schedule:
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * schedule.warmed(step, 100) * (1 - progress) ** 0.5
        images = to_signed(pixels[torch.randint(len(pixels), (BATCH,))]).to(device)
        images = torch.where(torch.rand(BATCH, 1, 1, 1, device=device) < 0.5, images, images.flip(-1))
        images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=is_half_faster(device)):
            total, error = loss(autoencoder, images)
        backpropagate(total)
        torch.nn.utils.clip_grad_norm_(autoencoder.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        mean_error += 0.01 * (error.item() - mean_error) if step else error.item()
        if step % 100 == 0:
            seconds = time.monotonic() - started
            print(f"autoencoder step {step}, {seconds:.0f} s: mean absolute error {mean_error:.4f}", flush=True)
    autoencoder.eval()


@torch.no_grad()
def encode(autoencoder: Autoencoder, pixels: torch.Tensor, batch: int = 256) -> torch.Tensor:
    """Encode uint8 pixels (n, 3, 64, 64) to unscaled float32 latents (n, 4, 16, 16) on the CPU."""
    device = next(autoencoder.parameters()).device
    parts = [autoencoder.encode(to_signed(part).to(device)).latents.cpu() for part in split(pixels, batch)]
    return torch.cat(parts)
