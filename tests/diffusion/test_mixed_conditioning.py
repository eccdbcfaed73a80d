"""Encoded prompts averaged and joined: the numbers are those that ComfyUI's nodes of these names compute."""

import pytest
import torch

from nbgraph.diffusion.mixed_conditioning import average_conditioning, concat_conditioning
from nbgraph.diffusion.values import Conditioning
from nbgraph.errors import ModelError


def prompt(tokens: int, seed: int = 0, family: str = "stable-diffusion-xl", mask: bool = False) -> Conditioning:
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        "prompt_embeds": torch.randn(1, tokens, 6, generator=generator),
        "pooled_prompt_embeds": torch.randn(1, 6, generator=generator),
    }
    if mask:
        tensors["prompt_attention_mask"] = torch.ones(1, tokens)
    return Conditioning(tensors, family, text=f"text {seed}", tokens=tokens)


@pytest.mark.parametrize("tokens", [5, 7, 9])
def test_an_average_has_the_length_of_the_first_and_the_summary_of_both(tokens):
    to, other = prompt(7, 0), prompt(tokens, 1)
    made = average_conditioning(to, other, 0.25)
    second = other.tensors["prompt_embeds"][:, :7]
    second = torch.cat([second, torch.zeros(1, 7 - second.shape[1], 6)], dim=1)
    assert torch.equal(made.tensors["prompt_embeds"], to.tensors["prompt_embeds"] * 0.25 + second * 0.75)
    pooled = [each.tensors["pooled_prompt_embeds"] for each in (to, other)]
    assert torch.equal(made.tensors["pooled_prompt_embeds"], pooled[0] * 0.25 + pooled[1] * 0.75)
    assert made.text == "text 0 | text 1"


def test_the_ends_of_an_average_are_the_prompts_themselves():
    to, other = prompt(7, 0), prompt(7, 1)
    assert torch.equal(average_conditioning(to, other, 1.0).tensors["prompt_embeds"], to.tensors["prompt_embeds"])
    assert torch.equal(average_conditioning(to, other, 0.0).tensors["prompt_embeds"], other.tensors["prompt_embeds"])


def test_joined_prompts_have_all_tokens_and_the_summary_of_the_first():
    first, second = prompt(7, 0, mask=True), prompt(4, 1, mask=True)
    made = concat_conditioning([first, second])
    joined = torch.cat([first.tensors["prompt_embeds"], second.tensors["prompt_embeds"]], dim=1)
    assert torch.equal(made.tensors["prompt_embeds"], joined)
    assert made.tensors["prompt_attention_mask"].shape == (1, 11)
    assert torch.equal(made.tensors["pooled_prompt_embeds"], first.tensors["pooled_prompt_embeds"])
    assert (made.tokens, len(made)) == (11, 1)


def test_prompts_that_do_not_belong_together_are_refused():
    one = prompt(7)
    wide = Conditioning({"prompt_embeds": torch.zeros(1, 7, 8), "pooled_prompt_embeds": torch.zeros(1, 6)}, one.family)
    for other, problem in (
        (prompt(7, family="flux"), "families stable-diffusion-xl and flux"),
        (prompt(7, mask=True), "different masks of tokens"),
        (wide, "different widths"),
    ):
        with pytest.raises(ModelError, match=problem):
            concat_conditioning([one, other])
        with pytest.raises(ModelError, match=problem):
            average_conditioning(one, other, 0.5)
    with pytest.raises(ModelError, match="differ in length, so that they have no average"):
        average_conditioning(prompt(7, mask=True), prompt(4, mask=True), 0.5)
