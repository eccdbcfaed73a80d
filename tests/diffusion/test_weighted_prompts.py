"""Weights in prompts: what compel makes of them, and the plain prompt where there are none."""

import contextlib
import importlib.util
import time
from random import Random

import pytest
import torch
from compel import CompelForSD, CompelForSDXL

from nbgraph.diffusion import weighted_prompt
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.refs import ClipSkipPatch, ModelRef
from nbgraph.diffusion.values import Conditioning
from nbgraph.diffusion.weighted_prompt import encode_weighted_prompt, without_weights
from nbgraph.errors import ModelError
from tests.diffusion.drawing import encode
from tests.diffusion.models import TinyModels
from tests.diffusion.table import able

COMPELS = {"sdxl": CompelForSDXL}
TEXTS = ["a red apple++", "a (red)1.3 apple", "a (red)0.4 apple--", '("a red cat", "a dog").blend(0.7, 0.3)']


def weighted(cache: ModelCache, ref: ModelRef, text: str, style: str | None = None) -> Conditioning:
    with cache.use(ref, "text") as components:
        return encode_weighted_prompt(components, text, style)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("name", able("weights"))
def test_weights_do_what_compel_does(name: str, text: str, tiny: TinyModels, shared_cache: ModelCache) -> None:
    found = weighted(shared_cache, tiny[name], text)
    with torch.no_grad():
        expected = COMPELS.get(name, CompelForSD)(tiny.pipeline(name))(text).embeds
    assert (found.tensors["prompt_embeds"] - expected).abs().max() == 0
    bare = encode(shared_cache, tiny[name], without_weights(text))
    assert (found.tensors["prompt_embeds"] - bare.tensors["prompt_embeds"]).abs().max() > 1e-2
    assert found.text == text


@pytest.mark.parametrize("name", ["sd15", "sdxl"])
@pytest.mark.parametrize("text", ["a red apple", "", "a cat (", "(a red)1.0 apple"])
def test_without_weights_it_is_the_plain_prompt(
    name: str, text: str, tiny: TinyModels, shared_cache: ModelCache
) -> None:
    found, expected = (
        weighted(shared_cache, tiny[name], text).tensors,
        encode(shared_cache, tiny[name], without_weights(text)).tensors,
    )
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_a_weighted_style_is_for_the_second_encoder(tiny: TinyModels, shared_cache: ModelCache) -> None:
    found = weighted(shared_cache, tiny["sdxl"], "a red apple", "a (blue)1.4 house").tensors["prompt_embeds"]
    with torch.no_grad():
        expected = CompelForSDXL(tiny.pipeline("sdxl"))("a red apple", style_prompt="a (blue)1.4 house").embeds
    assert (found - expected).abs().max() == 0


def test_a_weighted_text_over_the_limit_is_cut_and_said_so(tiny: TinyModels, shared_cache: ModelCache) -> None:
    found = weighted(shared_cache, tiny["sd15"], "a red apple++ " + "boat " * 40)
    assert found.tensors["prompt_embeds"].shape[1] == found.token_limit == 77
    assert "tokens and the model takes 77; not used:" in found.warnings[0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('("a cat", "a dog").and()', "has .and"),
        ("a cat.swap(dog)", "has .swap"),
        ("((((((a))))))", "6 deep.*may be 4 deep"),
    ],
)
def test_texts_that_ask_for_more_are_refused(text: str, problem: str) -> None:
    with pytest.raises(ModelError, match=problem):
        without_weights(text)


def test_nothing_that_can_be_typed_is_slow_or_breaks_the_parser() -> None:
    pieces = ["a cat", "(", ")", "++", "-", "1.3", '"', ",", ".blend(", ".and()", "\\", "'", "<", "["]
    random = Random(1)
    for _ in range(60):
        text = "".join(random.choices(pieces, k=8))
        started = time.process_time()
        with contextlib.suppress(ModelError):
            without_weights(text)
        assert time.process_time() - started < 5, text


def test_models_and_patches_it_is_not_for(tiny: TinyModels, shared_cache: ModelCache) -> None:
    with pytest.raises(ModelError, match="this model is of 'flux'; encode the text with a plain Prompt"):
        weighted(shared_cache, tiny["flux"], "a cat++")
    with pytest.raises(ModelError, match="CLIP skip do not go together"):
        weighted(shared_cache, tiny["sd15"].with_patch(ClipSkipPatch(layers=1)), "a cat++")


def test_without_the_package_it_names_what_to_install(
    tiny: TinyModels, shared_cache: ModelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weighted_prompt, "find_spec", lambda name: None if name == "compel" else importlib.util)
    with pytest.raises(ModelError, match=r"pip install 'nbgraph\[prompt\]'"):
        weighted(shared_cache, tiny["sd15"], "a cat++")
