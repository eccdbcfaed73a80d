"""Models for inpainting: denoisers that are given a mask and the masked picture beside the latents.

The UNets of Stable Diffusion and SDXL take them as five more channels (9 in all), the transformer of Flux Fill as more
features of each patch (384 in all). The family's plain pipeline does the steps, and the denoiser adds them to what it
is given. Nothing is put back after a step, as the model keeps what is outside the mask by itself.
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
"""Given the latents of one call of the denoiser, gives them with the mask and the masked picture beside them."""


@dataclass(frozen=True)
class MaskedImage:
    """What a model for inpainting is shown.

    `mask` is (1, 1, height, width) in pixels, 1 where it paints; `latents` are those of the picture, grey there.
    """

    mask: Tensor
    latents: Latents


def encode_masked_image(
    components: Components, image: Image.Image, mask: Image.Image, seed: int | None = None
) -> MaskedImage:
    """Encode a picture without what is white in a mask; needs the component `vae`.

    The mask is cut at half grey, transparent as black, and brought to the size of the picture. `seed` as in
    `encode_image`. `ModelError` unless the sides of the picture are multiples of what the model draws in.
    """
    pixels = image_pixels(components, image)
    painted = (mask_values(mask, image.width, image.height) >= 0.5).float()
    return MaskedImage(painted, encode_pixels(components, pixels * (painted < 0.5), seed))


def shown_beside(components: Components, masked: MaskedImage | None, begin: Latents) -> Shown:
    """Return what adds the mask and the masked picture to latents of the size of `begin`.

    `ModelError` without a mask and picture, and for those of another size or model.
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
    """(B, 1 + channels, h, w): the mask at the size of latents, and the masked picture."""
    kept = masked.latents.tensor.to(components.device, components.dtype)
    mask = torch.nn.functional.interpolate(masked.mask, size=kept.shape[-2:]).to(kept)
    return torch.cat([mask.repeat(len(kept), 1, 1, 1), kept], dim=1)


def _packed(components: Components, masked: MaskedImage) -> Tensor:
    """(B, patches, features): the masked picture, and the mask with every pixel of a latent as a channel."""
    kept, scale = masked.latents.tensor, components.model.vae_scale_factor
    cells = torch.nn.functional.pixel_unshuffle(masked.mask, scale)
    return torch.cat([pack(components, kept), pack(components, cells.repeat(len(kept), 1, 1, 1))], dim=2)
