"""The shipped emoji model: small, safe to load, forgiving about prompts, and able to draw an apple."""

from pathlib import Path

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    SchedulerMixin,
    StableDiffusionPipeline,
)

from nbgraph.models import emoji
from nbgraph.models.emoji.text import unknown_words

MEGABYTES = 1_000_000


@pytest.fixture(scope="module")
def pipeline() -> StableDiffusionPipeline:
    loaded = StableDiffusionPipeline.from_pretrained(
        emoji.FOLDER, dtype=torch.float32, safety_checker=None, local_files_only=True
    )
    loaded.set_progress_bar_config(disable=True)
    return loaded


def draw(pipeline: StableDiffusionPipeline, prompt: str, seed: int = 0, steps: int = 6) -> torch.Tensor:
    """Return one picture of shape (3, 128, 128) in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    made = pipeline(
        prompt, num_inference_steps=steps, guidance_scale=emoji.GUIDANCE, generator=generator, output_type="pt"
    )
    return made.images[0]


def red_share(image: torch.Tensor) -> float:
    """Return the share of pixels that are clearly red in the middle of a picture, where no ground is seen."""
    red, green, blue = image[:, 40:104, 32:96]
    return ((red > 0.5) & (green < 0.5 * red) & (blue < 0.5 * red)).float().mean().item()


def test_the_folder_is_small_and_holds_weights_as_safetensors_only():
    files = [path for path in Path(emoji.FOLDER).rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert sum(path.stat().st_size for path in files) <= 12 * MEGABYTES
    assert {path.suffix for path in files} <= {".py", ".json", ".safetensors", ".md", ".png", ".txt"}


def test_every_way_to_type_a_prompt_gives_the_same_tokens(pipeline: StableDiffusionPipeline):
    typed = ["red apple", "A red apple", "Red-Apple!", "  the RED\tapple. "]
    assert len({tuple(pipeline.tokenizer(prompt).input_ids) for prompt in typed}) == 1


def test_an_unknown_word_is_found_by_its_token_and_named_as_typed(pipeline: StableDiffusionPipeline):
    tokenizer = pipeline.tokenizer
    assert tokenizer.unk_token_id in tokenizer("a Flurbish apple").input_ids
    assert unknown_words(tokenizer, "a Flurbish red apple, Zorp!") == ["Flurbish", "Zorp"]
    assert unknown_words(tokenizer, "A red apple") == []


def test_an_unknown_word_does_not_spoil_the_picture(pipeline: StableDiffusionPipeline):
    assert red_share(draw(pipeline, "a flurbish red apple")) > 0.9


@pytest.mark.parametrize("scheduler", [DDIMScheduler, EulerDiscreteScheduler, DPMSolverMultistepScheduler])
def test_common_schedulers_draw_a_red_apple(pipeline: StableDiffusionPipeline, scheduler: type[SchedulerMixin]):
    parts = pipeline.components | {"scheduler": scheduler.from_config(pipeline.scheduler.config)}
    other = StableDiffusionPipeline(**parts, requires_safety_checker=False)
    other.set_progress_bar_config(disable=True)
    assert red_share(draw(other, "red apple", steps=8)) > 0.9
