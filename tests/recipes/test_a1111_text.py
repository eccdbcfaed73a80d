"""Odd forms of the texts of A1111 and of other lists of settings: taken over as they are meant, or named."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from nbgraph.recipes.opened import Opened
from nbgraph.recipes.reading import read_recipe
from nbgraph.recipes.shelf import Shelf
from tests.tiny_models.headers import full_size, write_header

SHELF = Shelf((("dreamy", ""), ("pony-xl", "")))


def opened(settings: str, prompt: str = "a fox", shelf: Shelf = SHELF) -> Opened:
    """What a text of A1111 is opened as; steps and seed are added to the settings."""
    return read_recipe(f"{prompt}\nSteps: 20, Seed: 1, {settings}", shelf)


def named(found: Opened, state: str) -> set[str]:
    """What a report says of one state."""
    return {each.what for each in found.report.of(state)}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "schedule"),
    [
        ("Sampler: DPM++ 2M SDE, Schedule type: Automatic, Version: v1.10.1", "exponential"),
        ("Sampler: DPM++ 3M SDE, Schedule type: Automatic, Version: v1.9.4", "exponential"),
        ("Sampler: DPM++ 2M, Version: v1.10.1", "karras"),
        ("Sampler: DPM++ 2M, Version: f2.0.1v1.10.1-previous-636", "karras"),
        ("Sampler: DPM++ 2M, Version: v1.6.0", "normal"),
        ("Sampler: DPM++ 2M, Schedule type: Uniform", "normal"),
        ("Sampler: DPM++ 2M SDE Exponential, Version: v1.6.0", "exponential"),
        ("Sampler: Euler a, Version: v1.6.0", "normal"),
        ("Sampler: DDIM, Schedule type: Karras", "ddim_uniform"),
    ],
)
def test_the_schedule_is_the_one_that_the_version_means(settings, schedule):
    found = opened(f"{settings}, Model: dreamy")
    assert found.graph["sampler"].schedule == schedule
    assert not any(what.startswith("Schedule") for what in named(found, "missing"))


def test_a_schedule_that_is_not_said_is_named():
    assert "schedule type" in named(opened("Sampler: DPM++ 2M, Model: dreamy"), "differs")
    assert "schedule type" not in named(opened("Sampler: Euler, Model: dreamy"), "differs")


@pytest.mark.parametrize("sampler", ["Euler a", "DPM++ 2M SDE", "DPM++ 3M SDE Karras"])
def test_samplers_that_draw_noise_between_steps_are_named(sampler):
    whys = [each.why for each in opened(f"Sampler: {sampler}, Model: dreamy").report.of("differs")]
    assert any("another generator" in why for why in whys)


@pytest.mark.parametrize("sampler", ["DDIM", "UniPC"])
def test_samplers_that_a1111_has_by_formulas_of_its_own_are_named(sampler):
    assert f"sampler {sampler}" in named(opened(f"Sampler: {sampler}, Model: dreamy"), "differs")


@pytest.mark.parametrize(
    ("tag", "weights"),
    [
        ("<lora:ink:0.7>", (0.7, None)),
        ("<lora:ink>", (1.0, None)),
        ("<lora:ink:0.8:0.5>", (0.5, 0.8)),
        ("<lora:ink:unet=0.3:te=0.2>", (0.3, 0.2)),
        ("<lyco:ink:-1>", (-1.0, None)),
    ],
)
def test_a_tag_of_a_lora_has_the_weight_of_the_text_encoders_first(tag, weights):
    found = opened("Sampler: Euler, Model: dreamy", f"a {tag} fox")
    assert (found.graph["lora"].weight, found.graph["lora"].clip_weight) == weights
    assert found.graph["positive"].text == "a  fox"


@pytest.mark.parametrize("tag", ["<lora:ink:much>", "<hypernet:ink:1>", "<lora:ink:1:1:8>", "<lora:ink:1:lbw=1,0>"])
def test_a_tag_that_is_not_taken_over_as_a_whole_is_named(tag):
    found = opened("Sampler: Euler, Model: dreamy", f"a {tag} fox")
    assert tag in named(found, "missing") | named(found, "differs")
    assert "<" not in found.graph["positive"].text


def test_the_negative_prompt_begins_with_a_line():
    found = opened("Sampler: Euler, Model: dreamy", 'a sign "Negative prompt: no"\nNegative prompt: bad\nworse')
    assert found.graph["positive"].text == 'a sign "Negative prompt: no"'
    assert found.graph["negative"].text == "bad\nworse"


def test_lines_after_the_settings_are_named():
    text = "a\nSteps: 20, Sampler: Euler, Seed: 1, Model: dreamy\nTemplate: a __animal__\nNegative Template: b"
    found = read_recipe(text, SHELF)
    assert found.graph["positive"].text == "a"
    assert {"Template: a __animal__", "Negative Template: b"} <= named(found, "missing")


def test_a_picture_that_was_enlarged_is_not_one_of_a_picture_that_went_in():
    found = opened("Sampler: Euler, Model: dreamy, Denoising strength: 0.4, Hires upscale: 2, Hires upscaler: Latent")
    assert {"hires fix", "Hires upscale: 2", "Hires upscaler: Latent"} <= named(found, "missing")
    assert "picture that went in" not in named(found, "missing")


def test_a_vae_that_is_taken_over_is_not_called_missing():
    found = opened("Sampler: Euler, Model: dreamy, VAE: pony-xl.safetensors, VAE hash: 0123456789")
    assert found.graph["vae"].vae_model == "pony-xl"
    assert named(found, "missing") == set()


def test_text_encoders_of_sdxl_leave_out_no_more_than_they_do_by_themselves():
    assert "clip_skip" not in opened("Sampler: Euler, Model: pony-xl, Clip skip: 2").graph
    assert "Clip skip 3" in named(opened("Sampler: Euler, Model: pony-xl, Clip skip: 3"), "differs")
    assert opened("Sampler: Euler, Model: dreamy, Clip skip: 2").graph["clip_skip"].skipped_layers == 1


def test_a_file_says_by_its_header_of_which_family_it_is(tmp_path):
    for name in ("sdxl", "sd1"):
        write_header(tmp_path / f"{name}.safetensors", full_size(name))
    shelf = Shelf((("one", str(tmp_path / "sdxl.safetensors")), ("two-xl", str(tmp_path / "sd1.safetensors"))))
    assert (shelf.is_stable_diffusion_xl("one"), shelf.is_stable_diffusion_xl("two-xl")) == (True, False)


def test_models_are_known_by_their_hash(tmp_path):
    for name in ("dreamy", "other"):
        (tmp_path / f"{name}.safetensors").write_bytes(name.encode())
    digests = {name: sha256(name.encode()).hexdigest()[:10] for name in ("dreamy", "other")}
    shelf = Shelf(tuple((name, str(tmp_path / f"{name}.safetensors")) for name in digests))
    same = opened(f"Sampler: Euler, Model: dreamy, Model hash: {digests['dreamy'].upper()}", shelf=shelf)
    assert same.report.of("differs") == opened("Sampler: Euler, Model: dreamy", shelf=shelf).report.of("differs")
    changed = opened(f"Sampler: Euler, Model: dreamy, Model hash: {digests['other']}", shelf=shelf)
    assert "model 'dreamy'" in named(changed, "differs")
    renamed = opened(f"Sampler: Euler, Model: gone, Model hash: {digests['other']}", shelf=shelf)
    assert renamed.graph["model"].model == "other"
    assert not renamed.report.of("missing")
    nameless = opened("Sampler: Euler, Model hash: 0123456789", shelf=shelf)
    assert "model '0123456789'" in named(nameless, "missing")


def test_a_lora_of_another_content_is_named(tmp_path: Path):
    folder = tmp_path / "Lora"
    folder.mkdir()
    (folder / "ink.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}weights")
    shelf = Shelf((("dreamy", ""),), (folder / "ink.safetensors",))
    digest = sha256(b"weights").hexdigest()[:12]
    for given, states in ((digest, "exact"), ("0" * 12, "differs")):
        found = opened(f'Sampler: Euler, Model: dreamy, Lora hashes: "ink: {given}"', "a <lora:ink:1>", shelf)
        assert "LoRA 'ink'" in named(found, states)


def test_what_fooocus_says_besides_is_taken_over_or_named():
    data = {"prompt": "a", "base_model": "pony-xl", "steps": 30, "seed": "5", "sampler": "dpmpp_2m_sde_gpu",
            "scheduler": "turbo", "styles": "['Fooocus V2']", "refiner_model": "dreamy", "sharpness": 2.0,
            "loras": [["ink.safetensors", 0.1, "abc"]], "vae": "Default (model)", "clip_skip": 2}  # fmt: skip
    found = read_recipe(json.dumps(data), SHELF)
    assert found.graph["lora"].weight == 0.1
    assert "clip_skip" not in found.graph
    assert {"styles: ['Fooocus V2']", "refiner_model: dreamy", "sharpness: 2.0"} <= named(found, "missing")
    assert {"schedule turbo", "sampler dpmpp_2m_sde"} <= named(found, "differs")


def test_what_invokeai_says_besides_is_taken_over_or_named():
    data = {"generation_mode": "sdxl_img2img", "positive_prompt": "a fox++ (red)1.2", "negative_prompt": "", "seed": 3,
            "steps": 12, "model": {"name": "dreamy"}, "scheduler": "euler_a", "positive_style_prompt": "oil",
            "rand_device": "cuda", "hrf_enabled": True, "seamless_x": False}  # fmt: skip
    found = read_recipe(json.dumps(data), SHELF)
    assert found.graph["positive"].type == "compel"
    assert {"picture that went in", "positive_style_prompt: oil", "hrf_enabled: True"} <= named(found, "missing")
    assert {"rand_device", "sampler euler_ancestral"} <= named(found, "differs")
    assert "seamless_x: False" not in named(found, "missing")
