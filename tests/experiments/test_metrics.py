"""Metrics of images: each agrees with a reference that is written another way."""

from math import inf, log10

import numpy as np
import pytest
from PIL import Image, ImageFilter
from scipy import ndimage, stats

from nbgraph.errors import GraphError, NbgraphError, NodeError
from nbgraph.invocations import BlankImage, Colourfulness, Contrast, Entropy, Psnr, Sharpness, Ssim, metrics
from nbgraph.invocations.image import LoadImage


def noisy(size=(23, 17), seed=1) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8))


def luma(picture: Image.Image) -> np.ndarray:
    red, green, blue = np.asarray(picture, float).transpose(2, 0, 1)
    return 0.299 * red + 0.587 * green + 0.114 * blue


def test_sharpness_is_the_variance_of_the_laplacian():
    picture = noisy()
    inside = ndimage.laplace(luma(picture))[1:-1, 1:-1]
    assert metrics.sharpness(picture) == pytest.approx(inside.var())


def test_contrast_is_the_standard_deviation_of_the_luma():
    assert metrics.contrast(noisy()) == pytest.approx(luma(noisy()).std() / 255)
    halves = Image.new("RGB", (8, 8))
    halves.paste("white", (0, 0, 4, 8))
    assert metrics.contrast(halves) == pytest.approx(0.5)


def test_colourfulness_is_that_of_hasler_and_suesstrunk():
    red, green, blue = np.asarray(noisy(), float).reshape(-1, 3).T
    one, two = red - green, 0.5 * (red + green) - blue
    spread = np.sqrt(np.var(one) + np.var(two))
    assert metrics.colourfulness(noisy()) == pytest.approx(spread + 0.3 * np.sqrt(one.mean() ** 2 + two.mean() ** 2))


def test_entropy_is_that_of_the_histogram_in_bits():
    counts = np.bincount(np.round(luma(noisy())).astype(int).ravel())
    assert metrics.entropy(noisy()) == pytest.approx(stats.entropy(counts, base=2))
    levels = Image.fromarray(np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16)[:, :, None], 3, axis=2))
    assert metrics.entropy(levels) == pytest.approx(8)


def test_psnr_is_the_mean_squared_error_in_decibels_and_infinite_for_equal_images():
    first, second = noisy(), noisy(seed=2)
    error = np.square(np.asarray(first, float) - np.asarray(second, float)).mean()
    assert metrics.psnr(first, second) == pytest.approx(20 * log10(255) - 10 * log10(error))
    assert metrics.psnr(first, first) == inf


def test_a_flat_image_has_nothing_of_any_metric():
    for colour in ("gray", "#0b0707", "#fd03aa"):
        flat = Image.new("RGB", (9, 9), colour)
        # exactly, as what is left by rounding would be an effect on which all seeds agree
        assert [measure(flat) for measure in (metrics.sharpness, metrics.contrast, metrics.entropy)] == [0, 0, 0]
    assert metrics.colourfulness(Image.new("RGB", (9, 9), "gray")) == 0


def test_a_blurred_image_is_less_sharp_and_less_like_the_one_it_was(studio, tmp_path):
    noisy((64, 64)).save(tmp_path / "sharp.png")
    noisy((64, 64)).filter(ImageFilter.GaussianBlur(2)).save(tmp_path / "soft.png")
    sharp, soft = (LoadImage(path=str(tmp_path / f"{name}.png")) for name in ("sharp", "soft"))
    nodes = [Sharpness(image=sharp), Sharpness(image=soft), Ssim(image=soft, reference=sharp)]
    nodes += [Psnr(image=sharp, reference=sharp), Contrast(image=soft), Colourfulness(image=soft), Entropy(image=soft)]
    run = studio.run(nodes, progress=False)
    one, other, alike, equal, *rest = [run[node].value for node in nodes]
    assert one > 10 * other > 0
    assert 0 < alike < 1
    assert equal == inf
    assert all(value > 0 for value in rest)


def test_what_is_transparent_counts_as_white(tmp_path, studio):
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    clear.save(tmp_path / "clear.png")
    node = Colourfulness(image=LoadImage(path=str(tmp_path / "clear.png")))
    assert studio.run(node, progress=False)[node].value == 0


def test_an_infinite_ratio_comes_back_from_a_folder(tmp_path):
    from nbgraph import Studio

    page = BlankImage(width=8, height=8)
    node = Psnr(id="psnr", image=page, reference=page)
    with Studio(tmp_path / "studio") as studio:
        studio.run(node, progress=False)
    with Studio(tmp_path / "studio") as studio:
        run = studio.run(node, progress=False)
        assert run[node].value == inf
        assert run.stats.cached.all()


def test_images_that_cannot_be_measured_are_refused_with_their_sizes(studio):
    with pytest.raises(NbgraphError, match="sharpness needs 3 x 3 pixels, and the image has 2 x 9"):
        metrics.sharpness(Image.new("RGB", (2, 9)))
    node = Psnr(image=BlankImage(width=8, height=8), reference=BlankImage(width=8, height=16))
    with pytest.raises(NodeError, match="image is 8 x 8, reference is 8 x 16"):
        studio.run(node, progress=False)
    with pytest.raises(GraphError, match="reference"):
        studio.run(Ssim(image=BlankImage(width=8, height=8)), progress=False)
