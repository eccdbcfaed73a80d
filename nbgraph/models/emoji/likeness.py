"""Which drawing a picture shows, whatever its ground: the measure of accuracy where seeds are free to differ.

Every drawing is laid on the ground, even in each of its colours or rising evenly across and down, that suits the
picture best by least squares; the drawing that leaves the smallest squared difference at 32x32 pixels counts.
"""

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import torch
from torch.nn.functional import interpolate

from .grounds import plane
from .nets import split

_linalg: Any = torch.linalg
SIDE = 32  # pixels
PLAIN = 10.0  # difference of two colours in CIELAB: several times the 2.3 that can just be noticed
TO_XYZ = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))  # of linear sRGB
WHITE = (0.9505, 1.0, 1.089)


@dataclass
class Found:
    """What n pictures show, as tensors of shape (n,)."""

    drawing: torch.Tensor  # index of the nearest drawing
    distance: torch.Tensor  # mean squared difference to it, in a range of 1


def small(pictures: torch.Tensor) -> torch.Tensor:
    """Return pictures (n, channels, side, side) at SIDE pixels as rows: (n, channels, SIDE * SIDE)."""
    return interpolate(pictures, size=(SIDE, SIDE), mode="area").flatten(2)


class Gallery:
    """All drawings, each with the grounds that it can be laid on."""

    def __init__(self, layers: torch.Tensor) -> None:
        """`layers` (drawings, 4, 128, 128), uint8, are as `grounds.lay` takes them."""
        rows = torch.cat([small(part.float() / 255) for part in split(layers, 64)])
        self.drawn = rows[:, :3]  # (drawings, 3, pixels)
        visible = (1 - rows[:, 3:]) * plane(SIDE).flatten(1)
        # what a ground can change in a picture, as an orthonormal basis, zero where nothing is seen of it
        _, seen, basis = _linalg.svd(visible, full_matrices=False)
        self.reach: torch.Tensor = basis * (seen > 1e-3).unsqueeze(2)  # (drawings, 3, pixels)

    def find(self, pictures: torch.Tensor) -> Found:
        """Return which drawing each of the pictures (n, 3, side, side) in [0, 1] shows."""
        parts = [self.distances(part) for part in split(pictures, 16)]
        distance, drawing = torch.cat(parts).min(dim=1)
        return Found(drawing, distance)

    def distances(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return the mean squared difference of pictures (n, 3, side, side) to every drawing: (n, drawings)."""
        rows = small(pictures)
        whole = torch.cdist(rows.flatten(1), self.drawn.flatten(1)).square()
        reached = torch.einsum("ncp,dkp->ndck", rows, self.reach)
        reached -= torch.einsum("dcp,dkp->dck", self.drawn, self.reach)
        return (whole - reached.square().sum(dim=(2, 3))) / rows[0].numel()


def spread(pictures: torch.Tensor) -> tuple[float, float]:
    """Return the mean distance between seeds of one prompt, and that between prompts at one seed.

    `pictures` is (prompts, seeds, 3, side, side) in [0, 1], two at least of both; a distance is the root of the mean
    squared difference at 32x32 pixels.
    """
    rows = small(pictures.flatten(0, 1)).view(*pictures.shape[:2], -1)
    return mean_distance(rows), mean_distance(rows.transpose(0, 1))


def mean_distance(rows: torch.Tensor) -> float:
    """Return the mean distance between two different rows of the same group, for (groups, members, values)."""
    distances = torch.cdist(rows, rows) / rows.shape[2] ** 0.5
    members = rows.shape[1]
    return (distances.sum(dim=(1, 2)) / (members * (members - 1))).mean().item()


def cielab(colours: torch.Tensor) -> torch.Tensor:
    """Return sRGB colours (n, 3, ...) in [0, 1] as CIE 1976 lightness, a and b, for the white of D65.

    Source: IEC 61966-2-1 for sRGB, CIE 15 for the space.
    """
    linear = torch.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    of_white = torch.tensor(TO_XYZ) / torch.tensor(WHITE).unsqueeze(1)
    shares = torch.einsum("nc...,xc->xn...", linear, of_white)
    root, straight = shares.clamp(min=1e-9) ** (1 / 3), shares * (29 / 6) ** 2 / 3 + 4 / 29
    x, y, z = torch.where(shares > (6 / 29) ** 3, root, straight)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def told_apart(some: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Return whether a person tells pictures (n, 3, side, side) in [0, 1] apart at a glance: (n,), bool.

    They do when a quarter of the places at 32x32 pixels differ in colour by PLAIN.
    """
    differences = (cielab(small(some)) - cielab(small(others))).square().sum(dim=1).sqrt()
    return (differences >= PLAIN).float().mean(dim=1) >= 0.25


def all_apart(pictures: torch.Tensor) -> torch.Tensor:
    """Return for (prompts, seeds, 3, side, side) whether all seeds are told apart: (prompts,), bool."""
    pairs = combinations(range(pictures.shape[1]), 2)
    return torch.stack([told_apart(pictures[:, i], pictures[:, j]) for i, j in pairs]).all(dim=0)
