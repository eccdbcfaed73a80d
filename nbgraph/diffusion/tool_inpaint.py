"""Inpainting as ComfyUI prepares it: grey where the mask is, the mask grown, and its values at the size of latents."""

import math

import torch
from diffusers.image_processor import VaeImageProcessor
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate, max_pool2d

from nbgraph.diffusion.components import Components
from nbgraph.diffusion.description import ModelDescription
from nbgraph.diffusion.vae import encode_pixels
from nbgraph.diffusion.values import Latents
from nbgraph.image_modes import as_mask, in_plain_mode

LARGEST_GROWTH = 64


def tool_mask(model: ModelDescription, mask: Image.Image, width: int, height: int) -> Tensor:
    """Return a mask for latents of an image of `width` x `height` pixels, (1, 1, h, w) in [0, 1].

    ComfyUI takes the values between the pixels nearest to each latent, and softens nothing else.
    """
    size = (height // model.vae_scale_factor, width // model.vae_scale_factor)
    return interpolate(_values(mask), size=size, mode="bilinear")


def grown_mask(mask: Tensor, pixels: int) -> Tensor:
    """Return a mask, (1, 1, h, w) in [0, 1], made hard, with everything white that has white nearby.

    Nearby is a square of `pixels` x `pixels`; of an even one ComfyUI counts one pixel more to the left and above.
    """
    height, width = mask.shape[-2:]
    hard = mask.round()
    if pixels < 1:
        return mask.round()
    grown = max_pool2d(hard, pixels, stride=1, padding=math.ceil((pixels - 1) / 2))
    return grown[..., :height, :width]


@torch.no_grad()
def encode_for_inpainting(
    components: Components, image: Image.Image, mask: Image.Image, pixels: int = 6
) -> tuple[Latents, Image.Image]:
    """Return the latents of an image that is grey where a mask is white, and the mask, grown; needs `vae`.

    What is half white or more is grey, and transparency counts for nothing. Image and mask are cropped, evenly on both
    sides, to whole latents. The mean of what the autoencoder gives is taken. `ModelError` unless the sides that are
    left are multiples of what the model draws in.
    """
    width, height = image.size
    box = whole_latents(components.model, width, height)
    components.model.check_size(box[2] - box[0], box[3] - box[1])
    values = interpolate(_values(mask), size=(height, width), mode="bilinear")
    values = values[..., box[1] : box[3], box[0] : box[2]]
    colors = in_plain_mode(image).convert("RGB").crop(box)
    shown = VaeImageProcessor(vae_scale_factor=1).preprocess([colors]) * (1 - values.round())
    latents = encode_pixels(components, shown)
    grown = (grown_mask(values, pixels)[0, 0] * 255).byte().numpy()
    return latents, Image.fromarray(grown)


def whole_latents(model: ModelDescription, width: int, height: int) -> tuple[int, int, int, int]:
    """Return (left, top, right, bottom) of the part of an image that whole latents cover, in pixels."""
    step = model.vae_scale_factor
    left, top = width % step // 2, height % step // 2
    return left, top, left + width // step * step, top + height // step * step


def _values(mask: Image.Image) -> Tensor:
    grey = as_mask(mask)
    values = torch.frombuffer(bytearray(grey.tobytes()), dtype=torch.uint8)
    return values.reshape(1, 1, grey.height, grey.width).float() / 255
