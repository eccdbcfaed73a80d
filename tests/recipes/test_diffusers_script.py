"""A graph as a script of diffusers draws the same image bit for bit, in a process that cannot import nbgraph."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

import nbgraph as nb
from nbgraph.errors import GraphError
from nbgraph.invocations import (
    BlurImage,
    ClipSkip,
    ControlNet,
    DenoiseLatents,
    ImageToLatents,
    Integer,
    LatentsToImage,
    LoadImage,
    LoraLoader,
    ModelLoader,
    Noise,
    Prompt,
    ResizeLatents,
    SaveImage,
    SdxlPrompt,
)
from tests.recipes.conftest import apple
from tests.tiny_models import BUILDERS, build_controlnet, build_lora

FAMILIES = ("sd15", "sdxl", "flux", "sd3")
RUNNER = """
import contextlib, io, json, os, sys
sys.modules["nbgraph"] = None
for name, script in json.load(sys.stdin).items():
    os.makedirs(name)
    os.chdir(name)
    exec(compile(script, name, "exec"), {})
    os.chdir("..")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models")
    for name in FAMILIES:
        BUILDERS[name](made / name)
        build_lora(made / f"{name}.safetensors", made / name)
        build_controlnet(made / f"{name}-control", made / name)
    photo = PillowImage.linear_gradient("L").resize((64, 64)).convert("RGBA")
    photo.putalpha(PillowImage.linear_gradient("L").resize((64, 64)).rotate(90))
    photo.save(made / "photo.png")
    return made


@pytest.fixture(scope="module")
def studio(folder: Path) -> Iterator[nb.Studio]:
    with nb.Studio(settings=nb.Settings(device="cpu", model_folders=[folder])) as made:
        yield made


def drawing(folder: Path, family: str, *, lora: bool = False, photo: bool = False, control: bool = False, **more):
    """A usual graph of a tiny model: a prompt, with or without a LoRA, an image to begin with, a ControlNet."""
    model = laid = ModelLoader(id="model", model=family)
    if lora:
        laid = LoraLoader(id="lora", lora=folder / f"{family}.safetensors", weight=6, unet=model, clip=model)
    picture = LoadImage(id="photo", path=folder / "photo.png")
    inputs = {"steps": 4, "cfg_scale": 4.0, **more}
    if photo:
        inputs |= {"latents": ImageToLatents(id="encoded", image=picture, vae=model), "denoising_start": 0.3}
    if control:
        inputs["control"] = ControlNet(
            id="net", image=picture, control_model=str(folder / f"{family}-control"), control_weight=0.7
        )
    denoise = DenoiseLatents(
        id="denoise",
        unet=laid,
        positive=Prompt(text="a red \"apple\" 'on' a tree", clip=laid),
        negative=Prompt(text="a dog", clip=laid),
        noise=Noise(unet=model, seed=2**63 + 5, width=64, height=64),
        **inputs,
    )
    return LatentsToImage(id="image", latents=denoise, vae=model)


def cases(folder: Path) -> dict[str, nb.Graph]:
    """Graphs by name: each family from noise, from an image, with a LoRA, and with a ControlNet where it has one."""
    found = {}
    for family in FAMILIES:
        found[family] = drawing(folder, family)
        found[f"{family} from an image with a LoRA"] = drawing(folder, family, photo=True, lora=True)
        found[f"{family} with a LoRA"] = drawing(folder, family, lora=True, guidance=2.0 if family == "flux" else None)
        found[f"{family} with a ControlNet"] = drawing(folder, family, control=True)
        if family in ("sd15", "sdxl"):
            found[f"{family} with all"] = drawing(folder, family, control=True, photo=True, lora=True)
    found["sd15 by its own defaults"] = drawing(folder, "sd15", steps=None, cfg_scale=None)
    for scheduler in ("euler_a", "dpmpp_2m_sde_k", "heun", "unipc", "ddpm", "lms"):
        found[f"sd15 {scheduler}"] = drawing(folder, "sd15", scheduler=scheduler)
    for scheduler in ("euler_a", "dpmpp_2m_k", "heun"):
        found[f"sdxl from an image {scheduler}"] = drawing(folder, "sdxl", photo=True, scheduler=scheduler)
    return {name: nb.Graph.of(image) for name, image in found.items()} | {"two passes": two_passes(folder)}


def two_passes(folder: Path) -> nb.Graph:
    """SDXL with sizes and a style of its own, drawn small, enlarged, and drawn over."""
    model = ModelLoader(id="model", model="sdxl")
    seed = Integer(id="seed", value=7)
    texts = {
        "positive": SdxlPrompt(text="a cat", style="red", clip=model, original_width=32, original_height=64),
        "negative": SdxlPrompt(text="a dog", clip=model),
    }
    first = DenoiseLatents(unet=model, **texts, noise=Noise(unet=model, seed=seed, width=64, height=64), steps=2)
    larger = ResizeLatents(latents=first, vae=model, width=96, height=80, mode="bicubic", antialias=True)
    noise = Noise(unet=model, seed=8, width=96, height=80)
    second = DenoiseLatents(unet=model, **texts, noise=noise, latents=larger, steps=4, denoising_start=0.5)
    return nb.Graph.of(SaveImage(id="image", image=LatentsToImage(latents=second, vae=model)))


@pytest.fixture(scope="module")
def drawn(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images that the scripts of all cases saved, in a folder for each, made by one process without nbgraph."""
    scripts = {name: graph.to_diffusers([folder], device="cpu") for name, graph in cases(folder).items()}
    made = tmp_path_factory.mktemp("scripts")
    command = [sys.executable, "-I", "-W", "ignore", "-c", RUNNER]
    done = subprocess.run(command, input=json.dumps(scripts), cwd=made, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return made


def test_every_script_draws_the_image_of_its_graph(folder, studio, drawn):
    differences = {}
    for name, graph in cases(folder).items():
        ours = np.asarray(studio.run(graph, progress=False)["image"].image, int)
        theirs = np.asarray(PillowImage.open(drawn / name / "image.png"), int)
        assert ours.std() > 3, f"{name} is flat"
        differences[name] = int(np.abs(ours - theirs).max())
    assert differences == dict.fromkeys(differences, 0)


def test_a_script_is_python_that_names_what_it_needs_and_not_nbgraph(folder):
    script = nb.Graph.of(drawing(folder, "sd15", photo=True)).to_diffusers([folder], device="cpu")
    compile(script, "script", "exec")
    assert "import nbgraph" not in script
    assert "StableDiffusionImg2ImgPipeline.from_pipe" in script
    assert 'DEVICE, DTYPE = "cpu", torch.float32' in script


def refused(image, folder: Path) -> list[tuple[str, str]]:
    with pytest.raises(GraphError) as caught:
        nb.Graph.of(image).to_diffusers([folder], device="cpu")
    assert all(problem.kind == "not_in_diffusers" for problem in caught.value.problems)
    return [(problem.node, problem.field) for problem in caught.value.problems]


def test_what_has_no_counterpart_is_refused_by_node_and_field(folder):
    image = drawing(folder, "sd15")
    denoise = image.latents.node
    assert refused(drawing(folder, "sd15", denoising_end=0.5), folder) == [("denoise", "denoising_end")]
    assert refused(drawing(folder, "sd15", scheduler="dpmpp_sde"), folder) == [("denoise", "scheduler")]
    assert refused(drawing(folder, "sd15", photo=True, scheduler="lms"), folder) == [("denoise", "scheduler")]
    assert refused(LatentsToImage(id="image", latents=denoise, vae=denoise.unet.node, tiled=True), folder) == [
        ("image", "tiled")
    ]
    assert refused(BlurImage(id="blur", image=image), folder) == [("blur", "type")]
    assert refused(apple(seed=None), folder) == [("noise", "seed")]


def test_a_crop_of_the_negative_prompt_over_an_image_is_refused(folder):
    image = drawing(folder, "sdxl", photo=True)
    image.latents.node.negative = SdxlPrompt(text="a", clip=image.vae.node, crop_top=8)
    assert refused(image, folder) == [("denoise", "negative")]


def test_all_refusals_come_at_once(folder):
    skip = ClipSkip(id="skip", clip=ModelLoader(id="other", model="sd15"), skipped_layers=1)
    image = drawing(folder, "sd15", denoising_end=0.5)
    image.latents.node.positive = Prompt(id="text", text="a", clip=skip)
    assert ("skip", "type") in refused(image, folder)
    image = drawing(folder, "sd15", photo=True, control=True, denoising_end=0.5)
    image.latents.node.control.node.end_step_percent = 0.5
    assert set(refused(image, folder)) == {("denoise", "control"), ("denoise", "denoising_end")}


def test_a_text_encoder_with_other_loras_than_the_denoiser_is_refused(folder):
    image = drawing(folder, "sd15", lora=True)
    image.latents.node.negative = Prompt(text="a", clip=ModelLoader(model="sd15"))
    assert refused(image, folder) == [("denoise", "negative")]
