"""The ground behind a drawing: one soft, light colour that changes evenly from one side to the other.

No name says which ground its picture has, so the noise decides it and two seeds differ.
"""

from dataclasses import dataclass
from typing import Any

import torch

_linalg: Any = torch.linalg
MIDDLE = 0.82  # of 0 to 1: the mean of all grounds, in red, green and blue
BRIGHTNESS, TINT = 0.09, 0.2  # standard deviations
AXES = (  # what one standard deviation along each of the three scores of a colour adds to red, green and blue
    (BRIGHTNESS, BRIGHTNESS, BRIGHTNESS),
    (TINT / 2**0.5, -TINT / 2**0.5, 0.0),
    (TINT / 6**0.5, TINT / 6**0.5, -2 * TINT / 6**0.5),
)
SLOPE = 0.6  # standard deviation of how much a score changes from the middle to an edge, across and down
DARKEST = 0.4  # of 0 to 1: drawings have dark outlines, which a dark ground would swallow


@dataclass
class Grounds:
    """The grounds of n pictures.

    `scores` (n, 3, 3) holds, for each of the three AXES, the score in the middle and what is added at the right and at
    the lower edge, in standard deviations.
    """

    scores: torch.Tensor

    @staticmethod
    def draw(count: int, generator: torch.Generator) -> "Grounds":
        """Return random grounds."""
        return Grounds(torch.randn(count, 3, 3, generator=generator) * torch.tensor([1.0, SLOPE, SLOPE]))

    def field(self, side: int) -> torch.Tensor:
        """Return the scores at every place of a square: (n, 3, side, side)."""
        return torch.einsum("nap,pyx->nayx", self.scores, plane(side))

    def colours(self, side: int) -> torch.Tensor:
        """Return red, green and blue in [0, 1] at every place of a square: (n, 3, side, side)."""
        colours = MIDDLE + torch.einsum("nayx,ac->ncyx", self.field(side), torch.tensor(AXES))
        return colours.clamp(DARKEST, 1)


def plane(side: int) -> torch.Tensor:
    """Return a one, and how far right and down of the middle each place of a square is: (3, side, side)."""
    places = (torch.arange(side) + 0.5) * 2 / side - 1
    return torch.stack([torch.ones(side, side), places.expand(side, side), places.view(-1, 1).expand(side, side)])


def evened(field: torch.Tensor) -> torch.Tensor:
    """Return the scores (n, 3, side, side) that change evenly and are nearest to those given."""
    places = plane(field.shape[-1]).flatten(1)
    scores: torch.Tensor = _linalg.lstsq(places.T, field.flatten(0, 1).flatten(1).T).solution
    return (scores.T @ places).view(field.shape)


def lay(layers: torch.Tensor, colours: torch.Tensor) -> torch.Tensor:
    """Return drawings laid on their grounds: float in [0, 1], (n, 3, side, side).

    `layers` (n, 4, side, side), uint8, hold red, green and blue already multiplied by the fourth, the opacity;
    `colours` (n, 3, side, side) are the grounds.
    """
    parts = layers.float() / 255
    # rounding to whole layers may leave a colour a little above its opacity
    return (parts[:, :3] + (1 - parts[:, 3:]) * colours).clamp(0, 1)
