"""Networks over images in overlapping tiles: the same as over the whole, in bounded memory."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nbgraph.diffusion.tiled import STEP, Tiling, in_tiles, tiles_of
from nbgraph.errors import CancelledError, ModelError

sides = st.integers(1, 200)
multiples = st.integers(0, 4).map(lambda number: number * STEP)


class Sharpen(torch.nn.Module):
    """Twice as large, by convolutions that look 4 pixels far; notes the shapes that it is given."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        layers = [torch.nn.Conv2d(3, 8, 5, padding=2), torch.nn.ReLU(), torch.nn.Conv2d(8, 12, 5, padding=2)]
        self.layers = torch.nn.Sequential(*layers, torch.nn.PixelShuffle(2), torch.nn.Sigmoid())
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.shapes.append(tuple(image.shape))
        return self.layers(image)


def noise(height: int, width: int) -> torch.Tensor:
    return torch.randint(0, 256, (height, width, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@given(sides, sides, multiples, multiples)
def test_what_tiles_keep_covers_each_pixel_once(height, width, side, overlap):
    covered = torch.zeros(height, width, dtype=torch.int)
    for tile in tiles_of(height, width, Tiling(side, overlap)):
        rows, columns = tile
        covered[rows.kept_begin : rows.kept_end, columns.kept_begin : columns.kept_end] += 1
        assert rows.begin <= rows.kept_begin < rows.kept_end <= rows.end
        assert rows.begin % STEP == 0
        assert columns.begin % STEP == 0
    assert bool((covered == 1).all())


@pytest.mark.parametrize(("height", "width"), [(100, 130), (64, 64), (20, 200)])
def test_an_image_in_tiles_is_the_image_as_a_whole(height, width):
    image, network = noise(height, width), Sharpen()
    whole = in_tiles(network, image, 2, Tiling(0, 0))
    assert whole.shape == (2 * height, 2 * width, 3)
    assert (in_tiles(network, image, 2, Tiling(48, 16, 3)).int() - whole.int()).abs().max() <= 1
    if width > 48:
        seams = (in_tiles(network, image, 2, Tiling(48, 0)).int() - whole.int()).abs().amax(dim=(0, 2))
        assert seams[86:106].max() > 1


def test_the_network_is_never_given_more_than_a_batch_of_tiles():
    network = Sharpen()
    told: list[tuple[int, int]] = []
    in_tiles(network, noise(300, 500), 2, Tiling(64, 16, 4), lambda *done: told.append(done))
    assert max(shape[0] * shape[2] * shape[3] for shape in network.shapes) == 4 * 96 * 96
    assert told[-1] == (40, 40)
    assert len(told) == len(network.shapes) < 40


def test_fewer_tiles_are_computed_at_once_when_memory_runs_out():
    network = Sharpen()

    def small_device(tiles: torch.Tensor) -> torch.Tensor:
        if len(tiles) > 2:
            raise torch.OutOfMemoryError
        return network(tiles)

    image = noise(128, 128)
    made = in_tiles(small_device, image, 2, Tiling(16, 16, 8))
    assert (made.int() - in_tiles(network, image, 2, Tiling(0, 0)).int()).abs().max() <= 1


def test_what_is_told_after_a_batch_can_cancel():
    def cancel(done: int, tiles: int) -> None:
        raise CancelledError("cancelled")

    network = Sharpen()
    with pytest.raises(CancelledError):
        in_tiles(network, noise(128, 128), 2, Tiling(16, 16), cancel)
    assert len(network.shapes) == 1


@pytest.mark.parametrize("tiling", [Tiling(100, 16), Tiling(64, 10)])
def test_sides_that_would_cut_windows_of_attention_are_refused(tiling):
    with pytest.raises(ModelError, match="must be a multiple of 16"):
        in_tiles(Sharpen(), noise(128, 128), 2, tiling)
