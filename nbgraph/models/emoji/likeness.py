"""Which drawing a picture shows, and in which look: the measure of accuracy where seeds are free to differ.

A picture is cut out along its ground and brought to one size, in every turn and mirrored too, and compared with all
drawings cut out in the same way. The nearest one counts, by mean squared difference at 32x32 pixels.
"""

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch.nn.functional import affine_grid, grid_sample, interpolate

from .data import Drawing, halved
from .looks import TINTS, Looks, grounds, show
from .nets import integers, split

SIDE = 32  # pixels of a picture cut out
FILL = 30 / 32  # of them that the longer side of the drawing takes
CLEAR = 0.15  # difference to the ground, of a range of 1, from which on a pixel belongs to the drawing
TURNS = (0.0, -5.0, 5.0, -10.0, 10.0, -15.0, 15.0)  # degrees


@dataclass
class Found:
    """What n pictures show, as tensors of shape (n,)."""

    drawing: torch.Tensor  # index of the nearest drawing
    distance: torch.Tensor  # mean squared difference to it, in a range of 1
    mirrored: torch.Tensor  # bool
    turn: torch.Tensor  # degrees
    scale: torch.Tensor  # longer side of the drawing, of the full size
    ground: torch.Tensor  # index into GROUNDS
    tint: torch.Tensor  # index into TINTS


def ground_of(pictures: torch.Tensor) -> torch.Tensor:
    """Return for pictures (n, 3, side, side) in [0, 1] which ground their edge is nearest to: (n,) into GROUNDS."""
    edge = torch.cat([pictures[..., 0], pictures[..., -1], pictures[..., 0, :], pictures[..., -1, :]], dim=-1)
    return torch.cdist(edge.median(dim=-1).values, grounds()).argmin(dim=1)


def turned(pictures: torch.Tensor, degrees: float) -> torch.Tensor:
    """Return pictures turned clockwise, their edge going on outside."""
    angle = torch.deg2rad(torch.tensor(degrees))
    cos, sin = angle.cos().item(), angle.sin().item()
    matrix = torch.tensor([[cos, sin, 0], [-sin, cos, 0]]).expand(len(pictures), 2, 3)
    places = affine_grid(matrix, list(pictures.shape), align_corners=False)
    return grid_sample(pictures, places, padding_mode="border", align_corners=False)


def cut_out(pictures: torch.Tensor, ground: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (pictures (n, 3, SIDE, SIDE), scale (n,)): what differs from the ground, brought to one size."""
    side = pictures.shape[-1]
    clear = (pictures - grounds()[ground].view(-1, 3, 1, 1)).abs().amax(dim=1) > CLEAR
    bounds: list[tuple[torch.Tensor, torch.Tensor]] = []
    for axis in (2, 1):  # across, then down
        filled = clear.sum(dim=3 - axis) > side // 64
        filled |= ~filled.any(dim=1, keepdim=True)  # an empty picture is taken whole
        first = filled.float().argmax(dim=1) / side
        last = 1 - filled.flip(1).float().argmax(dim=1) / side
        bounds.append((first + last - 1, last - first))  # middle of -1 to 1, extent of 0 to 1
    (right, width), (down, height) = bounds
    scale = torch.maximum(width, height)
    zero, span = torch.zeros_like(scale), scale / FILL
    matrix = torch.stack([torch.stack([span, zero, right], 1), torch.stack([zero, span, down], 1)], 1)
    places = affine_grid(matrix, [len(pictures), 3, SIDE, SIDE], align_corners=False)
    return grid_sample(pictures, places, padding_mode="border", align_corners=False), scale / FILL


class Gallery:
    """All drawings cut out, on every ground and in every tint that was asked for so far."""

    def __init__(self, listed: list[Drawing], layers: torch.Tensor) -> None:
        """`layers` (drawings, 4, 128, 128), uint8, are the drawings of `listed`."""
        self.layers = layers
        self.sided = torch.tensor([drawing.is_sided for drawing in listed])
        self.clocks = torch.tensor([drawing.is_clock for drawing in listed])
        self._kept: dict[tuple[int, int], torch.Tensor] = {}

    def rows(self, ground: int, tint: int) -> torch.Tensor:
        """Return all drawings on a ground, in a tint: (drawings, 3 * SIDE * SIDE)."""
        if (ground, tint) not in self._kept:
            parts: list[torch.Tensor] = []
            for part in split(self.layers, 64):
                looks = Looks.plain(len(part))
                looks.ground, looks.tint = looks.ground + ground, looks.tint + tint
                parts.append(cut_out(halved(show(part, looks)), looks.ground)[0].flatten(1))
            self._kept[ground, tint] = torch.cat(parts)
        return self._kept[ground, tint]

    def find(self, pictures: torch.Tensor) -> Found:
        """Return which drawing each of the pictures (n, 3, side, side) in [0, 1] shows, and how."""
        small = interpolate(pictures, size=(64, 64), mode="area")
        ground = ground_of(small)
        best = Found(*(torch.zeros(len(small)) for _ in range(7)))
        best.distance += torch.inf
        best.drawing, best.tint, best.ground = best.drawing.long(), best.tint.long(), ground
        best.mirrored = best.mirrored.bool()
        for turn in TURNS:
            upright, scale = cut_out(turned(small, -turn), ground)
            for mirrored in (False, True):
                flipped = (upright.flip(-1) if mirrored else upright).flatten(1)
                barred = (self.sided & mirrored) | (self.clocks & (turn != 0))
                for number, tint in [(g, t) for g in integers(cast(Any, ground).unique()) for t in range(len(TINTS))]:
                    chosen = (ground == number).nonzero().flatten()
                    distances = torch.cdist(flipped[chosen], self.rows(number, tint)).square() / flipped.shape[1]
                    distance, drawing = distances.masked_fill(barred, torch.inf).min(dim=1)
                    nearer = distance < best.distance[chosen]
                    chosen = chosen[nearer]
                    best.distance[chosen], best.drawing[chosen] = distance[nearer], drawing[nearer]
                    best.mirrored[chosen], best.turn[chosen] = mirrored, turn
                    best.tint[chosen], best.scale[chosen] = tint, scale[chosen]
        return best


def spread(pictures: torch.Tensor) -> tuple[float, float]:
    """Return the mean distance between seeds of one prompt, and that between prompts at one seed.

    `pictures` is (prompts, seeds, 3, side, side) in [0, 1], two at least of both; a distance is the root of the mean
    squared difference at 32x32 pixels.
    """
    rows = interpolate(pictures.flatten(0, 1), size=(SIDE, SIDE), mode="area").view(*pictures.shape[:2], -1)
    return mean_distance(rows), mean_distance(rows.transpose(0, 1))


def mean_distance(rows: torch.Tensor) -> float:
    """Return the mean distance between two different rows of the same group, for (groups, members, values)."""
    distances = torch.cdist(rows, rows) / rows.shape[2] ** 0.5
    members = rows.shape[1]
    return (distances.sum(dim=(1, 2)) / (members * (members - 1))).mean().item()


def all_apart(pictures: torch.Tensor, least: float) -> torch.Tensor:
    """Return for (prompts, seeds, 3, side, side) whether no two seeds are nearer than `least`: (prompts,)."""
    rows = interpolate(pictures.flatten(0, 1), size=(SIDE, SIDE), mode="area").view(*pictures.shape[:2], -1)
    distances = torch.cdist(rows, rows) / rows.shape[2] ** 0.5
    distances += torch.diag(torch.full((rows.shape[1],), torch.inf))
    return distances.amin(dim=(1, 2)) >= least
