"""IP-Adapters: images as prompts. Their weights are a patch of the denoiser; this module prepares the images."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import CLIPImageProcessorPil, CLIPVisionModelWithProjection, SiglipImageProcessorPil

from nbgraph.diffusion.components import Components
from nbgraph.diffusion.finite import check_finite
from nbgraph.diffusion.ip_adapters import JOINT
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
        The model has not one IP-Adapter for each image prompt, or an image encoder is of another kind or width.
    """
    adapters = [patch for patch in components.patches if isinstance(patch, IpAdapterPatch)]
    if len(adapters) != len(prompts):
        raise ModelError(f"there are {len(prompts)} image prompts for the {len(adapters)} IP-Adapters of the model")
    for prompt in prompts:
        check_span("an IP-Adapter cannot work", prompt.start, prompt.end)
    if not prompts:
        return {}
    family = components.model.need_family()
    if family.key == JOINT:
        return {"ip_adapter_image_embeds": _of_joint(components, prompts[0], guided)}
    denoiser = components[family.denoiser]
    layers = denoiser.encoder_hid_proj.image_projection_layers
    if family.denoiser == "transformer":
        # the pipeline repeats what it is given for each image
        black = [Image.new("RGB", (8, 8))]
        shown = [_projected(components, prompt, layer, prompt.images) for prompt, layer in zip(prompts, layers)]
        avoided = [_projected(components, prompt, layer, black) for prompt, layer in zip(prompts, layers)]
        return {"ip_adapter_image_embeds": shown, "negative_ip_adapter_image_embeds": avoided}
    guided = guided and denoiser.config.time_cond_proj_dim is None
    embeddings = [_of_unet(components, *pair, guided, pictures) for pair in zip(prompts, layers)]
    return {"ip_adapter_image_embeds": embeddings}


def _of_unet(components: Components, prompt: ImagePrompt, layer: Any, guided: bool, pictures: int) -> Tensor:
    """Return (B, images, ...): the embeddings of the prompt's images for each new image, the negatives first."""
    encoder = _clip(prompt.image_encoder)
    shown = {"image_encoder": encoder, "feature_extractor": _clip_processor(encoder)}
    pipeline = make_pipeline(replace(components, modules={**components.modules, **shown}))
    hidden = type(layer).__name__ != "ImageProjection"
    images = [on_white(image) for image in prompt.images]
    try:
        with quiet():
            positive, negative = pipeline.encode_image(images, components.device, 1, hidden)
    except RuntimeError as error:
        raise ModelError(f"the image encoder cannot see these pictures: {error}") from error
    expected = getattr(layer, "image_embeds", getattr(layer, "proj_in", None))
    _check(positive, encoder, getattr(expected, "in_features", positive.shape[-1]))
    rows = [value[None].repeat(pictures, *(1,) * value.ndim) for value in (negative, positive)]
    return torch.cat(rows) if guided else rows[1]


def _projected(components: Components, prompt: ImagePrompt, layer: Any, images: Sequence[Image.Image]) -> Tensor:
    """Return (1, images, width): the projected embeddings of images, as an adapter of Flux takes them."""
    encoder = _clip(prompt.image_encoder)
    found: Tensor = _seen(components, encoder, _clip_processor(encoder), images).image_embeds
    _check(found, encoder, layer.image_embeds.in_features)
    return found[None].to(components.dtype)


def _of_joint(components: Components, prompt: ImagePrompt, guided: bool) -> Tensor:
    """Return (1 or 2, tokens, width): the last state but one of SigLIP, after zeros where the guidance needs them."""
    encoder = prompt.image_encoder
    if type(encoder).__name__ == "SiglipModel":
        encoder = encoder.vision_model
    if type(encoder).__name__ != "SiglipVisionModel":
        raise ModelError(f"an IP-Adapter of Stable Diffusion 3 needs a SigLIP as image encoder{_given(encoder)}")
    if len(prompt.images) != 1:
        raise ModelError(
            f"an IP-Adapter of Stable Diffusion 3 is shown one image, and is given {len(prompt.images)}; leave one, or "
            "put them side by side in one image"
        )
    side = encoder.config.image_size
    processor = SiglipImageProcessorPil(size={"height": side, "width": side})
    found: Tensor = _seen(components, encoder, processor, prompt.images).hidden_states[-2]
    _check(found, encoder, components["transformer"].image_proj.proj_in.in_features)
    found = found.to(components.dtype)
    return torch.cat([torch.zeros_like(found), found]) if guided else found


def _seen(components: Components, encoder: Any, processor: Any, images: Sequence[Image.Image]) -> Any:
    """Return what an image encoder gives for images, with the states between its layers."""
    with quiet():
        pixels = processor([on_white(image) for image in images], return_tensors="pt").pixel_values
        return encoder(pixels.to(components.device, encoder.dtype), output_hidden_states=True)


def _clip(encoder: Any) -> Any:
    """Return the half of a CLIP that reads images; raise `ModelError` for an encoder of another kind."""
    if type(encoder).__name__ == "CLIPModel":
        with torch.device("meta"):
            seeing: Any = CLIPVisionModelWithProjection(encoder.config.vision_config)
        seeing.vision_model, seeing.visual_projection = encoder.vision_model, encoder.visual_projection
        return seeing.eval()
    if type(encoder).__name__ != "CLIPVisionModelWithProjection":
        raise ModelError(f"an IP-Adapter of this kind of model needs a CLIP as image encoder{_given(encoder)}")
    return encoder


def _given(encoder: Any) -> str:
    return f", and is given a {type(encoder).__name__}; use the image encoder it was trained with"


def _clip_processor(encoder: Any) -> Any:
    side = encoder.config.image_size
    return CLIPImageProcessorPil(size=side, crop_size=side)


def _check(found: Tensor, encoder: Any, width: int) -> None:
    """Raise `ModelError` for embeddings that are not finite, or of another width than the adapter takes."""
    check_finite(found, "the image encoder of the IP-Adapter", encoder.dtype)
    if found.shape[-1] != width:
        raise ModelError(
            f"the IP-Adapter takes image embeddings of width {width}, and this image encoder gives "
            f"{found.shape[-1]}; use the image encoder it was trained with"
        )
