"""One image as several rows of a batch: prompts for parts of it, and tiles of a large one.

A family's pipeline owns its loop, and knows neither. Here it denoises a batch in which every prompt and every tile of
an image is a row. Before each step of the scheduler the predictions of the rows become one prediction of the whole
image, and after it the new latents become rows again. So the scheduler sees whole images, with one noise and one
history each, and every family and every scheduler can do it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

import torch
from torch import Tensor

from nbgraph.diffusion.components import Components
from nbgraph.diffusion.families import Family
from nbgraph.diffusion.joining import join_conditioning
from nbgraph.diffusion.packing import pack_like, unpack
from nbgraph.diffusion.values import Conditioning, Latents
from nbgraph.errors import ModelError


@dataclass(frozen=True)
class Tiles:
    """How a large image is denoised in tiles: pixels of a side, and pixels that neighbours share."""

    side: int
    overlap: int
    at_once: int = 1
    """Rows of the denoiser's batch that are computed at once: the memory it takes."""


@dataclass(frozen=True)
class Rows:
    """The rows of each image, ordered by image, tile and prompt."""

    components: Components
    width: int
    height: int
    """Pixels of a row."""
    corners: tuple[tuple[int, int], ...]
    """Top and left of each tile, in latents."""
    shares: Tensor
    """(prompts, 1, H, W): the share of each prompt in the prediction at each latent of the image; the sum is 1."""
    window: Tensor
    """(h, w): how a tile counts where it overlaps others."""

    def __len__(self) -> int:
        return len(self.corners) * len(self.shares)

    @cached_property
    def _total(self) -> Tensor:
        total = torch.zeros_like(self.shares[0, 0])
        for box in self._boxes:
            total[box] += self.window
        return total

    @property
    def _boxes(self) -> list[tuple[slice, slice]]:
        height, width = self.window.shape
        return [(slice(top, top + height), slice(left, left + width)) for top, left in self.corners]

    def spread(self, images: Tensor) -> Tensor:
        """Return the rows (B * len(self), C, h, w) of latents of whole images (B, C, H, W)."""
        rows = [image[(slice(None), *box)] for image, box, _ in product(images, self._boxes, self.shares)]
        return torch.stack(rows)

    def joined(self, rows: Tensor, mixed: bool) -> Tensor:
        """Return (B, C, H, W) from rows: predictions are `mixed` by their shares, latents are equal where they meet."""
        grouped = rows.reshape(-1, len(self.corners), len(self.shares), *rows.shape[1:])
        images = grouped.new_zeros((len(grouped), grouped.shape[3], *self.shares.shape[-2:]))
        shares, window, total = (each.to(images) for each in (self.shares, self.window, self._total))
        for number, box in enumerate(self._boxes):
            place = (slice(None), slice(None), *box)
            if mixed:
                images[place] += (grouped[:, number] * shares[place]).sum(dim=1) * window
            else:
                images[place] = grouped[:, number, 0]
        return images / total if mixed and len(self.corners) > 1 else images

    def gather(self, rows: Tensor, mixed: bool) -> Tensor:
        """Do `joined` with tensors as the pipeline holds them."""
        spatial = self.joined(unpack(self.components, rows, self.width, self.height), mixed)
        return pack_like(self.components, spatial, rows)

    def scatter(self, images: Tensor, width: int, height: int) -> Tensor:
        """Do `spread` with tensors as the pipeline holds them, of images of so many pixels."""
        return pack_like(self.components, self.spread(unpack(self.components, images, width, height)), images)

    def begin(self, images: Latents) -> Latents:
        """Return the rows of the value that a run begins with; their generators are never drawn from."""
        seeds = tuple(seed for seed in images.seeds for _ in range(len(self)))
        tensor = self.spread(images.tensor)
        return replace(
            images, tensor=tensor, width=self.width, height=self.height, seeds=seeds, rng_states=None, solver=None
        )

    def conditioning(self, given: Conditioning, images: int) -> Conditioning:
        """Return the conditioning of each row: every prompt for every tile, or one text for all rows of an image."""
        prompts = given.prompts if given.others else (given,) * len(self.shares)
        family = self.components.model.need_family()
        longest = max(map(_tokens, prompts))
        lengths = tuple(_tokens(prompt) for prompt in prompts) * (images * len(self.corners))
        prompts = [replace(prompt, mask=None, strength=1.0) for prompt in prompts]
        if (shortest := min(map(_tokens, prompts))) < longest:
            masks = _masks(family, shortest, longest)
            prompts = [_padded(prompt, longest, masks) for prompt in prompts]
        chosen = [_of_image(prompt, number) for number in range(images) for _ in self.corners for prompt in prompts]
        joined = join_conditioning(chosen)
        return replace(joined, lengths=lengths) if family.conditioning_listed else joined


def rows_of(
    components: Components, positive: Conditioning, negative: Conditioning | None, begin: Latents, tiles: Tiles | None
) -> Rows | None:
    """Return the rows of images, or None where an image is one row: one prompt, and no larger than a tile.

    Raises
    ------
    ModelError
        A negative prompt of parts, masks that leave some of the image without a prompt, prompts that differ in length
        where their family cannot pad them, tiles that overlap by more than half.
    """
    if negative is not None and negative.is_combined:
        raise ModelError(
            "the negative prompt is combined of several or has a mask, and guidance away from it is one for the whole "
            "image; write what is unwanted into one prompt"
        )
    scale = components.model.vae_scale_factor
    side = _side(components, tiles, begin)
    if side is None and not positive.is_combined:
        return None
    size = begin.tensor.shape[-2:]
    height, width = size if side is None else (min(size[0], side), min(size[1], side))
    overlap = 0 if tiles is None else max(0, tiles.overlap // scale)
    step = components.model.multiple_of // scale
    tops, lefts = (_starts(whole, tile, overlap, step) for whole, tile in zip(size, (height, width)))
    return Rows(
        components,
        width * scale,
        height * scale,
        tuple((top, left) for top in tops for left in lefts),
        _shares(positive.prompts, size),
        _window(height, width, overlap, size),
    )


def _side(components: Components, tiles: Tiles | None, begin: Latents) -> int | None:
    """Return the side of a tile in latents; None where the image is no larger than one."""
    if tiles is None or max(begin.width, begin.height) <= tiles.side:
        return None
    if problem := components.model.side_problem("the side of a tile", tiles.side):
        raise ModelError(problem)
    if not 0 <= tiles.overlap <= tiles.side // 2:
        raise ModelError(
            f"tiles of {tiles.side} pixels cannot overlap by {tiles.overlap}; give an overlap of 0 to {tiles.side // 2}"
        )
    return tiles.side // components.model.vae_scale_factor


def _starts(whole: int, tile: int, overlap: int, step: int) -> list[int]:
    """Return where tiles begin along one axis: spread evenly, at multiples of `step`, so that they cover all of it."""
    if whole <= tile:
        return [0]
    count = -(-(whole - overlap) // max(1, tile - overlap))
    return [round(number * (whole - tile) / (count - 1) / step) * step for number in range(count)]


def _window(height: int, width: int, overlap: int, size: Sequence[int]) -> Tensor:
    """Return how a tile counts: less and less towards its edges over what it shares with its neighbours."""

    def ramp(length: int, whole: int) -> Tensor:
        if overlap == 0 or whole <= length:
            return torch.ones(length)
        distance = torch.arange(length).minimum(torch.arange(length).flip(0)) + 1
        return (distance / (overlap + 1)).clamp(max=1)

    return ramp(height, size[0])[:, None] * ramp(width, size[1])[None, :]


def _shares(prompts: Sequence[Conditioning], size: Sequence[int]) -> Tensor:
    weights = torch.stack([_weight(prompt, size) for prompt in prompts])
    total = weights.sum(dim=0, keepdim=True)
    if bare := float((total <= 0).float().mean()):
        raise ModelError(
            f"the masks of the prompts leave {bare:.1%} of the image without a prompt; combine one more without a mask"
        )
    return weights / total


def _weight(prompt: Conditioning, size: Sequence[int]) -> Tensor:
    """Return (1, H, W): how a prompt counts at each latent."""
    if prompt.mask is None:
        return torch.full((1, *size), prompt.strength)
    # bilinear, as ComfyUI brings the masks of prompts to the size of the latents
    resized = torch.nn.functional.interpolate(prompt.mask[None, None].float() / 255, tuple(size), mode="bilinear")
    return resized[0] * prompt.strength


def _of_image(prompt: Conditioning, number: int) -> Conditioning:
    """Return the conditioning of one image of several."""
    if len(prompt) == 1:
        return prompt
    return replace(prompt, tensors={name: tensor[number : number + 1] for name, tensor in prompt.tensors.items()})


def _tokens(prompt: Conditioning) -> int:
    return max((tensor.shape[1] for tensor in prompt.tensors.values() if tensor.ndim == 3), default=0)


def _masks(family: Family, shortest: int, longest: int) -> list[str]:
    """Return the names of the masks of tokens that a family takes, so that texts of two lengths can be in one batch.

    Raises
    ------
    ModelError
        It has none, and takes embeddings of one length.
    """
    masks = [name for name in family.positive if "mask" in name]
    if not masks and not family.conditioning_listed:
        raise ModelError(
            f"models of the family {family.key!r} cannot be given prompts of {shortest} and {longest} tokens for one "
            "image, as they have no mask for what is missing; join the shorter with an empty one"
        )
    return masks


def _padded(prompt: Conditioning, tokens: int, masks: Sequence[str]) -> Conditioning:
    """Return a prompt with so many tokens, and with the masks that say which are its own."""
    count = _tokens(prompt)
    # encoders leave a mask out where every token counts
    tensors = {**{name: torch.ones(len(prompt), count, dtype=torch.long) for name in masks}, **prompt.tensors}
    padded = {
        name: torch.cat([tensor, tensor.new_zeros((len(tensor), tokens - count, *tensor.shape[2:]))], dim=1)
        if tensor.ndim == 3 or name in masks
        else tensor
        for name, tensor in tensors.items()
    }
    return replace(prompt, tensors=padded)
