"""The eight channels of the latents: four of the drawing on white, its opacity, three of the ground.

The first four are those of an autoencoder of 64x64 pixels trained on the drawings alone. The opacity tells a white
sheep from the ground beside it. The ground's scores are flat over the whole picture, so that the first few steps
from pure noise settle them; WEIGHT keeps them small enough for twenty steps to follow, and for four to vary at all.
"""

import torch
from torch.nn.functional import adaptive_avg_pool2d

from .grounds import Grounds

SIDE = 16  # latent pixels
DRAWN = 5  # channels of the drawing and its opacity
CHANNELS = 8
WEIGHT = 0.35  # standard deviation of a score of the ground in the latents


def opacities(layers: torch.Tensor) -> torch.Tensor:
    """Return how opaque each latent pixel is, -1 to 1, for uint8 layers (n, 4, side, side): (n, 1, 16, 16)."""
    return adaptive_avg_pool2d(layers[:, 3:].float() / 127.5 - 1, SIDE)


def assemble(drawn: torch.Tensor, grounds: Grounds) -> torch.Tensor:
    """Return latents (n, 8, 16, 16) as the denoiser sees them, of about unit deviation but for the ground.

    `drawn` (n, 5, 16, 16) are the scaled latents of the drawings on white, and their opacity.
    """
    return torch.cat([drawn, WEIGHT * grounds.field(SIDE)], dim=1)
