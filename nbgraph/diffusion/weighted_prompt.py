"""Texts with weights, in the syntax of the package compel: `apple++`, `(red)1.3`, `("a cat", "a dog").blend(1, 2)`."""

from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from nbgraph.diffusion.components import Components
from nbgraph.diffusion.prompt import TOKENIZER_LOCK, check_encoded, encode_prompt
from nbgraph.diffusion.quiet import quiet
from nbgraph.diffusion.refs import ClipSkipPatch
from nbgraph.diffusion.values import Conditioning, SizeConditioning
from nbgraph.errors import ModelError
from nbgraph.loading import load_library

FAMILIES = {
    "stable-diffusion": "LAST_HIDDEN_STATES_NORMALIZED",
    "stable-diffusion-xl": "PENULTIMATE_HIDDEN_STATES_NON_NORMALIZED",
}
"""Which hidden states of the text encoders a family takes, by compel's names."""
_DEEPEST = 4
"""How deep parentheses may be nested: compel's parser takes three times as long for each further level."""


@torch.no_grad()
def encode_weighted_prompt(
    components: Components, text: str, style: str | None = None, size: SizeConditioning | None = None
) -> Conditioning:
    """Encode a text with weights; without any, the result is exactly `encode_prompt(without_weights(text))`.

    The pooled embedding of SDXL, which has no tokens to weigh, is that of the text without its marks.

    Raises
    ------
    ModelError
        The package compel is missing, the model has no support for weights, or the text cannot be parsed.
    """
    family = components.model.need_family().key
    if find_spec("compel") is None:
        raise ModelError("weights in prompts need the package compel: pip install 'nbgraph[prompt]'")
    if family not in FAMILIES:
        raise ModelError(
            f"weights in prompts work with Stable Diffusion 1.5, 2 and XL, and this model is of {family!r}; "
            "encode the text with a plain Prompt"
        )
    if any(isinstance(patch, ClipSkipPatch) and patch.layers for patch in components.patches):
        raise ModelError("weights in prompts and CLIP skip do not go together; leave one of them out")
    bare_style = None if style is None else without_weights(style)
    plain = encode_prompt(components, without_weights(text), bare_style, size)
    weighted = [_encode(components, text, FAMILIES[family], "")]
    if family == "stable-diffusion-xl":
        weighted.append(_encode(components, text if style is None else style, FAMILIES[family], "_2"))
    for embedding in weighted:
        check_encoded(components, embedding)
    return replace(plain, text=text, tensors={**plain.tensors, "prompt_embeds": torch.cat(weighted, dim=-1)})


def without_weights(text: str) -> str:
    """Return the words of a text with weights.

    Raise `ModelError` when it cannot be parsed or uses what is not supported.
    """
    parser = _parser()
    if (depth := _nesting(text)) > _DEEPEST:
        raise ModelError(
            f"parentheses are nested {depth} deep in {text!r}, and may be {_DEEPEST} deep; write \\( for one"
        )
    try:
        found = parser.PromptParser().parse_conjunction(text)
    except Exception as error:  # whatever the parser raises, it is about the text
        raise ModelError(
            f"the weights in {text!r} cannot be read: {error}. Write apple++ or (red)1.3, and \\( for a parenthesis"
        ) from error
    if len(found.prompts) > 1 or any(weight != 1 for weight in found.weights):
        raise ModelError(f"{text!r} has .and(), which is not supported; write one text, or use .blend()")
    return " ".join(_words(found.prompts, parser))


def _nesting(text: str) -> int:
    """Return the most parentheses that are open at once; one with a backslash before it is a letter."""
    deepest = depth = 0
    for before, letter in zip(f" {text}", text):
        if letter in "()" and before != "\\":
            depth = depth + 1 if letter == "(" else max(0, depth - 1)
            deepest = max(deepest, depth)
    return deepest


def _words(prompts: list[Any], parser: Any) -> Iterator[str]:
    for prompt in prompts:
        if isinstance(prompt, parser.CrossAttentionControlSubstitute):
            raise ModelError("the text has .swap(), which is not supported; write the words themselves")
        if isinstance(prompt, parser.Blend):
            yield from _words(prompt.prompts, parser)
        elif isinstance(prompt, parser.FlattenedPrompt):
            yield from _words(prompt.children, parser)
        else:
            yield prompt.text


def _parser() -> Any:
    with quiet():
        return load_library("compel.prompt_parser")


def _encode(components: Components, text: str, hidden_states: str, number: str) -> Tensor:
    """Return (1, tokens, width) on the CPU: the text by one of the text encoders, its embeddings weighted."""
    compel = load_library("compel")
    with quiet(), TOKENIZER_LOCK:
        encoder = compel.Compel(
            tokenizer=components[f"tokenizer{number}"],
            text_encoder=components[f"text_encoder{number}"],
            returned_embeddings_type=compel.ReturnedEmbeddingsType[hidden_states],
            device=components.device,
        )
        return encoder(text).detach().to("cpu", copy=True)
