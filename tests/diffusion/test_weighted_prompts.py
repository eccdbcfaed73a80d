"""Weights in prompts: what compel makes of them, and the plain prompt where there are none."""

import contextlib
import importlib.util
import time
from random import Random

import pytest
import torch
from compel import CompelForSD, CompelForSDXL

from nbgraph.diffusion import weighted_prompt
from nbgraph.diffusion.components import Components
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.refs import ClipSkipPatch, ModelRef
from nbgraph.diffusion.tool_prompt import encode_tool_prompt
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


def spelled_out(components: Components, number: str, text: str) -> torch.Tensor:
    """(1, 77, width): what an encoder says of a text of at most 75 tokens, as ComfyUI and A1111 take it."""
    tokenizer, encoder = components[f"tokenizer{number}"], components[f"text_encoder{number}"]
    tokens = tokenizer(text, padding="max_length", max_length=77, return_tensors="pt").input_ids
    states = encoder(tokens, output_hidden_states=True).hidden_states
    is_xl = "text_encoder_2" in components
    return states[-2] if is_xl else getattr(encoder, "text_model", encoder).final_layer_norm(states[-1])


def weighed(components: Components, number: str, weight: float) -> torch.Tensor:
    """The weights of the 77 tokens of `a (red:weight) cat`, (1, 77, 1)."""
    tokenizer = components[f"tokenizer{number}"]
    before, inside = (len(tokenizer(text, add_special_tokens=False).input_ids) for text in ("a", "red"))
    weights = torch.ones(1, 77, 1)
    weights[:, 1 + before : 1 + before + inside] = weight
    return weights


@pytest.mark.parametrize("weight", [1.3, 0.4, -0.5])
@pytest.mark.parametrize("name", ["sd15", "sdxl"])
def test_weights_of_other_tools_are_their_formulas(
    name: str, weight: float, tiny: TinyModels, shared_cache: ModelCache
) -> None:
    numbers = ("", "_2") if name == "sdxl" else ("",)
    with shared_cache.use(tiny[name], "text") as components, torch.no_grad():
        expected: dict[str, list[torch.Tensor]] = {"comfy": [], "a1111": []}
        for number in numbers:
            plain, empty = (spelled_out(components, number, text) for text in ("a red cat", ""))
            weights = weighed(components, number, weight)
            expected["comfy"].append((plain - empty) * weights + empty)
            expected["a1111"].append(plain * weights * (plain.mean() / (plain * weights).mean()))
        for tool, parts in expected.items():
            found = encode_tool_prompt(components, f"a (red:{weight}) cat", tool).tensors["prompt_embeds"]  # type: ignore[arg-type]
            assert (found - torch.cat(parts, -1)).abs().max() < 1e-6 * max(1, torch.cat(parts, -1).abs().max())


def test_chunks_of_a_long_text_are_encoded_by_themselves_and_joined(tiny: TinyModels, shared_cache: ModelCache) -> None:
    words = ["red", "cat", "dog"] * 26  # 78 tokens
    with shared_cache.use(tiny["sd15"], "text") as components, torch.no_grad():
        found = encode_tool_prompt(components, " ".join(words), "comfy").tensors["prompt_embeds"]
        parts = [spelled_out(components, "", " ".join(each)) for each in (words[:75], words[75:])]
    assert (found - torch.cat(parts, 1)).abs().max() < 1e-6


def test_weights_of_a1111_stay_finite_where_the_mean_is_zero(tiny: TinyModels) -> None:
    cache = ModelCache(device="cpu", dtype="float32")
    with cache.use(tiny["sd15"], "text") as components, torch.no_grad():
        last = next(m for name, m in components["text_encoder"].named_modules() if name.endswith("final_layer_norm"))
        last.weight.zero_()
        last.bias.zero_()
        found = encode_tool_prompt(components, "a (red:1.5) cat", "a1111").tensors["prompt_embeds"]
    assert not found.any()


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
