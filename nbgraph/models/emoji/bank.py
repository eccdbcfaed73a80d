"""The training set of the denoiser: the latents of every drawing in every placement, and batches drawn from them."""

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
    """Encode uint8 pixels (drawings, placements, 3, 64, 64) as they are, then mirrored.

    The file holds unscaled latents (drawings, 2 x placements, 4, 16, 16).
    """
    plain = pixels.flatten(0, 1)
    both = [autoencoder.encode(model, images) for images in (plain, plain.flip(-1))]
    latents = torch.cat([part.view(*pixels.shape[:2], 4, 16, 16) for part in both], dim=1)
    save_file({"latents": latents}, path)


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

    def draw(self, count: int, varied: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (latents (count, 4, 16, 16), token ids (count, TOKENS)).

        Varied drawings come in any placement, half of them mirrored if they can be; others as the font has them.
        """
        weights = [CORE_WEIGHT if drawing.is_core else 1.0 for drawing in self.drawings]
        chosen = self.chance.choices(range(len(self.drawings)), weights, k=count)
        copies = [self.chance.randrange(self._copies(self.drawings[index])) if varied else 0 for index in chosen]
        tokens = torch.tensor([self.prompts.draw(index, self.chance) for index in chosen])
        return self.latents[chosen, copies], tokens

    def _copies(self, drawing: Drawing) -> int:
        """Return how many of a drawing's copies may be shown: the mirrored ones come last."""
        return self.latents.shape[1] if drawing.can_mirror else self.latents.shape[1] // 2
