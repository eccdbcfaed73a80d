"""IP-Adapters: images as prompts. Their weights are a patch of the UNet; this module prepares the images."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from PIL import Image
from transformers import CLIPImageProcessorPil

from nbgraph.diffusion.components import Components
from nbgraph.diffusion.finite import check_finite
from nbgraph.diffusion.pipelines import make_pipeline
from nbgraph.diffusion.quiet import quiet
from nbgraph.diffusion.refs import IpAdapterPatch
from nbgraph.diffusion.spans import check_span
from nbgraph.errors import ModelError
from nbgraph.image_modes import on_white


@dataclass(frozen=True)
class ImagePrompt:
    """The images of one IP-Adapter, and the image encoder it was trained with.

    `weight` scales its effect, over the share of the steps from `start` to `end`. The adapter itself is an
    `IpAdapterPatch` of the model; image prompts are in the order of these patches.
    """

    image_encoder: Any
    images: Sequence[Image.Image]
    weight: float = 1.0
    start: float = 0.0
    end: float = 1.0


def image_prompt_arguments(
    components: Components, prompts: Sequence[ImagePrompt], pictures: int, guided: bool
) -> dict[str, Any]:
    """Return the keyword arguments of a pipeline for image prompts; {} without any.

    Parameters
    ----------
    pictures
        The number of images to generate.
    guided
        Whether the negative prompt is used.

    Raises
    ------
    ModelError
        The model has not one IP-Adapter for each image prompt.
    """
    adapters = [patch for patch in components.patches if isinstance(patch, IpAdapterPatch)]
    if len(adapters) != len(prompts):
        raise ModelError(f"there are {len(prompts)} image prompts for the {len(adapters)} IP-Adapters of the model")
    for prompt in prompts:
        check_span("an IP-Adapter cannot work", prompt.start, prompt.end)
    if not prompts:
        return {}
    layers = components["unet"].encoder_hid_proj.image_projection_layers
    guided = guided and components["unet"].config.time_cond_proj_dim is None
    embeddings = [_embeddings(components, *pair, guided, pictures) for pair in zip(prompts, layers)]
    return {"ip_adapter_image_embeds": embeddings}


def _embeddings(components: Components, prompt: ImagePrompt, layer: Any, guided: bool, pictures: int) -> torch.Tensor:
    """Return (B, images, ...): the embeddings of the prompt's images for each new image, the negatives first."""
    side = prompt.image_encoder.config.image_size
    shown = {
        "image_encoder": prompt.image_encoder,
        "feature_extractor": CLIPImageProcessorPil(size=side, crop_size=side),
    }
    pipeline = make_pipeline(replace(components, modules={**components.modules, **shown}))
    hidden = type(layer).__name__ != "ImageProjection"
    images = [on_white(image) for image in prompt.images]
    try:
        with quiet():
            positive, negative = pipeline.encode_image(images, components.device, 1, hidden)
    except RuntimeError as error:
        raise ModelError(f"the image encoder cannot see these pictures: {error}") from error
    check_finite(positive, "the image encoder of the IP-Adapter", prompt.image_encoder.dtype)
    expected = getattr(layer, "image_embeds", getattr(layer, "proj_in", None))
    width = getattr(expected, "in_features", positive.shape[-1])
    if positive.shape[-1] != width:
        raise ModelError(
            f"the IP-Adapter takes image embeddings of width {width}, and this image encoder gives "
            f"{positive.shape[-1]}; use the image encoder it was trained with"
        )
    rows = [value[None].repeat(pictures, *(1,) * value.ndim) for value in (negative, positive)]
    return torch.cat(rows) if guided else rows[1]
