"""The training set of the denoiser: the latents of every drawing, and batches drawn from them."""

import random
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderTiny
from safetensors.torch import load_file, save_file

from . import autoencoder
from .data import Drawing
from .text import Prompts

CORE_WEIGHT = 3.0  # how much more often a core drawing is shown


def write_bank(path: Path, model: AutoencoderTiny, pixels: torch.Tensor) -> None:
    """Encode uint8 pixels (drawings, 3, 64, 64) to a file of unscaled latents (drawings, 4, 16, 16)."""
    save_file({"latents": autoencoder.encode(model, pixels)}, path)


def read_bank(path: Path) -> tuple[torch.Tensor, float]:
    """Return the latents that `write_bank` wrote, brought to unit deviation, and the factor that did so."""
    latents = load_file(path)["latents"]
    factor = 1 / latents.std().item()
    return latents * factor, factor


@dataclass
class Batches:
    """Draws random drawings, with a prompt for each."""

    drawings: list[Drawing]
    prompts: Prompts
    latents: torch.Tensor
    chance: random.Random

    def draw(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (latents (count, 4, 16, 16), token ids (count, TOKENS))."""
        weights = [CORE_WEIGHT if drawing.is_core else 1.0 for drawing in self.drawings]
        chosen = self.chance.choices(range(len(self.drawings)), weights, k=count)
        tokens = torch.tensor([self.prompts.draw(index, self.chance) for index in chosen])
        return self.latents[chosen], tokens
