"""Upscaling: an image through a network that enlarges or restores it, in tiles."""

import torch
from PIL import Image
from torch import Tensor

from nbgraph.diffusion.components import Components
from nbgraph.diffusion.finite import check_finite
from nbgraph.diffusion.tiled import AfterTiles, Tiling, in_tiles
from nbgraph.diffusion.upscaler_files import ROLE, Upscaler
from nbgraph.image_modes import has_alpha, in_plain_mode


def upscale(
    components: Components,
    image: Image.Image,
    tiling: Tiling = Tiling(),  # noqa: B008
    after: AfterTiles = lambda done, tiles: None,
) -> Image.Image:
    """Enlarge an image, its transparency by interpolation; needs the component `upscaler`.

    Grey images stay grey. An architecture that needs the whole image is given it in one tile.
    """
    upscaler: Upscaler = components[ROLE]
    picture = in_plain_mode(image)
    alpha = picture.getchannel("A") if has_alpha(picture) else None
    colours = picture.convert("RGB")
    pixels = torch.frombuffer(bytearray(colours.tobytes()), dtype=torch.uint8).view(picture.height, picture.width, 3)

    def network(tiles: Tensor) -> Tensor:
        made = upscaler(tiles)
        check_finite(made, f"the upscaler {str(components.model.folder)!r}", upscaler.dtype)
        return made

    chosen = tiling if upscaler.takes_tiles else Tiling(0, 0, 1)
    made = in_tiles(network, pixels, upscaler.scale, chosen, after)
    result = Image.frombytes("RGB", (made.shape[1], made.shape[0]), made.numpy().tobytes())
    result = result.convert("L") if picture.mode[0] == "L" else result
    if alpha is not None:
        result.putalpha(alpha.resize(result.size, Image.Resampling.BICUBIC))
    return result
