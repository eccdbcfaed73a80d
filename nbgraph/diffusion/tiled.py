"""Images through a network in overlapping tiles, so that memory does not grow with the image.

Each tile is computed with `overlap` pixels of what lies around it, and only its own pixels are kept: there are no seams
to blend, and where the network looks no further than the overlap, the result is that of the whole image. Tiles begin at
multiples of `STEP`, so that networks that work in windows divide each tile as they would divide the whole.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from nbgraph.diffusion.batching import run_in_batches
from nbgraph.errors import ModelError

STEP = 16
"""Pixels; windows of attention are of 8 or 16."""
AfterTiles = Callable[[int, int], None]
"""Called as `(tiles done, tiles in all)`."""


@dataclass(frozen=True)
class Tiling:
    """How an image is divided: sides of a tile and overlap in pixels, and how many tiles are computed at once.

    `side` is without the overlap on both sides; 0 takes the whole image at once.
    """

    side: int = 512
    overlap: int = 32
    at_once: int = 1

    def check(self) -> None:
        """Raise `ModelError` for a side or an overlap that is no multiple of `STEP`."""
        for name, value in (("side", self.side), ("overlap", self.overlap)):
            if value % STEP:
                near = max(STEP, round(value / STEP) * STEP)
                raise ModelError(f"the {name} of tiles must be a multiple of {STEP}, and is {value}; take {near}")


class Span(NamedTuple):
    """One side of a tile, in pixels: what is computed, and what of it is kept."""

    begin: int
    end: int
    kept_begin: int
    kept_end: int


class Tile(NamedTuple):
    """A tile by its two sides."""

    rows: Span
    columns: Span

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of what is computed; tiles of one size are computed together."""
        return self.rows.end - self.rows.begin, self.columns.end - self.columns.begin


def tiles_of(height: int, width: int, tiling: Tiling) -> list[Tile]:
    """Return the tiles of an image, row by row; what they keep covers each pixel once."""
    columns = list(_spans(width, tiling))
    return [Tile(rows, each) for rows in _spans(height, tiling) for each in columns]


def _spans(length: int, tiling: Tiling) -> Iterator[Span]:
    side = tiling.side or length
    for begin in range(0, length, side):
        end = min(length, begin + side)
        yield Span(max(0, begin - tiling.overlap), min(length, end + tiling.overlap), begin, end)


@torch.no_grad()
def in_tiles(
    network: Callable[[Tensor], Tensor],
    image: Tensor,
    scale: int,
    tiling: Tiling = Tiling(),  # noqa: B008
    after: AfterTiles = lambda done, tiles: None,
) -> Tensor:
    """Compute an image tile by tile.

    Parameters
    ----------
    network
        Takes (B, 3, h, w) in [0, 1] and gives (B, 3, h * scale, w * scale) in [0, 1].
    image
        (height, width, 3), uint8, on the CPU.
    scale
        Pixels of the result for one pixel along a side.
    tiling
        How it is divided. When memory runs out, fewer tiles are computed at once.
    after
        Called after each batch of tiles.

    Returns
    -------
    Tensor
        (height * scale, width * scale, 3), uint8, on the CPU. Beside it and the image, memory is that of one batch.
    """
    tiling.check()
    height, width = image.shape[:2]
    result = torch.empty((height * scale, width * scale, 3), dtype=torch.uint8)
    tiles = tiles_of(height, width, tiling)
    done = 0

    def compute(batch: Sequence[Tile]) -> list[None]:
        nonlocal done
        parts = [image[t.rows.begin : t.rows.end, t.columns.begin : t.columns.end] for t in batch]
        computed = network(torch.stack(parts).permute(0, 3, 1, 2).float() / 255)
        for tile, each in zip(batch, computed):
            rows, columns = (_kept(span, scale) for span in tile)
            kept = each[:, rows, columns].float().clamp(0, 1).mul(255).round().to(torch.uint8)
            place = [slice(span.kept_begin * scale, span.kept_end * scale) for span in tile]
            result[place[0], place[1]] = kept.permute(1, 2, 0).cpu()
        done += len(batch)
        after(done, len(tiles))
        return [None] * len(batch)

    run_in_batches(tiles, lambda tile: tile.size, compute, tiling.at_once)
    return result


def _kept(span: Span, scale: int) -> slice:
    """Return what is kept of one side of a computed tile."""
    return slice((span.kept_begin - span.begin) * scale, (span.kept_end - span.begin) * scale)
