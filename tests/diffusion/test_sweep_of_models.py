"""Axes of a sweep that are models, LoRA weights and schedulers, of models of two families."""

import nbgraph as nb
from nbgraph.invocations import DenoiseLatents, LatentsToImage, LoraLoader, ModelLoader, Noise, Prompt
from tests.diffusion.models import TinyModels
from tests.tiny_models.loras import build_lora


def test_models_of_two_families_and_schedulers_are_axes_and_a_cell_that_cannot_run_says_why(tiny: TinyModels):
    models = [tiny["sd15"].path, tiny["flux"].path]
    image = nb.text_to_image("a red apple", model=models[0], seed=1, steps=1, width=16, height=16)
    with nb.Studio(settings=nb.Settings(device="cpu")) as studio:
        axes = {"model.model": models, "denoise.scheduler": ["euler", "unipc"]}
        grid = studio.sweep(image, axes, metrics=["contrast"], progress=False)
    frame = grid.frame
    assert list(frame["model.model"]) == [models[0]] * 2 + [models[1]] * 2
    # each cell has an image, or says why it has none; the others are unharmed
    assert list(frame.status[:2]) == ["completed"] * 2
    for status, error, contrast in zip(frame.status, frame.error, frame.contrast.isna()):
        assert (status == "completed") == (error == "") == (not contrast)


def test_weights_of_a_lora_are_an_axis_and_the_cells_of_one_weight_share_a_call(tiny: TinyModels, tmp_path):
    model = tiny["sd15"].path
    lora = build_lora(tmp_path / "ink.safetensors", model)
    loader = ModelLoader(id="model", model=model)
    patched = LoraLoader(id="lora", lora=lora, unet=loader, clip=loader)
    texts = [Prompt(id=name, text=name, clip=patched) for name in ("prompt", "negative")]
    noise = Noise(id="noise", unet=patched, seed=1, width=16, height=16)
    denoise = DenoiseLatents(
        id="denoise", unet=patched, positive=texts[0], negative=texts[1], noise=noise, steps=1, cfg_scale=2
    )
    image = LatentsToImage(id="image", latents=denoise, vae=loader)
    with nb.Studio(settings=nb.Settings(device="cpu")) as studio:
        grid = studio.sweep(image, {"lora.weight": [0.0, 1.0], "noise.seed": [1, 2]}, progress=False)
        batches = [run.stats.set_index("node").batch["denoise"] for run in grid.runs]
    assert list(grid.frame.status) == ["completed"] * 4
    assert batches == [2, 2, 2, 2]
    assert grid.images[0] != grid.images[2]
