"""What the denoiser learns from: the latents of random drawings on random grounds, with a prompt for each."""

import random
from dataclasses import dataclass, field

import torch

from .data import Drawing
from .grounds import Grounds
from .layout import assemble
from .text import Prompts

CORE_WEIGHT = 3.0  # how much more often a core drawing is shown


@dataclass
class Batches:
    """Draws batches; `encoded` (drawings, 5, 16, 16) are the scaled latents of each drawing, and its opacity."""

    drawings: list[Drawing]
    prompts: Prompts
    encoded: torch.Tensor
    chance: random.Random
    generator: torch.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.generator = torch.Generator().manual_seed(self.chance.randrange(2**32))

    def draw(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (latents (count, 8, 16, 16), token ids (count, TOKENS))."""
        weights = [CORE_WEIGHT if drawing.is_core else 1.0 for drawing in self.drawings]
        chosen = self.chance.choices(range(len(self.drawings)), weights, k=count)
        grounds = Grounds.draw(count, self.generator)
        tokens = [self.prompts.draw(index, self.chance) for index in chosen]
        return assemble(self.encoded[chosen], grounds), torch.tensor(tokens)
