"""What is said of a long text is so: the part said to be unused changes nothing, and what comes before it does."""

import pytest
import torch

from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.prompt import encode_prompt
from nbgraph.diffusion.values import Conditioning
from tests.diffusion.drawing import encode
from tests.diffusion.models import TinyModels
from tests.diffusion.table import TINY

LONG = "red cat dog " * 250
"""More than any of the families reads: the tokenizers of Qwen-Image and Z-Image take each letter for a token."""
LIMITS = {
    **dict.fromkeys(("sd15", "sd2", "sdxl"), 77),
    **dict.fromkeys(("sd3", "auraflow"), 256),
    **dict.fromkeys(("flux", "chroma"), 512),
    "qwen-image": 512 + 34 - 149,
    "z-image": 512 - 6,
    "cogview4": 1024,
    "pixart-alpha": 120,
    "pixart": 300,
    "sana": 300,
}
"""How many tokens of a text the pipeline of each family uses, by diffusers' source.

Z-Image's counts those of its template, 6 for the tiny tokenizer. Qwen-Image's drops 34, which are all of the template's
for its own tokenizer, and not for the tiny one.
"""


def with_other_letters(text: str, letters: int) -> str:
    """The text with its last letters, so many without counting spaces, turned into others."""
    turned, left = list(text), letters
    for place in reversed(range(len(turned))):
        if turned[place] != " " and left:
            turned[place], left = {"r": "g", "c": "b"}.get(turned[place], "x"), left - 1
    return "".join(turned)


def as_used(value: Conditioning) -> dict[str, torch.Tensor]:
    """What the pipeline takes of the embeddings: Qwen-Image's has a limit of its own when it draws."""
    return {name: tensor[:, :512] if value.family == "qwenimage" else tensor for name, tensor in value.tensors.items()}


def same(one: Conditioning, other: Conditioning) -> bool:
    first, second = as_used(one), as_used(other)
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("name", TINY)
def test_what_is_said_to_be_unused_is_unused_and_nothing_else(
    name: str, tiny: TinyModels, shared_cache: ModelCache
) -> None:
    whole = encode(shared_cache, tiny[name], LONG)
    assert whole.token_limit == LIMITS[name]
    assert whole.tokens > whole.token_limit
    unused = len(whole.cut.replace(" ", ""))
    assert 0 < unused < len(LONG.replace(" ", ""))
    assert same(whole, encode(shared_cache, tiny[name], with_other_letters(LONG, unused)))
    assert not same(whole, encode(shared_cache, tiny[name], with_other_letters(LONG, unused + 3)))


@pytest.mark.parametrize("name", TINY)
def test_a_text_that_fits_says_nothing(name: str, tiny: TinyModels, shared_cache: ModelCache) -> None:
    value = encode(shared_cache, tiny[name], "a red cat")
    assert (value.cut, value.warnings) == ("", ())
    assert 0 < value.tokens <= value.token_limit


@pytest.mark.parametrize("name", ["flux", "sd3"])
def test_a_text_that_t5_reads_to_its_end_says_nothing_though_clip_cuts_it(
    name: str, tiny: TinyModels, shared_cache: ModelCache
) -> None:
    hundred = "red cat " * 50
    value = encode(shared_cache, tiny[name], hundred)
    assert value.cut == ""
    assert not same(value, encode(shared_cache, tiny[name], with_other_letters(hundred, 3)))


def test_a_style_of_its_own_leaves_the_text_to_the_first_encoder(tiny: TinyModels, shared_cache: ModelCache) -> None:
    with shared_cache.use(tiny["flux"], "text") as components:
        value = encode_prompt(components, "red cat " * 60 + "boat", "a dog")
        other = encode_prompt(components, "a dog", "red cat " * 60 + "boat")
    assert value.cut.replace(" ", "").endswith("boat")
    assert (value.token_limit, other.cut) == (77, "")
