"""Control LoRAs of Flux: what diffusers' FluxControlPipeline draws with them, by separate steps."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FluxControlPipeline
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from PIL import Image
from safetensors.torch import load_file, save_file

from nbgraph.diffusion.denoising import DenoiseSettings
from nbgraph.diffusion.inpainting import ControlImage
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.refs import ControlLoraPatch, LoraPatch, ModelRef
from nbgraph.errors import GraphError, ModelError, NodeError
from nbgraph.invocations import Collect, ControlLora, DenoiseLatents, LoraLoader, ModelLoader, Noise, Prompt
from nbgraph.invocations.fields import ImageField
from tests.diffusion.drawing import SEED, SIDE, TEXT, sample
from tests.diffusion.models import TinyModels
from tests.tiny_models import build_lora
from tests.tiny_models.loras import build_control_lora

PICTURE = Image.linear_gradient("L").resize((SIDE, SIDE)).convert("RGB")
SETTINGS = DenoiseSettings(steps=4, cfg=1.0, guidance=10.0)


@pytest.fixture(autouse=True)
def _means(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control images are encoded as the mean of what the autoencoder gives; here the pipeline does that too."""
    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode())


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, tiny: TinyModels) -> Path:
    """A control LoRA for the tiny Flux."""
    return build_control_lora(tmp_path_factory.mktemp("control") / "depth.safetensors", Path(tiny["flux"].path))


def draw(cache: ModelCache, ref: ModelRef, settings: DenoiseSettings = SETTINGS, **given: Any) -> torch.Tensor:
    return sample(cache, ref, settings, control_image=ControlImage(PICTURE), **given).tensor


def plain(tiny: TinyModels, file: Path, weight: float, lora: Path | None = None) -> torch.Tensor:
    pipeline: Any = FluxControlPipeline.from_pipe(tiny.pipeline("flux"))
    pipeline.set_progress_bar_config(disable=True)
    pipeline.load_lora_weights(str(file.parent), weight_name=file.name, adapter_name="control", local_files_only=True)
    names, weights = ["control"], [weight]
    if lora is not None:
        pipeline.load_lora_weights(str(lora.parent), weight_name=lora.name, adapter_name="other", local_files_only=True)
        names, weights = [*names, "other"], [*weights, 0.5]
    pipeline.set_adapters(names, adapter_weights=weights)
    # with gradients other kernels round otherwise
    pipeline.transformer.requires_grad_(False)
    latents = pipeline(
        TEXT, control_image=PICTURE, height=SIDE, width=SIDE, num_inference_steps=4, guidance_scale=10.0,
        generator=torch.Generator().manual_seed(SEED), output_type="latent",
    ).images  # fmt: skip
    return pipeline._unpack_latents(latents, SIDE, SIDE, pipeline.vae_scale_factor)


def test_a_control_lora_does_what_diffusers_does_with_it_and_leaves_the_model_alone(
    tiny: TinyModels, shared_cache: ModelCache, file: Path
) -> None:
    before = sample(shared_cache, tiny["flux"], SETTINGS).tensor
    found = draw(shared_cache, tiny["flux"].with_patch(ControlLoraPatch.from_file(str(file), weight=0.8)))
    assert (found - plain(tiny, file, 0.8)).abs().max() == 0
    assert (found - before).abs().max() > 1e-2
    assert torch.equal(sample(shared_cache, tiny["flux"], SETTINGS).tensor, before)
    with shared_cache.use(tiny["flux"], "denoiser") as components:
        assert components["transformer"].config.in_channels == 64
        assert not hasattr(components["transformer"], "peft_config")


def test_a_control_lora_and_a_lora_go_together(
    tiny: TinyModels, shared_cache: ModelCache, file: Path, tmp_path: Path
) -> None:
    lora = build_lora(tmp_path / "lora.safetensors", Path(tiny["flux"].path))
    both = (
        tiny["flux"]
        .with_patch(LoraPatch.from_file(str(lora), weight=0.5))
        .with_patch(ControlLoraPatch.from_file(str(file)))
    )
    assert (draw(shared_cache, both) - plain(tiny, file, 1.0, lora)).abs().max() == 0


def test_two_pieces_are_the_whole(tiny: TinyModels, shared_cache: ModelCache, file: Path) -> None:
    ref, image = tiny["flux"].with_patch(ControlLoraPatch.from_file(str(file))), ControlImage(PICTURE)
    first = sample(shared_cache, ref, DenoiseSettings(steps=4, cfg=1.0, guidance=10.0, end=2), control_image=image)
    rest = draw(shared_cache, ref, DenoiseSettings(steps=4, cfg=1.0, guidance=10.0, start=2), latents=first)
    assert torch.equal(rest, draw(shared_cache, ref))


def test_a_control_lora_without_its_image_and_two_of_them_are_refused(
    tiny: TinyModels, shared_cache: ModelCache, file: Path
) -> None:
    patch = ControlLoraPatch.from_file(str(file))
    with pytest.raises(ModelError, match="there are 0 control images for 1 control LoRAs"):
        sample(shared_cache, tiny["flux"].with_patch(patch), SETTINGS)
    with pytest.raises(ModelError, match="there are 1 control images for 0 control LoRAs"):
        draw(shared_cache, tiny["flux"])
    with pytest.raises(ModelError, match="one control image beside the latents, and there are 2 control LoRAs"):
        draw(shared_cache, tiny["flux"].with_patch(patch).with_patch(patch))
    with pytest.raises(ModelError, match="work with models of FLUX.1 .*, and this model is of 'stable-diffusion'"):
        draw(shared_cache, tiny["sd15"].with_patch(patch))


CHANGED = {
    "a layer of a larger model": ({"transformer.transformer_blocks.9.attn.to_q": (32, 32)}, "such as"),
    "another width": ({"transformer.transformer_blocks.0.attn.to_k": (99, 32)}, "was trained for another model"),
    "a norm of a larger model": ({"transformer.transformer_blocks.9.attn.norm_q.weight": 16}, "has norms for modules"),
}


@pytest.mark.parametrize("kind", CHANGED)
def test_control_loras_that_are_not_wholly_used_are_refused(
    kind: str, tiny: TinyModels, shared_cache: ModelCache, file: Path, tmp_path: Path
) -> None:
    changes, message = CHANGED[kind]
    state = load_file(file)
    for name, shape in changes.items():
        if isinstance(shape, int):
            state[name] = torch.ones(shape)
        else:
            state |= {
                f"{name}.lora_A.weight": torch.ones(4, shape[1]),
                f"{name}.lora_B.weight": torch.ones(shape[0], 4),
            }
    save_file(state, tmp_path / "changed.safetensors")
    patch = ControlLoraPatch.from_file(str(tmp_path / "changed.safetensors"))
    with pytest.raises(ModelError, match=f"does not fit .*{message}"):
        draw(shared_cache, tiny["flux"].with_patch(patch))


def test_values_that_are_not_finite_are_refused(
    tiny: TinyModels, shared_cache: ModelCache, file: Path, tmp_path: Path
) -> None:
    state = load_file(file)
    state["transformer.x_embedder.lora_B.bias"][0] = torch.nan
    save_file(state, tmp_path / "broken.safetensors")
    with pytest.raises(ModelError, match="is damaged: 1 of its tensors, such as transformer.x_embedder.lora_B.bias"):
        draw(shared_cache, tiny["flux"].with_patch(ControlLoraPatch.from_file(str(tmp_path / "broken.safetensors"))))


def graph(model: ModelLoader, image: ImageField, *loras: Path, **more: Any) -> DenoiseLatents:
    controls = [ControlLora(image=image, lora=lora) for lora in loras]
    return DenoiseLatents(
        id="denoise", unet=model, positive=Prompt(text=TEXT, clip=model), steps=4, cfg_scale=1.0, guidance=10.0,
        noise=Noise(unet=model, seed=SEED, width=SIDE, height=SIDE), **more,
        control=controls[0] if len(controls) == 1 else Collect(item=controls),
    )  # fmt: skip


def test_nodes_draw_with_a_control_lora_and_name_what_is_none_before_a_node_runs(
    studio, tiny: TinyModels, shared_cache: ModelCache, file: Path, tmp_path: Path
) -> None:
    model = ModelLoader(model=tiny["flux"].path)
    image = ImageField(image_name=studio.services.images.save(PICTURE).image_name)
    run = studio.run(graph(model, image, file), progress=False)
    found = draw(shared_cache, tiny["flux"].with_patch(ControlLoraPatch.from_file(str(file))))
    assert torch.equal(run["denoise"].latents.tensor(), found)
    lora = build_lora(tmp_path / "lora.safetensors", Path(tiny["flux"].path))
    for node, text in (
        (graph(model, image, lora), "is no control LoRA of Flux: .* give a plain LoRA to a LoraLoader"),
        (graph(model, image, tmp_path / "none.safetensors"), "there is no file"),
        (LoraLoader(lora=file, unet=model, clip=model), "is a control LoRA of Flux, .* give both to a ControlLora"),
    ):
        with pytest.raises(GraphError, match=text):
            studio.run(node, progress=False)
    with pytest.raises(NodeError, match="there are 2 control LoRAs"):
        studio.run(graph(model, image, file, file), progress=False)
