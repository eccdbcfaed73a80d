"""Models for inpainting and Flux Fill: what diffusers' pipelines for them draw, and refusals before a step is done."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    FluxFillPipeline,
    FluxTransformer2DModel,
    StableDiffusionInpaintPipeline,
    StableDiffusionXLInpaintPipeline,
    UNet2DConditionModel,
)
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from PIL import Image, ImageDraw

import nbgraph as nb
from nbgraph.diffusion.description import describe_model
from nbgraph.errors import GraphError, ModelError
from nbgraph.invocations import (
    ControlNet,
    CreateDenoiseMask,
    DenoiseLatents,
    ImageToLatents,
    LoadImage,
    LoraLoader,
    ModelLoader,
    Noise,
    Prompt,
    ToolSampler,
)
from nbgraph.invocations.fields import ImageField
from tests.diffusion.models import TinyModels
from tests.tiny_models import build_controlnet, build_lora

SIDE, STEPS, SEED, CFG, GUIDANCE = 64, 4, 7, 4.0, 30.0
PIPELINES: dict[str, Any] = {
    "sd15": StableDiffusionInpaintPipeline,
    "sdxl": StableDiffusionXLInpaintPipeline,
    "flux": FluxFillPipeline,
}


@pytest.fixture(scope="module")
def folders(tiny: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The tiny models with denoisers of more channels."""
    found = {}
    for name, pipeline in PIPELINES.items():
        folder = Path(shutil.copytree(tiny[name].path, tmp_path_factory.mktemp("inpainting") / name))
        index = json.loads((folder / "model_index.json").read_text())
        (folder / "model_index.json").write_text(json.dumps({**index, "_class_name": pipeline.__name__}))
        part, kind, change = ("unet", UNet2DConditionModel, {"in_channels": 9})
        if name == "flux":  # 64 of the latents, as many of the masked picture, 2x2 pixels of 2x2 latents of the mask
            part, kind, change = ("transformer", FluxTransformer2DModel, {"in_channels": 144, "out_channels": 64})
        torch.manual_seed(0)
        config = json.loads((folder / part / "config.json").read_text())
        model: Any = kind.from_config({**config, **change})
        model.save_pretrained(folder / part)
        found[name] = folder
    return found


@pytest.fixture(autouse=True)
def _means(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes encode pictures as the mean of what the autoencoder gives; here the pipelines do too."""
    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode())


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pictures")
    picture, mask = Image.linear_gradient("L").resize((SIDE, SIDE)).convert("RGB"), Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(picture).ellipse((10, 20, 50, 60), fill=(220, 40, 90))
    ImageDraw.Draw(mask).rectangle((17, 9, 46, 38), fill=255)
    picture.save(folder / "picture.png")
    mask.save(folder / "mask.png")
    return {name: folder / f"{name}.png" for name in ("picture", "mask")}


@pytest.fixture
def uncached() -> Iterator[nb.Studio]:
    with nb.Studio(settings=nb.Settings(device="cpu", cache_entries=0)) as studio:
        yield studio


def denoise(folder: Path, pictures: dict[str, Path], **more: Any) -> DenoiseLatents:
    model, picture = ModelLoader(model=str(folder)), LoadImage(path=pictures["picture"])
    mask = CreateDenoiseMask(mask=LoadImage(path=pictures["mask"]), image=picture, vae=model)
    inputs: dict[str, Any] = {
        "unet": model, "positive": Prompt(text="a red cat", clip=model), "negative": Prompt(text="a dog", clip=model),
        "noise": Noise(unet=model, seed=SEED, width=SIDE, height=SIDE), "denoise_mask": mask, "steps": STEPS,
        "cfg_scale": CFG,
    }  # fmt: skip
    if "flux" in folder.name:
        inputs |= {"cfg_scale": 1.0, "negative": None, "guidance": GUIDANCE}
    return DenoiseLatents(id="denoise", **inputs | more)


def tensor(studio: nb.Studio, node: DenoiseLatents) -> torch.Tensor:
    return studio.run(node, progress=False)[node].latents.tensor()


def plain(name: str, folder: Path, pictures: dict[str, Path], strength: float) -> torch.Tensor:
    pipeline = PIPELINES[name].from_pretrained(folder, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    scale = {"guidance_scale": GUIDANCE} if name == "flux" else {"guidance_scale": CFG, "negative_prompt": "a dog"}
    found = pipeline(
        "a red cat", image=Image.open(pictures["picture"]), mask_image=Image.open(pictures["mask"]), height=SIDE,
        width=SIDE, num_inference_steps=STEPS, strength=strength, output_type="latent",
        generator=torch.Generator().manual_seed(SEED), **scale,
    ).images  # fmt: skip
    return pipeline._unpack_latents(found, SIDE, SIDE, pipeline.vae_scale_factor) if name == "flux" else found


@pytest.mark.parametrize("strength", [1.0, 0.5])
@pytest.mark.parametrize("name", PIPELINES)
def test_nodes_give_exactly_what_the_pipeline_gives(uncached, folders, pictures, name, strength):
    more = {}
    if strength < 1:
        model = ModelLoader(model=str(folders[name]))
        begun = ImageToLatents(image=LoadImage(path=pictures["picture"]), vae=model)
        more = {"latents": begun, "denoising_start": 1 - strength}
    found = tensor(uncached, denoise(folders[name], pictures, **more))
    expected = plain(name, folders[name], pictures, strength)
    assert (found - expected).abs().max() == 0


def test_pieces_batches_loras_and_controlnets_work_with_it(uncached, folders, pictures, tiny, tmp_path):
    folder = folders["sd15"]
    whole = tensor(uncached, denoise(folder, pictures))
    half = denoise(folder, pictures, denoising_end=0.5)
    rest = denoise(folder, pictures, denoising_start=0.5, latents=half, noise=None)
    rest.id, half.id = "rest", "half"
    assert torch.equal(tensor(uncached, rest), whole)
    model = ModelLoader(model=str(folder))
    lora = build_lora(tmp_path / "lora.safetensors", folder)
    laid = LoraLoader(lora=lora, weight=4.0, unet=model, clip=model)
    assert not torch.equal(tensor(uncached, denoise(folder, pictures, unet=laid)), whole)
    net = build_controlnet(tmp_path / "net", Path(tiny["sd15"].path))
    control = ControlNet(image=LoadImage(path=pictures["picture"]), control_model=str(net))
    assert tensor(uncached, denoise(folder, pictures, control=control)).isfinite().all()
    assert torch.equal(tensor(uncached, denoise(folder, pictures)), whole)


def test_without_guidance_the_latents_come_once(uncached, folders, pictures):
    assert tensor(uncached, denoise(folders["sd15"], pictures, cfg_scale=1.0, negative=None)).isfinite().all()


def test_a_mask_and_its_image_are_needed_before_a_step_runs(studio, folders, pictures, tiny, tmp_path):
    record = studio.services.images.save(Image.open(pictures["mask"]))
    mask = CreateDenoiseMask(id="mask", mask=ImageField(image_name=record.image_name))
    for folder in folders.values():
        node = denoise(folder, pictures, denoise_mask=None)
        with pytest.raises(GraphError, match=r"denoise.denoise_mask: .*one for inpainting.*link CreateDenoiseMask"):
            studio.run(node, progress=False)
    with pytest.raises(GraphError, match="denoise.denoise_mask: has no image, which a model for inpainting needs"):
        studio.run(denoise(folders["sd15"], pictures, denoise_mask=mask), progress=False)
    mask.image = mask.mask
    with pytest.raises(GraphError, match="mask.vae: is left out, and image is given"):
        studio.run(denoise(folders["sd15"], pictures, denoise_mask=mask), progress=False)
    mask.vae = ModelLoader(model=str(folders["sd15"]))
    with pytest.raises(GraphError, match="denoise.denoise_mask: needs latents, which it keeps"):
        studio.run(denoise(Path(tiny["sd15"].path), pictures, denoise_mask=mask), progress=False)


def test_an_image_of_another_size_names_both(studio, folders, pictures):
    model = ModelLoader(model=str(folders["sd15"]))
    node = denoise(folders["sd15"], pictures, noise=Noise(unet=model, seed=1, width=32, height=32))
    with pytest.raises(nb.NbgraphError, match="image of the mask is 64x64, and the noise or latents are for 32x32"):
        studio.run(node, progress=False)


def test_samplers_of_other_tools_name_the_node_that_paints_in_a_mask(studio, folders, pictures):
    model = ModelLoader(model=str(folders["sd15"]))
    node = ToolSampler(unet=model, positive=Prompt(text="a", clip=model), width=64, height=64, steps=1, cfg_scale=1)
    with pytest.raises(nb.NbgraphError, match="is a model for inpainting; use DenoiseLatents with a mask"):
        studio.run(node, progress=False)


def test_a_plain_model_ignores_the_image_of_a_mask(uncached, tiny, pictures):
    folder = Path(tiny["sd15"].path)
    begun = ImageToLatents(image=LoadImage(path=pictures["picture"]), vae=ModelLoader(model=str(folder)))
    with_image = denoise(folder, pictures, latents=begun)
    mask = CreateDenoiseMask(mask=LoadImage(path=pictures["mask"]))
    without = denoise(folder, pictures, latents=begun, denoise_mask=mask)
    assert torch.equal(tensor(uncached, with_image), tensor(uncached, without))


def test_the_mask_counts_where_it_is_white(uncached, folders, pictures, tmp_path):
    black, folder = tmp_path / "black.png", folders["sd15"]
    Image.new("L", (SIDE, SIDE)).save(black)
    assert not torch.equal(
        tensor(uncached, denoise(folder, pictures)), tensor(uncached, denoise(folder, {**pictures, "mask": black}))
    )


@pytest.mark.parametrize("channels", [6, 12])
def test_channels_that_nothing_is_known_of_are_refused(tiny, tmp_path, channels):
    folder = Path(shutil.copytree(tiny["sd15"].path, tmp_path / "model"))
    file = folder / "unet" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "in_channels": channels}))
    with pytest.raises(ModelError, match=f"takes {channels} channels, and its latents have 4"):
        describe_model(folder)
