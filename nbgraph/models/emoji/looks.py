"""The ways the upscaler is shown one drawing: mirrored, smaller, shifted, turned, pale, on a coloured ground."""

from dataclasses import dataclass

import torch
from torch.nn.functional import affine_grid, grid_sample

TURN = 15.0  # degrees, the most a drawing is turned to either side
SMALLEST = 0.6  # of the full size
GROUNDS = {  # red, green and blue of 255
    "white": (255, 255, 255),
    "blue": (158, 203, 247),
    "green": (170, 224, 170),
    "yellow": (253, 230, 140),
    "pink": (250, 187, 208),
    "purple": (205, 180, 240),
    "grey": (188, 194, 201),
    "black": (40, 42, 54),
}
TINTS = {"plain": (1.0, 0.0), "pale": (0.55, 0.45)}  # factor and addend for colours in 0 to 1
PLAIN_SHARE = 0.05  # of pictures that show the drawing as it is, on white


@dataclass
class Looks:
    """The looks of n pictures, as tensors of shape (n,)."""

    mirrored: torch.Tensor  # bool
    scale: torch.Tensor  # 1 is the full size
    right: torch.Tensor  # shift of the middle, in halves of the canvas
    down: torch.Tensor
    turn: torch.Tensor  # degrees, clockwise
    ground: torch.Tensor  # index into GROUNDS
    tint: torch.Tensor  # index into TINTS

    @staticmethod
    def plain(count: int) -> "Looks":
        """Return the look of the font: as it is, in the middle, on white."""
        right, down, turn = torch.zeros(3, count)
        ground, tint = torch.zeros(2, count, dtype=torch.long)
        return Looks(torch.zeros(count, dtype=torch.bool), torch.ones(count), right, down, turn, ground, tint)

    @staticmethod
    def draw(count: int, generator: torch.Generator, posed: bool = True) -> "Looks":
        """Return random looks, a share of them plain; unless `posed`, all are of full size, in the middle, unturned."""

        def uniform() -> torch.Tensor:
            return torch.rand(count, generator=generator)

        def choose(weights: list[float]) -> torch.Tensor:
            return torch.multinomial(torch.tensor(weights), count, replacement=True, generator=generator)

        varied = (uniform() >= PLAIN_SHARE).float()
        turn = (2 * uniform() - 1) * TURN * (uniform() < 0.5) * varied * posed
        scale = torch.where(uniform() < 0.3, torch.ones(count), SMALLEST + (1 - SMALLEST) * uniform())
        scale = 1 + (scale - 1) * varied * posed
        room = 1 - scale
        return Looks(
            mirrored=(uniform() < 0.5) & varied.bool(),
            scale=scale * (1 - turn.abs() / 150),  # a turned square needs more room
            right=(2 * uniform() - 1) * room,
            down=(2 * uniform() - 1) * room,
            turn=turn,
            ground=choose([1 / len(GROUNDS)] * len(GROUNDS)) * varied.long(),
            tint=choose([0.8, 0.2]) * varied.long(),
        )


def grounds() -> torch.Tensor:
    """Return the ground colours in [0, 1]: (grounds, 3)."""
    return torch.tensor(list(GROUNDS.values())) / 255


def show(layers: torch.Tensor, looks: Looks) -> torch.Tensor:
    """Return the pictures of drawings in their looks: float in [0, 1], (n, 3, side, side).

    `layers` (n, 4, side, side), uint8, hold red, green and blue already multiplied by the fourth, the opacity.
    """
    angle = torch.deg2rad(looks.turn)
    sign = torch.where(looks.mirrored, -1.0, 1.0)
    cos, sin = angle.cos() / looks.scale, angle.sin() / looks.scale
    # from a place in the picture to its place in the drawing: back by the shift, back by the turn, then mirrored
    across = torch.stack([cos * sign, sin * sign, -sign * (cos * looks.right + sin * looks.down)], dim=1)
    along = torch.stack([-sin, cos, sin * looks.right - cos * looks.down], dim=1)
    places = affine_grid(torch.stack([across, along], dim=1), list(layers.shape), align_corners=False)
    moved = grid_sample(layers.float() / 255, places, align_corners=False)
    colours, opacity = moved[:, :3], moved[:, 3:]
    factor, addend = torch.tensor(list(TINTS.values()))[looks.tint].T.reshape(2, -1, 1, 1, 1)
    shown = factor * colours + addend * opacity + (1 - opacity) * grounds()[looks.ground].view(-1, 3, 1, 1)
    return shown.clamp(0, 1)  # rounding to whole layers may leave a colour a little above its opacity
