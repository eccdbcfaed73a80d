"""Text to conditioning, positive or negative alike."""

import inspect
import threading
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import torch

from nbgraph.diffusion.components import Components
from nbgraph.diffusion.families import Family
from nbgraph.diffusion.finite import check_finite
from nbgraph.diffusion.patches import share_weights
from nbgraph.diffusion.pipelines import make_pipeline
from nbgraph.diffusion.quiet import quiet
from nbgraph.diffusion.reference_limits import needs_images
from nbgraph.diffusion.refs import ClipSkipPatch
from nbgraph.diffusion.token_counts import count_tokens, watched_tokenizers
from nbgraph.diffusion.values import Conditioning, SizeConditioning
from nbgraph.errors import ModelError

_ENCODERS = ("text_encoder", "tokenizer")
TOKENIZER_LOCK = threading.Lock()
"""A tokenizer keeps the padding and truncation of its last call in itself, so two threads must not share one call."""


def encode_prompt(
    components: Components, text: str, style: str | None = None, size: SizeConditioning | None = None
) -> Conditioning:
    """Encode one text; needs the components `text`.

    The result serves as positive and as negative conditioning, which are encoded alike. A `ClipSkipPatch` of the model
    skips layers of both (diffusers skips them of the positive text alone).

    Parameters
    ----------
    style
        The text for the second text encoder, where there is one; None gives it the same text.
    size
        For models that are conditioned on sizes.

    Returns
    -------
    Conditioning
        Its `warnings` say what the model does not see of the text.
    """
    return encode_prompts(components, [text], style, size)[0]


def encodes_alike(family: Family) -> bool:
    """Return whether every text becomes equally many tokens, so that texts encoded together are as if alone.

    Where that differs, an embedding comes with a mask, or as one of a list, or is only as long as the longest text.
    """
    return family.padded and not family.conditioning_listed and not any("mask" in name for name in family.positive)


@torch.no_grad()
def encode_prompts(
    components: Components, texts: Sequence[str], style: str | None = None, size: SizeConditioning | None = None
) -> list[Conditioning]:
    """Call `encode_prompt` for all texts at once.

    Raise `ModelError` for several if the family is not `encodes_alike`.
    """
    family = components.model.need_family()
    if len(texts) > 1 and not encodes_alike(family):
        raise ModelError(f"texts for models of the family {family.key!r} differ in length; encode them one by one")
    skipped = sum(patch.layers for patch in components.patches if isinstance(patch, ClipSkipPatch))
    if needs_images(family):
        raise ModelError(
            f"models of the family {family.key!r} read an instruction together with the image that it changes; encode "
            "it by EditPrompt(text=..., reference=...)"
        )
    pipeline = make_pipeline(_with_text_model(components) if skipped else components)
    check_encoders(components, pipeline)
    taken = inspect.signature(pipeline.encode_prompt).parameters
    longest = _longest(pipeline)
    wanted: dict[str, Any] = {
        "device": components.device,
        "num_images_per_prompt": 1,
        "do_classifier_free_guidance": False,
        "prompt_2": style,
        "prompt_3": None,
        "clean_caption": False,
        "clip_skip": skipped or None,
        **({} if longest is None else {"max_sequence_length": longest}),
    }
    if skipped and "clip_skip" not in taken:
        raise ModelError(f"the text encoders of the family {family.key!r} cannot skip layers; leave clip skip out")
    if style is not None and "prompt_2" not in taken:
        raise ModelError(f"models of the family {family.key!r} have no second text encoder; leave the style out")
    prompt = texts[0] if len(texts) == 1 else list(texts)
    with quiet(), TOKENIZER_LOCK, watched_tokenizers(pipeline) as calls:
        found = pipeline.encode_prompt(prompt=prompt, **{name: wanted[name] for name in wanted if name in taken})
        counted = [count_tokens(calls, number, text, style, longest) for number, text in enumerate(texts)]
    values = cast(tuple[Any, ...], found if isinstance(found, tuple) else (found,))
    named = {name: value for name, value in zip(family.conditioning, values) if name in family.positive}
    tensors = {name: as_stored(value) for name, value in named.items() if value is not None}
    for tensor in tensors.values():
        check_encoded(components, tensor)
    return [
        Conditioning(
            tensors={name: tensor[number : number + 1].clone() for name, tensor in tensors.items()},
            family=family.key,
            text=text,
            size=size,
            **counted[number],
        )
        for number, text in enumerate(texts)
    ]


def check_encoders(components: Components, pipeline: Any) -> None:
    """Raise `ModelError` for a model that lacks a text encoder; the T5 of SD3 may be missing: zeros replace it.

    The pipeline reads the width of these zeros from the transformer, and nothing else.
    """
    model, family = components.model, components.model.need_family()
    names = [n for n in inspect.signature(type(pipeline).__init__).parameters if n.startswith(_ENCODERS)]
    lacking = [name for name in names if getattr(pipeline, name, None) is None]
    if family.key == "stable-diffusion-3" and set(lacking) == {"text_encoder_3", "tokenizer_3"}:
        config = SimpleNamespace(**model.config(family.denoiser))
        object.__setattr__(pipeline, family.denoiser, SimpleNamespace(config=config))
    elif lacking:
        raise ModelError(
            f"the model {str(model.folder)!r} has no {' and no '.join(lacking)}, so it cannot encode a text; encode it "
            "with another model of the same kind, or copy or download this one again"
        )


def check_encoded(components: Components, embedding: torch.Tensor) -> None:
    """Raise `ModelError` unless an embedding (B, ...) of the text encoders is finite."""
    maker = f"encoding by the text encoder of {str(components.model.folder)!r}"
    encoder = next(module for name, module in components.modules.items() if name.startswith("text_encoder"))
    check_finite(embedding, maker, encoder.dtype)


def _with_text_model(components: Components) -> Components:
    """Give the text encoders a `text_model`, where diffusers 0.42 looks for the last norm to apply.

    transformers 5.6 removed that name from CLIP and made its content the model itself. The name is set on a copy of the
    module tree: transformers hooks the layers whose hidden states are asked for, and layers that a hooked copy shares
    with the original would be hooked twice.
    """
    modules = dict(components.modules)
    for name, module in components.modules.items():
        if (
            name.startswith("text_encoder")
            and hasattr(module, "final_layer_norm")
            and not hasattr(module, "text_model")
        ):
            modules[name] = share_weights(module)
            object.__setattr__(modules[name], "text_model", modules[name])
    return replace(components, modules=modules)


def as_stored(value: Any) -> torch.Tensor:
    """Return (B, ...) on the CPU; a list of (tokens, width) becomes (B, tokens, width)."""
    tensor = torch.stack(list(cast(Sequence[torch.Tensor], value))) if isinstance(value, (list, tuple)) else value
    return tensor.detach().to("cpu", copy=True)


def _longest(pipeline: Any) -> int | None:
    """Return how many tokens of a text the pipeline uses in a call; None where it states no number.

    `encode_prompt` may take more (1,024 for Qwen-Image), but the rest is dropped from the embeddings later (512).
    """
    parameter = inspect.signature(pipeline.__call__).parameters.get("max_sequence_length")
    return parameter.default if parameter is not None and isinstance(parameter.default, int) else None
