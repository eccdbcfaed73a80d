"""Compare two images: an image of the difference, and figures.

SSIM after Z. Wang and others, Image Quality Assessment: From Error Visibility to Structural Similarity, 2004, with a
uniform window of 7 x 7 pixels, K1 = 0.01, K2 = 0.03 and sample covariances; the mean over all channels.
"""

import numpy as np
from PIL import Image, ImageChops
from pydantic import Field

from nbgraph.image_modes import has_alpha
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.fields import ImageField
from nbgraph.invocations.outputs import ImageOutput
from nbgraph.invocations.pictures import check_equal_sizes, common_mode, open_picture

WINDOW = 7


class CompareOutput(ImageOutput):
    """The difference as a picture; SSIM is 1 for equal pictures; differences are in steps of 0 to 255."""

    ssim: float
    mean_difference: float
    max_difference: int


@invocation("image_compare", title="Compare images", category="image", version="1.0.0")
class CompareImages(BaseInvocation):
    """The difference of two pictures of one size, black where they are equal, and how alike they are."""

    image1: ImageField = Field(title="First image", description="First image")
    image2: ImageField = Field(title="Second image", description="Second image, of the same size")
    amplify: float = Field(1.0, gt=0, le=255, description="Factor on the difference, to make small ones visible")

    def invoke(self, context: InvocationContext) -> CompareOutput:
        first, second = common_mode(open_picture(context, self.image1), open_picture(context, self.image2))
        check_equal_sizes(image1=first, image2=second)
        difference = ImageChops.difference(first, second)
        values = np.asarray(difference)
        # equal alphas differ by 0, which would make the whole difference invisible
        shown = difference.convert(difference.mode[:-1]) if has_alpha(difference) else difference
        brighter = [min(255, round(value * self.amplify)) for value in range(256)]
        picture = context.images.output(shown.point(brighter * len(shown.getbands())))
        return CompareOutput(
            **picture.__dict__,
            ssim=ssim(first, second),
            mean_difference=float(values.mean()),
            max_difference=int(values.max()),
        )


def ssim(first: Image.Image, second: Image.Image) -> float:
    """Return the structural similarity of two images of equal mode and size, from -1 to 1."""
    window = min(WINDOW, *first.size)
    pairs = zip(first.split(), second.split())
    # float64, because the running sums of a large image lose digits in float32
    return float(np.mean([_ssim(np.asarray(a, np.float64), np.asarray(b, np.float64), window) for a, b in pairs]))


def _ssim(a: np.ndarray, b: np.ndarray, window: int) -> float:
    count = window * window
    sample = count / (count - 1) if count > 1 else 1.0
    mean_a, mean_b = _window_means(a, window), _window_means(b, window)
    variance_a = sample * (_window_means(a * a, window) - mean_a**2)
    variance_b = sample * (_window_means(b * b, window) - mean_b**2)
    covariance = sample * (_window_means(a * b, window) - mean_a * mean_b)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    above = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    below = (mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2)
    return float((above / below).mean())


def _window_means(values: np.ndarray, window: int) -> np.ndarray:
    """Return the mean in each window inside the image, by running sums: their time does not grow with the window."""
    sums = np.pad(values.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    inner = sums[window:, window:] - sums[:-window, window:] - sums[window:, :-window] + sums[:-window, :-window]
    return inner / (window * window)
