"""Reference images: what a model for editing is shown beside the text, prepared by its own pipeline.

The pipeline encodes images by the VAE and puts them beside the latents at each step; in some families the text encoder
reads them too, together with the instruction. Both are left to the pipeline, so that sizes, templates and position ids
are those that the model was trained with.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from PIL import Image

from nbgraph.diffusion.components import Components
from nbgraph.diffusion.families import Family
from nbgraph.diffusion.pipelines import make_pipeline
from nbgraph.diffusion.prompt import TOKENIZER_LOCK, as_stored, check_encoded, check_encoders, encode_prompt
from nbgraph.diffusion.quiet import quiet
from nbgraph.diffusion.reference_limits import limits_of, reads_images, reference_problem
from nbgraph.diffusion.values import Conditioning, Latents
from nbgraph.errors import ModelError
from nbgraph.image_modes import on_white


@dataclass(frozen=True)
class References:
    """Images that a model is shown, and the VAE, a module on the device, that its pipeline encodes them by."""

    images: Sequence[Image.Image]
    vae: Any


def reference_arguments(family: Family, references: References | None) -> dict[str, Any]:
    """Return the keyword arguments of a pipeline for reference images; {} without any.

    Raises
    ------
    ModelError
        The family takes no such images, needs some, or takes fewer or others.
    """
    images = [] if references is None else [on_white(image) for image in references.images]
    if problem := reference_problem(family, [image.size for image in images]):
        raise ModelError(problem)
    if not images:
        return {}
    limits = limits_of(family)
    return {"image": images[0] if limits is not None and limits.most == 1 else images}


def area_arguments(family: Family, begin: Latents) -> dict[str, int]:
    """Return the area, in pixels, that a pipeline would change the sides to; that of the latents, so that it does not.

    The pipeline of Kontext brings each size to one megapixel before it draws. Latents have their size already.
    """
    return {"max_area": begin.width * begin.height} if "max_area" in family.parameters else {}


def with_vae(components: Components, references: References | None) -> Components:
    """Return the components together with the VAE that encodes the reference images."""
    if references is None:
        return components
    return replace(components, modules={**components.modules, "vae": references.vae})


@torch.no_grad()
def encode_instruction(components: Components, text: str, images: Sequence[Image.Image] = ()) -> Conditioning:
    """Encode an instruction, with the images that it speaks of where the text encoder reads them.

    Parameters
    ----------
    components
        Needs the component `text`.
    text
        What to change. The negative instruction is encoded with the same images.
    images
        The reference images, in the order that the instruction counts them in.

    Raises
    ------
    ModelError
        The family takes no such images, needs some, or takes fewer or others.
    """
    family = components.model.need_family()
    shown = [on_white(image) for image in images]
    if not reads_images(family):
        if shown and (problem := reference_problem(family, [image.size for image in shown])):
            raise ModelError(problem)
        return encode_prompt(components, text)
    given = reference_arguments(family, References(shown, None))
    pipeline = make_pipeline(components)
    check_encoders(components, pipeline)
    with quiet(), TOKENIZER_LOCK:
        found = _encoded_by_call(pipeline, prompt=text, **given)
    named = {name: value for name, value in zip(family.conditioning, found) if name in family.positive}
    tensors = {name: as_stored(value) for name, value in named.items() if value is not None}
    for tensor in tensors.values():
        check_encoded(components, tensor)
    return Conditioning(tensors=tensors, family=family.key, text=text)


class _EncodedError(Exception):
    """Carries the result of `encode_prompt` out of a pipeline's call."""

    def __init__(self, values: Any) -> None:
        super().__init__()
        self.values = values


def _encoded_by_call(pipeline: Any, **given: Any) -> tuple[Any, ...]:
    """Return what a pipeline's own call encodes first, the positive text, and end the call there.

    What comes before it in the call brings the images to the size that the text encoder reads; it is written out in
    each pipeline, and no method of it.
    """
    encode = pipeline.encode_prompt

    def encode_and_stop(*args: Any, **kwargs: Any) -> None:
        raise _EncodedError(encode(*args, **kwargs))

    object.__setattr__(pipeline, "encode_prompt", encode_and_stop)
    try:
        pipeline(**given)
    except _EncodedError as encoded:
        values = encoded.values
        return cast(tuple[Any, ...], values if isinstance(values, tuple) else (values,))
    raise ModelError(f"{type(pipeline).__name__} encodes no text, so it cannot be given an instruction")
