"""Quick previews of latents: a linear map from latent channels to RGB, fitted to the VAE itself."""

import threading
from collections import OrderedDict
from typing import Any, cast

import torch
from PIL import Image
from torch import Tensor

from nbgraph.diffusion.components import Components
from nbgraph.diffusion.vae import unscale

_SAMPLES = 4
_SIDE = 16
_KEPT = 16


class PreviewFactors:
    """Linear factors of VAEs, by fingerprint: (channels + 1, 3), the last row the constant. Fitted once each."""

    def __init__(self) -> None:
        self._factors: OrderedDict[str, Tensor] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, fingerprint: str, components: Components) -> Tensor:
        """Return the factors of the VAE of that fingerprint, fitted on first use; needs the component `vae`."""
        with self._lock:
            if fingerprint not in self._factors:
                self._factors[fingerprint] = fit_factors(components)
                while len(self._factors) > _KEPT:
                    self._factors.popitem(last=False)
            return self._factors[fingerprint]

    def find(self, fingerprint: str) -> Tensor | None:
        """Return the factors if they are known, without fitting; else None."""
        with self._lock:
            return self._factors.get(fingerprint)


@torch.no_grad()
def fit_factors(components: Components) -> Tensor:
    """Fit (channels + 1, 3) by least squares: smooth random latents, decoded, against the mean colour of each cell.

    The latents are noise at several scales, since images are smooth and white noise is not. It takes one decoding of
    four small images. A VAE that gives no finite numbers gets the factors that show the first three channels.
    """
    vae, channels = components["vae"], components.model.latent_channels
    generator = torch.Generator("cpu").manual_seed(0)
    scales = [2**number for number in range(_SAMPLES)]
    coarse = [torch.randn((1, channels, scale, scale), generator=generator) for scale in scales]
    latents = torch.cat([torch.nn.functional.interpolate(noise, size=(_SIDE, _SIDE)) for noise in coarse])
    decoded = vae.decode(unscale(vae, latents.to(components.device, vae.dtype)), return_dict=False)[0]
    pictures = (decoded[:, :, 0] if decoded.ndim == 5 else decoded).float().cpu()
    if not bool(pictures.isfinite().all()):
        return _first_channels(channels)
    colours = torch.nn.functional.interpolate(pictures[:, :3], size=(_SIDE, _SIDE), mode="area")
    algebra: Any = cast(Any, torch.linalg)  # without types in torch
    return algebra.lstsq(_with_constant(latents), colours.permute(0, 2, 3, 1).reshape(-1, 3)).solution


def preview_image(latents: Tensor, factors: Tensor | None, scale: int = 1) -> Image.Image:
    """Return a small RGB image of (channels, h, w) latents, one pixel a latent, enlarged `scale` times.

    Without factors the first three channels are shown as red, green and blue: shapes are right, colours are not.
    """
    channels, height, width = latents.shape
    factors = _first_channels(channels) if factors is None else factors
    colours = (_with_constant(latents[None].float().cpu()) @ factors).reshape(height, width, 3).nan_to_num()
    pixels = ((colours / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
    picture = Image.fromarray(pixels.numpy(), "RGB")
    return picture.resize((width * scale, height * scale), Image.Resampling.BILINEAR) if scale > 1 else picture


def _first_channels(channels: int) -> Tensor:
    """Return the factors that show the first three channels as red, green and blue."""
    return torch.eye(channels + 1, 3)


def _with_constant(latents: Tensor) -> Tensor:
    """Return (B*h*w, C + 1) of (B, C, h, w)."""
    rows = latents.permute(0, 2, 3, 1).reshape(-1, latents.shape[1])
    return torch.cat([rows, torch.ones(len(rows), 1)], dim=1)
