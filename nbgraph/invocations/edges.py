"""Canny's edges with numpy: gradient by Sobel, ridges thinned to a pixel, weak edges kept where they join strong ones.

J. Canny, A Computational Approach to Edge Detection, 1986; gradients are summed as |x| + |y|, so thresholds of 100 and
200 mean what they mean in OpenCV.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image

from nbgraph.errors import CancelledError

CHECK_EVERY = 32


def canny(grey: Image.Image, low: float, high: float, is_cancelled: Callable[[], bool] = lambda: False) -> Image.Image:
    """White edges on black, mode L. The picture is one of mode L."""
    across, down = _sobel(np.pad(np.asarray(grey, dtype=np.int32), 1, mode="edge"))
    strength = np.abs(across) + np.abs(down)
    ridge = _is_ridge(strength, across, down)
    edges = _joined(ridge & (strength > low), ridge & (strength > high), is_cancelled)
    return Image.fromarray(edges.astype(np.uint8) * 255)


def _sobel(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(across, down): the gradients of a picture that has a border of one pixel."""
    smooth_rows = values[:-2] + 2 * values[1:-1] + values[2:]
    smooth_columns = values[:, :-2] + 2 * values[:, 1:-1] + values[:, 2:]
    return smooth_rows[:, 2:] - smooth_rows[:, :-2], smooth_columns[2:] - smooth_columns[:-2]


def _is_ridge(strength: np.ndarray, across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Return where the gradient is at least as strong as on both sides, along its nearest 45 degrees."""
    height, width = strength.shape
    around = np.pad(strength, 1)

    def beside(y: int, x: int) -> np.ndarray:
        return around[1 + y : 1 + y + height, 1 + x : 1 + x + width]

    steep = np.abs(down) > np.abs(across) * 2.414
    flat = np.abs(down) < np.abs(across) * 0.414
    falling = (across > 0) == (down > 0)
    before = np.select([flat, steep, falling], [beside(0, -1), beside(-1, 0), beside(-1, -1)], beside(-1, 1))
    after = np.select([flat, steep, falling], [beside(0, 1), beside(1, 0), beside(1, 1)], beside(1, -1))
    return (strength > before) & (strength >= after)


def _joined(weak: np.ndarray, strong: np.ndarray, is_cancelled: Callable[[], bool]) -> np.ndarray:
    """The weak edges that join strong ones, over corners too, grown pixel by pixel from the strong ones."""
    found, front, rounds = strong.copy(), strong, 0
    while front.any():
        rounds += 1
        if rounds % CHECK_EVERY == 0 and is_cancelled():
            raise CancelledError("cancelled while edges were joined")
        padded = np.pad(front, 1)
        rows = padded[:-2] | padded[1:-1] | padded[2:]
        front = (rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:]) & weak & ~found
        found |= front
    return found
