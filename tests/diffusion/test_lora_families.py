"""LoRAs of every family that takes one, from their node to the picture: what the pipeline draws with them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from nbgraph.invocations import LatentsToImage, LoraLoader, ModelLoader, Prompt
from tests.diffusion.cells import SIDE, STEPS, Cell, Cells, tensor
from tests.diffusion.drawing import AVOID, TEXT, pixels
from tests.diffusion.models import TinyModels
from tests.diffusion.table import able
from tests.diffusion.test_split_equals_plain import plain
from tests.tiny_models import build_lora

WEIGHTS = (8.0, -3.0)


@pytest.mark.parametrize("name", able("lora"))
def test_loras_draw_what_they_draw_in_the_pipeline(name: str, cells: Cells, tiny: TinyModels, tmp_path: Path) -> None:
    files = [build_lora(tmp_path / f"{name}-{seed}.safetensors", cells.folder(name), seed) for seed in (0, 1)]
    pipeline = tiny.pipeline(name)
    for number, file in enumerate(files):
        pipeline.load_lora_weights(str(file), adapter_name=f"lora_{number}")
    pipeline.set_adapters(["lora_0", "lora_1"], list(WEIGHTS))
    denoiser = getattr(pipeline, "unet", None) or pipeline.transformer
    denoiser.requires_grad_(False)  # torch folds products of weights that need gradients otherwise: 1e-6 in Sana
    expected = torch.as_tensor(plain(pipeline, name, "latent", SIDE, STEPS))

    laid = model = ModelLoader(model=tiny[name].path)
    for file, weight in zip(files, WEIGHTS):
        laid = LoraLoader(lora=file, weight=weight, unet=laid, clip=laid)
    texts = {"positive": Prompt(text=TEXT, clip=laid), "negative": Prompt(text=AVOID, clip=laid)}
    node = cells.node(Cell(name, "text_to_image"), unet=laid, **texts)
    run = cells.run(LatentsToImage(latents=node, vae=model))
    found = tensor(run, "whole")

    if expected.ndim == 3:
        expected = pipeline._unpack_latents(expected, SIDE, SIDE, pipeline.vae_scale_factor)
    assert (found - expected.reshape(found.shape)).abs().max() == 0
    picture = plain(pipeline, name, "pil", SIDE, STEPS)[0]
    assert np.abs(pixels(run.images[0]) - pixels(picture)).max() == 0
    assert (found - cells.whole(Cell(name, "text_to_image"))).abs().max() > 1e-4
