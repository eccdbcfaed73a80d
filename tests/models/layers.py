"""Four drawings that stand for the font's."""

import torch

SIDE = 128


def drawn() -> torch.Tensor:
    """Return a flag, a ring, an arrow and a clock as layers (4, 4, 128, 128): colours multiplied by opacity."""
    down, right = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    masks = torch.zeros(4, SIDE, SIDE, dtype=torch.bool)
    masks[0] = ((right > 8) & (right < 24) & (down > 4) & (down < 124)) | ((right > 8) & (right < 110) & (down < 60))
    distance = ((right - 64.0) ** 2 + (down - 64.0) ** 2).sqrt()
    masks[1] = (distance < 58) & (distance > 34)
    masks[2] = (right > 6) & (right < 122) & ((down - 64).abs() < (right - 4) / 2)
    masks[3] = (distance < 58) & ~(((right - 64).abs() < 6) & (down > 16) & (down < 70))
    colours = torch.tensor([[200, 30, 30], [30, 120, 60], [20, 60, 180], [120, 60, 120]], dtype=torch.uint8)
    layers = torch.cat([colours.view(4, 3, 1, 1).expand(4, 3, SIDE, SIDE), torch.full((4, 1, SIDE, SIDE), 255)], dim=1)
    return (layers * masks[:, None]).to(torch.uint8)
