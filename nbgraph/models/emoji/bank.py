"""The training set of the denoiser: the latents of every drawing in many looks, and batches drawn from them.

Rendering and encoding a picture costs a good part of a training step, so it is done once for all of them.
"""

import random
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from .checkpoint import read_tensors, write_tensors
from .data import Drawing, halved
from .looks import Looks, show
from .nets import Autoencoder
from .text import Prompts

CORE_WEIGHT = 3.0  # how much more often a core drawing is shown
VARIANTS = 16  # looks of each drawing, the first of them plain


@torch.no_grad()
def write_bank(
    path: Path,
    model: Autoencoder,
    listed: list[Drawing],
    layers: torch.Tensor,
    generator: torch.Generator,
    posed: bool = True,
) -> None:
    """Show uint8 layers (drawings, 4, 128, 128) in VARIANTS looks and encode them to a file of unscaled latents."""
    count = len(layers) * VARIANTS
    looks, plain = Looks.draw(count, generator, posed), Looks.plain(count)
    for name, values in asdict(plain).items():
        getattr(looks, name)[::VARIANTS] = values[::VARIANTS]
    looks.mirrored &= ~torch.tensor([drawing.is_sided for drawing in listed]).repeat_interleave(VARIANTS)
    looks.turn *= ~torch.tensor([drawing.is_clock for drawing in listed]).repeat_interleave(VARIANTS)
    device = next(model.parameters()).device
    encoded: list[torch.Tensor] = []
    model.to(memory_format=torch.channels_last)  # a third faster on a CPU
    for index, layer in enumerate(layers):
        rows = slice(index * VARIANTS, (index + 1) * VARIANTS)
        pictures = halved(show(layer.expand(VARIANTS, -1, -1, -1), looks[rows]))
        encoded.append(
            model.encode((2 * pictures - 1).to(device, memory_format=torch.channels_last)).latents.half().cpu()
        )
    unfinished = path.with_suffix(".unfinished")
    stored = {f"looks/{name}": values for name, values in asdict(looks).items()}
    write_tensors(stored | {"latents": torch.stack(encoded).contiguous()}, unfinished)
    unfinished.replace(path)


@dataclass
class Bank:
    """Latents (drawings, VARIANTS, 4, 16, 16) as the encoder gave them, and the look of each."""

    latents: torch.Tensor
    looks: Looks

    @staticmethod
    def read(path: Path) -> "Bank":
        """Return what `write_bank` wrote."""
        stored = read_tensors(path)
        return Bank(stored.pop("latents"), Looks(**{name.removeprefix("looks/"): v for name, v in stored.items()}))

    def factor(self) -> float:
        """Return what brings the latents of the plain drawings to unit deviation."""
        return 1 / self.latents[:, 0].float().std().item()


@dataclass
class Batches:
    """Draws random drawings in random looks, with a prompt for each."""

    drawings: list[Drawing]
    prompts: Prompts
    bank: Bank
    factor: float
    chance: random.Random

    def draw(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (latents (count, 4, 16, 16) of about unit deviation, token ids (count, TOKENS))."""
        weights = [CORE_WEIGHT if drawing.is_core else 1.0 for drawing in self.drawings]
        chosen = self.chance.choices(range(len(self.drawings)), weights, k=count)
        variants = [self.chance.randrange(self.bank.latents.shape[1]) for _ in chosen]
        tokens = [
            self.prompts.draw(index, self.chance, self.bank.looks.words(index * self.bank.latents.shape[1] + variant))
            for index, variant in zip(chosen, variants, strict=True)
        ]
        return self.bank.latents[chosen, variants].float() * self.factor, torch.tensor(tokens)
