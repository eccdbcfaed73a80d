"""Prompt nodes on tiny random models: sizes and weights reach the picture, and what is wrong is told before the run."""

import importlib.util

import pytest
import torch

import nbgraph as nb
from nbgraph.errors import GraphError, NbgraphWarning
from nbgraph.invocations import DenoiseLatents, ModelLoader, Noise, Prompt, SdxlPrompt, WeightedPrompt, prompt_weights
from tests.tiny_models import build_sd15, build_sdxl


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny SDXL and a tiny Stable Diffusion 1.5."""
    made = tmp_path_factory.mktemp("prompt_models")
    build_sdxl(made / "sdxl")
    build_sd15(made / "sd15")
    return made


@pytest.fixture(scope="module")
def studio():
    """One studio for all, so that the models are loaded once."""
    with nb.Studio() as made:
        yield made


@pytest.fixture
def sdxl(folder):
    return ModelLoader(model=str(folder / "sdxl"))


@pytest.fixture
def drawn(result):
    """The latents of a picture of a positive prompt, as a tensor."""

    def draw(model, positive):
        noise = Noise(unet=model, seed=7, width=32, height=32)
        negative = Prompt(text="", clip=model)
        return result(
            DenoiseLatents(unet=model, positive=positive, negative=negative, noise=noise, steps=2, cfg_scale=4.0)
        ).latents.tensor()

    return draw


def test_an_sdxl_prompt_without_sizes_is_a_prompt_and_with_them_another(sdxl, drawn):
    plain = drawn(sdxl, Prompt(text="a red apple", clip=sdxl))
    assert torch.equal(drawn(sdxl, SdxlPrompt(text="a red apple", clip=sdxl)), plain)
    for given in (
        {"original_width": 64, "original_height": 48}, {"crop_left": 8}, {"crop_top": 8}, {"style": "a house"},
        {"target_width": 128, "target_height": 96}, {"text": "a (red)1.4 apple", "weighted": True},
    ):  # fmt: skip
        other = drawn(sdxl, SdxlPrompt(**{"text": "a red apple", "clip": sdxl, **given}))
        assert (other - plain).abs().max() > 1e-5, given


def test_sizes_left_out_follow_the_noise(sdxl, drawn):
    told = SdxlPrompt(text="a cat", clip=sdxl, original_width=32, original_height=32, target_width=32, target_height=32)
    assert torch.equal(drawn(sdxl, told), drawn(sdxl, SdxlPrompt(text="a cat", clip=sdxl)))


def test_a_weighted_prompt_is_the_plain_one_but_for_its_weights(sdxl, drawn):
    plain = drawn(sdxl, Prompt(text="a red apple", clip=sdxl))
    assert torch.equal(drawn(sdxl, WeightedPrompt(text="a red apple", clip=sdxl)), plain)
    assert (drawn(sdxl, WeightedPrompt(text="a red apple++", clip=sdxl)) - plain).abs().max() > 1e-5


def test_half_a_size_and_a_model_that_is_told_none_are_refused_before_the_run(sdxl, folder, studio):
    half = SdxlPrompt(text="a cat", clip=sdxl, original_width=64)
    with pytest.raises(GraphError, match=r"original_height: is left out.*give both or none"):
        studio.run(half, progress=False)
    with pytest.raises(GraphError, match=r"'stable-diffusion', which takes no sizes; use Prompt"):
        studio.run(SdxlPrompt(text="a cat", clip=ModelLoader(model=str(folder / "sd15"))), progress=False)


def test_without_the_package_weights_are_refused_before_the_run(sdxl, studio, monkeypatch):
    monkeypatch.setattr(prompt_weights, "find_spec", lambda name: None if name == "compel" else importlib.util)
    for node in (WeightedPrompt(text="a cat++", clip=sdxl), SdxlPrompt(text="a cat++", clip=sdxl, weighted=True)):
        with pytest.raises(GraphError, match=r"pip install 'nbgraph\[prompt\]'"):
            studio.run(node, progress=False)


@pytest.mark.parametrize("node", [Prompt, WeightedPrompt, SdxlPrompt])
def test_a_text_over_the_limit_is_warned_of_with_its_tokens_and_what_is_cut(sdxl, studio, node):
    with pytest.warns(NbgraphWarning, match=r"tokens and the model takes 77; not used: '.*boat"):
        studio.run(node(text="boat " * 60, clip=sdxl), progress=False)
