"""Parts of models in files of their own: a transformer, text encoders, a VAE, a ControlNet."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, ControlNetModel
from PIL import Image
from safetensors.torch import save_file

import nbgraph as nb
from nbgraph.diffusion.assembly import controlnet_config
from nbgraph.diffusion.description import check_weights, describe_model
from nbgraph.diffusion.known_models import known_model
from nbgraph.diffusion.model_files import StoredTensor
from nbgraph.diffusion.refs import ModelPart, ModelRef
from nbgraph.errors import GraphError, ModelError
from nbgraph.invocations import (
    ControlNet,
    DenoiseLatents,
    LatentsToImage,
    ModelLoader,
    Noise,
    Prompt,
    TransformerLoader,
    VaeLoader,
)
from nbgraph.invocations import (
    Image as ImageNode,
)
from nbgraph.services.invocation_processor.node_context import NodeContext
from tests.tiny_models import build_controlnet
from tests.tiny_models.headers import full_size, only, write_header
from tests.tiny_models.single_files import original_vae, write_single_file


@pytest.fixture
def studio():
    with nb.Studio(settings=nb.Settings(device="cpu", cache_entries=0)) as studio:
        yield studio


def latents(model: Any, unet: Any = None, **given: Any) -> DenoiseLatents:
    return DenoiseLatents(
        unet=unet or model, noise=Noise(unet=model, seed=3, width=64, height=64), steps=2,
        positive=Prompt(text="a red cat", clip=model), negative=Prompt(text="", clip=model), **given,
    )  # fmt: skip


def draw(studio: nb.Studio, node: LatentsToImage) -> bytes:
    return studio.run(node, progress=False)[node].image.tobytes()


def test_a_vae_file_takes_its_scaling_from_the_model_it_is_used_with(studio, tiny, tmp_path):
    vae = AutoencoderKL.from_pretrained(tiny["sdxl"].path, subfolder="vae", local_files_only=True)
    state = {name: tensor.contiguous() for name, tensor in original_vae(vae, vae.state_dict()).items()}
    save_file(state, tmp_path / "vae.safetensors")
    model = ModelLoader(model=tiny["sdxl"].path)
    loader = VaeLoader(vae_model=str(tmp_path / "vae.safetensors"), like=model)
    found = draw(studio, LatentsToImage(vae=loader, latents=latents(model)))
    assert found == draw(studio, LatentsToImage(vae=model, latents=latents(model)))


def test_a_file_is_not_judged_before_the_model_it_is_used_with_is_known(studio, tmp_path):
    file = str(write_header(tmp_path / "vae.safetensors", only(full_size("sdxl"), "first_stage_model.")))
    context = NodeContext(studio.services, "session", lambda: False)
    loader = VaeLoader(vae_model=file)
    for unknown in ("like", "unet"):
        known = {"vae_model": file, "like": None, "unet": None}
        del known[unknown]
        assert not list(loader.check(known, context))
    assert len(list(loader.check({"vae_model": file, "like": None, "unet": None}, context))) == 1


def test_a_vae_file_without_a_model_to_take_its_scaling_from_is_refused(studio, tiny, tmp_path):
    write_header(tmp_path / "vae.safetensors", only(full_size("sdxl"), "first_stage_model."))
    model = ModelLoader(model=tiny["sdxl"].path)
    loader = VaeLoader(vae_model=str(tmp_path / "vae.safetensors"))
    with pytest.raises(GraphError, match=r"is a VAE \(4 latent channels\).*like=model.vae"):
        draw(studio, LatentsToImage(vae=loader, latents=latents(model)))


def test_a_controlnet_file_steers_as_its_folder_does(studio, tiny, tmp_path):
    folder = build_controlnet(tmp_path / "control", Path(tiny["sd15"].path))
    file = folder / "diffusion_pytorch_model.safetensors"
    model = ModelLoader(model=tiny["sd15"].path)
    image = studio.images.add(Image.new("RGB", (64, 64), "red"))
    pictures = []
    for given in ({"control_model": str(folder)}, {"control_model": str(file), "like": model}):
        control = ControlNet(image=ImageNode(image=image), **given)
        pictures.append(draw(studio, LatentsToImage(vae=model, latents=latents(model, control=control))))
    assert pictures[0] == pictures[1]


@pytest.mark.parametrize(
    ("blocks", "layers"),
    [((0, 0, 0), [0, 0, 0]), ((0, 0, 1), [0, 0, 1]), ((0, 2, 10), [0, 2, 10])],
)
def test_the_sizes_of_sdxl_controlnets_are_read_from_their_names(blocks, layers):
    names = {f"down_blocks.{block}.resnets.0.conv1.weight": (8, 8) for block in range(3)}
    for block, count in enumerate(blocks):
        for layer in range(count):
            names[f"down_blocks.{block}.attentions.0.transformer_blocks.{layer}.attn1.to_q.weight"] = (8, 8)
    tensors = {name: StoredTensor(shape, "F16") for name, shape in names.items()}
    config = controlnet_config(known_model("sdxl").configs["unet"], tensors)
    assert config["transformer_layers_per_block"] == layers
    with torch.device("meta"):
        assert ControlNetModel.from_config(config)


def test_a_transformer_file_draws_with_encoders_and_vae_of_another_model(studio, tiny, tmp_path):
    path = tiny["flux"].path
    file = write_single_file(
        tmp_path / "a.safetensors", Path(path), leave_out=("vae", "text_encoder", "text_encoder_2")
    )
    model, alone = ModelLoader(model=path), TransformerLoader(model=str(file), parts=path)
    found = draw(studio, LatentsToImage(vae=model, latents=latents(model, unet=alone)))
    assert found == draw(studio, LatentsToImage(vae=model, latents=latents(model)))


FLUX = full_size("flux-dev")
SD3 = full_size("sd3-medium")


def encoders(kind: str, *files: Path) -> ModelRef:
    more = [
        ModelPart(use=f"text encoder {n}", path=str(file), fingerprint=file.name) for n, file in enumerate(files[1:])
    ]
    parts = (ModelPart(use="configuration", path=kind, fingerprint=kind), *more)
    return ModelRef(path=str(files[0]), fingerprint=files[0].name, parts=parts)


@pytest.fixture
def encoder_files(tmp_path) -> dict[str, Path]:
    return {
        name: write_header(tmp_path / f"{name}.safetensors", only(tensors, f"text_encoders.{name}.transformer."))
        for name, tensors in {"clip_l": SD3, "clip_g": SD3, "t5xxl": SD3}.items()
    }


@pytest.mark.parametrize("order", [("clip_l", "t5xxl"), ("t5xxl", "clip_l")])
def test_text_encoders_find_their_places_by_their_headers(encoder_files, order):
    model = encoders("flux-dev", *(encoder_files[name] for name in order))
    described = describe_model(model)
    check_weights(model, "text")
    places = {name: described.sources[name].where.stem for name in ("text_encoder", "text_encoder_2")}
    assert places == {"text_encoder": "clip_l", "text_encoder_2": "t5xxl"}


def test_sd3_takes_its_text_encoders_with_and_without_t5(encoder_files):
    without = encoders("sd3-medium", encoder_files["clip_l"], encoder_files["clip_g"])
    assert "text_encoder_3" not in describe_model(without).classes
    check_weights(without, "text")


def test_a_text_encoder_that_is_lacking_or_strange_is_named(encoder_files):
    with pytest.raises(ModelError, match="holds no text_encoder_2"):
        check_weights(encoders("flux-dev", encoder_files["clip_l"]), "text")
    with pytest.raises(ModelError, match=r"CLIP-G\).*family 'flux' do not have"):
        describe_model(encoders("flux-dev", encoder_files["clip_g"]))
