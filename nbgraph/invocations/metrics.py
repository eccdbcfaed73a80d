"""Metrics: nodes that measure an image, each as one number, for sweeps and comparisons.

All read the image in RGB, transparent pixels on white. Luma is 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), 0 to 255,
computed in whole thousandths: rounding would make flat images of two colours differ, alike for every seed.

None of them says that an image is good: sharpness rises with noise too, and a prompt may ask for a dull picture.

Sources: variance of the Laplacian, J. L. Pech-Pacheco and others, Diatom autofocusing in brightfield microscopy, 2000;
RMS contrast, E. Peli, Contrast in complex images, 1990; colourfulness, D. Hasler and S. Suesstrunk, Measuring
colourfulness in natural images, 2003. SSIM is that of `image_compare.py`.
"""

from math import inf, log10

import numpy as np
from PIL import Image
from pydantic import Field

from nbgraph.errors import NbgraphError
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.fields import ImageField
from nbgraph.invocations.image_compare import ssim
from nbgraph.invocations.outputs import FloatOutput
from nbgraph.invocations.pictures import check_equal_sizes, open_on_white

LUMA = (299, 587, 114)
THOUSAND = 1000
LEVELS = 256


@invocation("image_sharpness", title="Sharpness", category="image", version="1.0.0")
class Sharpness(BaseInvocation):
    """The variance of the Laplacian of an image's luma: 0 for a flat image; edges, detail and noise raise it."""

    image: ImageField = Field(description="Image to measure, at least 3 x 3 pixels")

    def invoke(self, context: InvocationContext) -> FloatOutput:
        return FloatOutput(value=sharpness(open_on_white(context, self.image)))


@invocation("image_contrast", title="Contrast", category="image", version="1.0.0")
class Contrast(BaseInvocation):
    """The RMS contrast of an image: the standard deviation of its luma, 0 for a flat one, 0.5 at most."""

    image: ImageField = Field(description="Image to measure")

    def invoke(self, context: InvocationContext) -> FloatOutput:
        return FloatOutput(value=contrast(open_on_white(context, self.image)))


@invocation("image_colourfulness", title="Colourfulness", category="image", version="1.0.0")
class Colourfulness(BaseInvocation):
    """The colourfulness of an image: 0 for a grey one, about 15 for a slightly, 60 for a quite colourful photograph."""

    image: ImageField = Field(description="Image to measure")

    def invoke(self, context: InvocationContext) -> FloatOutput:
        return FloatOutput(value=colourfulness(open_on_white(context, self.image)))


@invocation("image_entropy", title="Entropy", category="image", version="1.0.0")
class Entropy(BaseInvocation):
    """The entropy of the 256 levels of an image's luma in bits: 0 for a flat image, 8 where all levels are equal."""

    image: ImageField = Field(description="Image to measure")

    def invoke(self, context: InvocationContext) -> FloatOutput:
        return FloatOutput(value=entropy(open_on_white(context, self.image)))


@invocation("image_psnr", title="PSNR", category="image", version="1.0.0")
class Psnr(BaseInvocation):
    """The peak signal-to-noise ratio of an image beside a reference, in dB: infinite for equal images."""

    image: ImageField = Field(description="Image to measure")
    reference: ImageField = Field(description="Image to compare with, of the same size")

    def invoke(self, context: InvocationContext) -> FloatOutput:
        return FloatOutput(value=psnr(*_pair(self, context)))


@invocation("image_ssim", title="SSIM", category="image", version="1.0.0")
class Ssim(BaseInvocation):
    """The structural similarity of an image to a reference, in windows of 7 x 7 pixels: 1 for equal images."""

    image: ImageField = Field(description="Image to measure")
    reference: ImageField = Field(description="Image to compare with, of the same size")

    def invoke(self, context: InvocationContext) -> FloatOutput:
        return FloatOutput(value=ssim(*_pair(self, context)))


METRICS: dict[str, type[BaseInvocation]] = {
    "sharpness": Sharpness,
    "contrast": Contrast,
    "colourfulness": Colourfulness,
    "entropy": Entropy,
    "psnr": Psnr,
    "ssim": Ssim,
}
"""The metrics that a sweep knows by name."""


def sharpness(picture: Image.Image) -> float:
    """Return the variance of the Laplacian (4 neighbours, inside the image) of the luma of an RGB image.

    Raises
    ------
    NbgraphError
        The image is smaller than 3 x 3 pixels.
    """
    if min(picture.size) < 3:
        raise NbgraphError(f"sharpness needs 3 x 3 pixels, and the image has {picture.width} x {picture.height}")
    grey = _luma(picture)
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float((around - 4 * grey[1:-1, 1:-1]).var() / THOUSAND**2)


def contrast(picture: Image.Image) -> float:
    """Return the standard deviation of the luma of an RGB image, as a share of 255."""
    return float(_luma(picture).std() / (255 * THOUSAND))


def colourfulness(picture: Image.Image) -> float:
    """Return the colourfulness of an RGB image: spread and distance from grey in the red-green and yellow-blue axes."""
    red, green, blue = np.moveaxis(np.asarray(picture, np.float64), 2, 0)
    axes = np.stack([red - green, (red + green) / 2 - blue])
    spread, offset = axes.std(axis=(1, 2)), axes.mean(axis=(1, 2))
    return float(np.hypot(*spread) + 0.3 * np.hypot(*offset))


def entropy(picture: Image.Image) -> float:
    """Return the Shannon entropy of the luma of an RGB image, rounded to 256 levels, in bits."""
    counts = np.bincount((_luma(picture) / THOUSAND).round().astype(np.intp).ravel(), minlength=LEVELS)
    shares = counts[counts > 0] / counts.sum()
    # a sum of one share of 1 would be -0.0
    return abs(float(-(shares * np.log2(shares)).sum()))


def psnr(first: Image.Image, second: Image.Image) -> float:
    """Return the peak signal-to-noise ratio of two RGB images of one size in dB, infinite for equal ones."""
    error = np.mean((np.asarray(first, np.float64) - np.asarray(second, np.float64)) ** 2)
    return inf if error == 0 else 10 * log10(255**2 / float(error))


def _luma(picture: Image.Image) -> np.ndarray:
    """Return the luma in thousandths: whole numbers, which sums and means of float64 keep exact."""
    return np.asarray(picture, np.float64) @ np.array(LUMA)


def _pair(node: "Psnr | Ssim", context: InvocationContext) -> tuple[Image.Image, Image.Image]:
    image, reference = open_on_white(context, node.image), open_on_white(context, node.reference)
    check_equal_sizes(image=image, reference=reference)
    return image, reference
