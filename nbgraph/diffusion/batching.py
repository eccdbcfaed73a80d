"""Several images in one call: values are joined, computed together, and split again, as if each were alone.

Joined images agree with single ones to rounding (at most one uint8 level of the decoded image), since every image has
its own generator. When the device runs out of memory the batch is halved, down to single images.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from PIL import Image

from nbgraph.diffusion.arguments import DenoiseSettings
from nbgraph.diffusion.components import Components
from nbgraph.diffusion.denoising import denoise
from nbgraph.diffusion.device_memory import free_memory
from nbgraph.diffusion.joining import join_conditioning, join_latents, shape_key, split_latents
from nbgraph.diffusion.vae import decode_latents, encode_image
from nbgraph.diffusion.values import Conditioning, Latents

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class DenoiseInput:
    """The arguments of `denoise` that may differ within a batch."""

    positive: Conditioning
    negative: Conditioning | None = None
    noise: Latents | None = None
    latents: Latents | None = None
    kept: Latents | None = None

    @property
    def pictures(self) -> int:
        """Return the number of images: that of the noise, else that of the latents."""
        return len(self.noise or self.latents or ())

    @property
    def lacks_noise(self) -> bool:
        """Return whether there is no noise to remove: none is given, and the latents are encoded or finished."""
        if self.noise is not None or self.latents is None:
            return False
        window = self.latents.window
        return self.latents.rng_states is None if window is None else not self.latents.unfinished

    def batch_key(self) -> Hashable:
        """Return a key that is equal for inputs that can be denoised together, whatever their content."""
        values = (self.positive, self.negative, self.noise, self.latents, self.kept)
        return tuple(shape_key(value) for value in values)


def denoise_together(
    components: Components, inputs: Sequence[DenoiseInput], settings: DenoiseSettings, **options: Any
) -> list[Latents]:
    """Call `denoise` once for inputs of one `batch_key`.

    Parameters
    ----------
    options
        Further arguments of `denoise`, the same for all. Previews are of the first image.

    Returns
    -------
    list of Latents
        In the order of the inputs.
    """
    if len(inputs) == 1:
        one = inputs[0]
        values = (one.positive, one.negative, one.noise, one.latents)
        return [denoise(components, *values, settings, kept=one.kept, **options)]
    negatives = [_repeat(one.negative, one.pictures) for one in inputs if one.negative is not None]
    joined = denoise(
        components,
        join_conditioning([_repeat(one.positive, one.pictures) for one in inputs]),
        join_conditioning(negatives) if negatives else None,
        _joined([one.noise for one in inputs]),
        _joined([one.latents for one in inputs]),
        settings,
        kept=_joined([one.kept for one in inputs]),
        **options,
    )
    return split_latents(joined, [one.pictures for one in inputs])


def denoise_many(
    components: Components, inputs: Sequence[DenoiseInput], settings: DenoiseSettings, size: int = 8, **options: Any
) -> list[Latents]:
    """Call `denoise_together` for inputs of any shapes, at most `size` at once; results in the order of the inputs."""
    return run_in_batches(
        inputs, DenoiseInput.batch_key, lambda batch: denoise_together(components, batch, settings, **options), size
    )


def decode_together(components: Components, latents: Sequence[Latents], tiled: bool = False) -> list[list[Image.Image]]:
    """Call `decode_latents` once for latents of one `shape_key`.

    Return a list of images for each of them, in their order.
    """
    if len(latents) == 1:
        return [decode_latents(components, latents[0], tiled)]
    pictures = iter(decode_latents(components, join_latents(latents), tiled))
    return [[next(pictures) for _ in range(len(one))] for one in latents]


def decode_many(components: Components, latents: Sequence[Latents], size: int = 8) -> list[list[Image.Image]]:
    """Call `decode_together` for latents of any shapes, at most `size` at once; results in the order of the latents."""
    return run_in_batches(latents, shape_key, lambda batch: decode_together(components, batch), size)


def encode_together(components: Components, images: Sequence[Image.Image], tiled: bool = False) -> list[Latents]:
    """Call `encode_image` once for images of one size; return their latents, in their order."""
    return split_latents(encode_image(components, images, tiled=tiled), [1] * len(images))


def encode_many(components: Components, images: Sequence[Image.Image], size: int = 8) -> list[Latents]:
    """Call `encode_together` for images of any sizes, at most `size` at once; results in the order of the images."""
    return run_in_batches(images, lambda image: image.size, lambda batch: encode_together(components, batch), size)


def run_in_batches(
    items: Sequence[Item], key: Callable[[Item], Hashable], run: Callable[[list[Item]], list[Result]], size: int
) -> list[Result]:
    """Call `run` for items of equal `key`, at most `size` at once; half as many when memory runs out, down to one."""
    groups: dict[Hashable, list[int]] = {}
    for number, item in enumerate(items):
        groups.setdefault(key(item), []).append(number)
    results: dict[int, Result] = {}
    for numbers in groups.values():
        limit = max(1, size)
        while numbers:
            batch = numbers[:limit]
            try:
                found = run([items[number] for number in batch])
            except torch.OutOfMemoryError:
                if len(batch) == 1:
                    raise
                limit = len(batch) // 2
                free_memory()
                continue
            results |= dict(zip(batch, found))
            numbers = numbers[len(batch) :]
    return [results[number] for number in range(len(items))]


def _joined(latents: Sequence[Latents | None]) -> Latents | None:
    """Return `join_latents` of those that are not None; None without any."""
    given = [one for one in latents if one is not None]
    return join_latents(given) if given else None


def _repeat(conditioning: Conditioning, pictures: int) -> Conditioning:
    """Repeat one text for several images."""
    if len(conditioning) == pictures:
        return conditioning
    return join_conditioning([conditioning] * pictures)
