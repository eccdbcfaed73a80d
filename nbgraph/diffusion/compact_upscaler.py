"""The network of "compact" upscalers (SRVGGNetCompact of Real-ESRGAN), the smallest of the usual kinds.

Files of this kind need no package beside torch. One ships with the package, for the pictures of the model that ships.
"""

from torch import Tensor, nn
from torch.nn.functional import interpolate, pixel_shuffle


class CompactUpscaler(nn.Module):
    """Convolutions at the size of the input, whose last gives the pixels of the larger image."""

    def __init__(self, width: int, layers: int, scale: int) -> None:
        """Make an untrained network of `layers` convolutions of `width` channels between the first and the last."""
        super().__init__()
        self.scale = scale
        self.body = nn.ModuleList()
        channels = 3
        for _ in range(layers + 1):
            self.body += [nn.Conv2d(channels, width, 3, padding=1), nn.PReLU(width)]
            channels = width
        self.body.append(nn.Conv2d(channels, 3 * scale**2, 3, padding=1))

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, h, w) -> (B, 3, h * scale, w * scale), values in [0, 1] on both sides, the result not clamped."""
        values = image
        for layer in self.body:
            values = layer(values)
        # What is learnt is the difference from an image of larger pixels.
        return pixel_shuffle(values, self.scale) + interpolate(image, scale_factor=self.scale, mode="nearest")
