"""Models for inpainting: denoisers that take a mask and the masked image as further channels.

The UNets of Stable Diffusion and SDXL take them as five more channels (9 in all), the transformer of Flux Fill as more
features of each patch (384 in all). The family's plain pipeline does the steps, and the denoiser adds the channels to
its latents. Nothing is restored after a step, as the model itself keeps what is outside the mask.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from nbgraph.diffusion.components import Components
from nbgraph.diffusion.masks import mask_values
from nbgraph.diffusion.packing import pack
from nbgraph.diffusion.vae import check_shape, encode_pixels, image_pixels
from nbgraph.diffusion.values import Latents
from nbgraph.errors import ModelError

Shown = Callable[[Tensor], Tensor]
"""Adds the channels of the mask and the masked image to the latents of one call of the denoiser."""


@dataclass(frozen=True)
class MaskedImage:
    """The mask and the masked image of a model for inpainting.

    `mask` is (1, 1, height, width) in pixels, 1 where it paints; `latents` are those of the image, grey there.
    """

    mask: Tensor
    latents: Latents


@dataclass(frozen=True)
class ControlImage:
    """The control image of a control LoRA, which is resized to the size of the result."""

    image: Image.Image


def encode_masked_image(
    components: Components, image: Image.Image, mask: Image.Image, seed: int | None = None
) -> MaskedImage:
    """Encode an image without what is white in a mask; needs the component `vae`.

    Parameters
    ----------
    mask
        Cut at half grey, transparent as black, and resized to the image.
    seed
        As in `encode_image`.

    Raises
    ------
    ModelError
        The sides of the image are no multiples of `multiple_of` of the model.
    """
    pixels = image_pixels(components, image)
    painted = (mask_values(mask, image.width, image.height) >= 0.5).float()
    return MaskedImage(painted, encode_pixels(components, pixels * (painted < 0.5), seed))


def shown_beside(components: Components, masked: MaskedImage | None, begin: Latents) -> Shown:
    """Return the function that adds the channels of a mask and masked image to latents of the size of `begin`.

    Raises
    ------
    ModelError
        There is no mask and image, or it is of another size or model.
    """
    model = components.model
    if masked is None:
        raise ModelError(
            f"{str(model.folder)!r} is a model for inpainting, and is given no image and mask; make the mask by "
            "CreateDenoiseMask(mask=..., image=..., vae=...)"
        )
    kept = masked.latents
    check_shape(model, kept)
    if (kept.width, kept.height) != (begin.width, begin.height):
        raise ModelError(
            f"the image of the mask is {kept.width}x{kept.height}, and the noise or latents are for "
            f"{begin.width}x{begin.height}; make them of one size"
        )
    if len(kept) not in (1, len(begin)):
        raise ModelError(f"there are {len(kept)} masked images for {len(begin)} pictures; one for all is needed")
    axis, beside = (2, _packed(components, masked)) if model.need_family().packed else (1, _planes(components, masked))

    def shown(latents: Tensor) -> Tensor:
        # With guidance the latents come twice, and so do what is beside them.
        repeated = beside.repeat(len(latents) // len(beside), *(1,) * (beside.ndim - 1))
        return torch.cat([latents, repeated.to(latents)], dim=axis)

    return shown


def _planes(components: Components, masked: MaskedImage) -> Tensor:
    """Return (B, 1 + channels, h, w): the mask at the size of the latents, and the masked image."""
    kept = masked.latents.tensor.to(components.device, components.dtype)
    mask = torch.nn.functional.interpolate(masked.mask, size=kept.shape[-2:]).to(kept)
    return torch.cat([mask.repeat(len(kept), 1, 1, 1), kept], dim=1)


def _packed(components: Components, masked: MaskedImage) -> Tensor:
    """Return (B, patches, features): the masked image, and the mask with every pixel of a latent as a channel."""
    kept, scale = masked.latents.tensor, components.model.vae_scale_factor
    cells = torch.nn.functional.pixel_unshuffle(masked.mask, scale)
    return torch.cat([pack(components, kept), pack(components, cells.repeat(len(kept), 1, 1, 1))], dim=2)
