"""Quantised weights: on load, from folders, and refused before a step where a package or a device is missing."""

import importlib.util
import json
import shutil
import threading
from pathlib import Path
from typing import Any

import accelerate
import pytest
import torch

import nbgraph as nb
from nbgraph.diffusion import quantised
from nbgraph.diffusion.denoising import DenoiseSettings
from nbgraph.diffusion.description import check_weights
from nbgraph.diffusion.load import load_component
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.one_thread import empty_weights_of_this_thread
from nbgraph.diffusion.refs import LoraPatch, ModelPart, ModelRef
from nbgraph.errors import GraphError, ModelError
from nbgraph.invocations import LoraLoader, ModelLoader, Noise, TransformerLoader
from tests.diffusion.drawing import AVOID, SEED, SIDE, TEXT, sample
from tests.tiny_models import build_lora
from tests.tiny_models.single_files import write_single_file

HAS_INT8 = any(importlib.util.find_spec(name) for name in ("torchao", "optimum"))
SETTINGS = DenoiseSettings(steps=3, cfg=4.0)


def at(ref: ModelRef, precision: str) -> ModelRef:
    return ref.model_copy(update={"precision": precision})


def test_modules_without_weights_are_those_of_the_loading_thread_alone():
    made: list[torch.nn.Linear] = []
    with empty_weights_of_this_thread(), accelerate.init_empty_weights():
        other = threading.Thread(target=lambda: made.append(torch.nn.Linear(2, 2)))
        other.start()
        other.join()
        assert torch.nn.Linear(2, 2).weight.is_meta
    assert not made[0].weight.is_meta
    assert not torch.nn.Linear(2, 2).weight.is_meta


def test_layers_that_a_class_keeps_in_float32_stay_so(tiny, monkeypatch):
    description = nb.diffusion.describe_model(tiny["sd3"])
    monkeypatch.setattr(description.classes["transformer"], "_keep_in_fp32_modules", ["proj_out"])
    loaded: Any = load_component(description, "transformer", torch.bfloat16)
    kinds = {name: tensor.dtype for name, tensor in loaded.named_parameters()}
    assert kinds.pop("proj_out.weight") == torch.float32
    assert {kind for name, kind in kinds.items() if "proj_out" not in name} == {torch.bfloat16}


@pytest.mark.parametrize("name", ["sd15", "flux"])
def test_fp8_draws_what_layerwise_casting_of_diffusers_draws(tiny, name):
    cache, ref = ModelCache(device="cpu"), at(tiny[name], "fp8")
    pipeline = tiny.pipeline(name)
    denoiser = pipeline.unet if name == "sd15" else pipeline.transformer
    denoiser.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.float32)
    scale = {"guidance_scale": 4.0} if name == "sd15" else {"true_cfg_scale": 4.0}
    found = pipeline(TEXT, negative_prompt=AVOID, num_inference_steps=3, height=SIDE, width=SIDE, output_type="latent",
                     generator=torch.Generator().manual_seed(SEED), **scale).images  # fmt: skip
    expected = pipeline._unpack_latents(found, SIDE, SIDE, 2) if name == "flux" else found
    assert (sample(cache, ref, SETTINGS).tensor - expected).abs().max() == 0
    assert not torch.equal(sample(cache, tiny[name], SETTINGS).tensor, expected)
    sizes = {row.component: row.bytes for row in cache.loaded() if row.component in ("unet", "transformer")}
    assert len(sizes) == 1
    with cache.use(ref, "denoiser") as small:
        (module,) = small.modules.values()
        assert torch.float8_e4m3fn in {tensor.dtype for tensor in module.parameters()}


def test_a_single_file_is_quantised_as_its_folder_is(tiny, tmp_path):
    file = write_single_file(tmp_path / "a.safetensors", Path(tiny["sd15"].path))
    single = ModelRef.from_path(str(file), parts=(ModelPart.from_path("rest", tiny["sd15"].path),))
    cache = ModelCache(device="cpu")
    expected = sample(cache, at(tiny["sd15"], "fp8"), SETTINGS).tensor
    assert torch.equal(sample(cache, at(single, "fp8"), SETTINGS).tensor, expected)


def test_a_lora_over_fp8_is_refused_before_a_step(studio, tiny, tmp_path):
    file = build_lora(tmp_path / "lora.safetensors", Path(tiny["sd15"].path))
    model = ModelLoader(model=tiny["sd15"].path, precision="fp8")
    lora = LoraLoader(id="lora", lora=file, unet=model, clip=model)
    with pytest.raises(GraphError, match="lora.unet: a LoRA cannot be applied to weights in fp8; leave precision="):
        studio.run(Noise(unet=lora, seed=1, width=64, height=64), progress=False)
    ref = at(tiny["sd15"], "fp8").with_patch(LoraPatch.from_file(str(file)))
    with pytest.raises(ModelError, match="cannot be applied to weights in fp8"):
        sample(ModelCache(device="cpu"), ref, SETTINGS)


@pytest.mark.skipif(quantised.int8_backend() != "torchao", reason="needs torchao")
def test_a_lora_over_int8_counts_and_leaves_the_shared_weights(tiny, tmp_path):
    cache, lora = ModelCache(device="cpu"), build_lora(tmp_path / "lora.safetensors", Path(tiny["sd15"].path))
    ref = at(tiny["sd15"], "int8")
    plain = sample(cache, ref, SETTINGS).tensor
    with_lora = sample(cache, ref.with_patch(LoraPatch.from_file(str(lora), weight=2.0)), SETTINGS).tensor
    assert (with_lora - plain).abs().max() > 1e-3
    assert torch.equal(sample(cache, ref, SETTINGS).tensor, plain)


@pytest.mark.skipif(not HAS_INT8, reason="needs torchao or optimum-quanto")
def test_int8_weights_are_a_quarter_and_draw_nearly_the_same(tiny):
    cache = ModelCache(device="cpu")
    plain = sample(cache, tiny["sd15"], SETTINGS).tensor
    small = sample(cache, at(tiny["sd15"], "int8"), SETTINGS).tensor
    assert 0 < (small - plain).abs().max() < 0.3


@pytest.mark.parametrize(
    ("precision", "words"),
    [("nf4", "needs a CUDA device, and models run on cpu; use 'fp8' or 'int8'"), ("int8", "pip install torchao")],
)
def test_a_precision_that_is_not_possible_here_is_refused_before_a_step(tiny, monkeypatch, precision, words):
    monkeypatch.setattr(quantised, "_lacking_package", lambda method: method)
    model = ModelLoader(id="model", model=tiny["sd15"].path, precision=precision)
    with (
        nb.Studio(settings=nb.Settings(device="cpu")) as studio,
        pytest.raises(GraphError, match=f"model.precision: .*{words}"),
    ):
        studio.run(Noise(unet=model, seed=1, width=64, height=64), progress=False)


def test_nf4_needs_its_package_on_a_device_that_can(monkeypatch):
    monkeypatch.setattr(quantised, "_lacking_package", lambda method: method)
    with pytest.raises(ModelError, match="pip install bitsandbytes"):
        quantised.check_precision("nf4", "cuda")
    with pytest.raises(ModelError, match="mps has none; use 'int8'"):
        quantised.check_precision("fp8", "mps")
    with pytest.raises(ModelError, match="'q4' is no precision"):
        quantised.check_precision("q4", "cpu")


def test_a_single_file_is_refused_for_nf4_before_a_step(studio, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(quantised, "check_precision", lambda precision, device: None)
    file = write_single_file(tmp_path / "a.safetensors", Path(tiny["sd15"].path))
    for loader in (ModelLoader, TransformerLoader):
        node = loader(id="model", model=str(file), parts=tiny["sd15"].path, precision="nf4")
        with pytest.raises(GraphError, match="model.precision: precision 'nf4' is for folders, and .* is a file; use"):
            studio.run(Noise(unet=node, seed=1, width=64, height=64), progress=False)


def test_weights_that_are_quantised_already_are_not_quantised_again(studio, tiny, tmp_path):
    folder = Path(shutil.copytree(tiny["sd15"].path, tmp_path / "model"))
    file = folder / "unet" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"quantization_config": {"quant_method": "torchao"}}))
    node = ModelLoader(id="model", model=str(folder), precision="fp8")
    with pytest.raises(GraphError, match="model.precision: .* is quantised already, by torchao; leave precision= out"):
        studio.run(Noise(unet=node, seed=1, width=64, height=64), progress=False)


def test_the_key_of_results_has_the_precision(tiny):
    with nb.Studio(settings=nb.Settings(device="cpu")) as studio:
        manager = studio.services.model_manager
        plain, small = (manager.resolve(tiny["sd15"].path, None, each) for each in (None, "fp8"))
        assert "precision" not in manager.content(plain)
        assert manager.content(small)["precision"] == "fp8"


@pytest.mark.parametrize(
    ("method", "installed", "words"),
    [
        ("bitsandbytes_4bit", False, "package bitsandbytes, and that is not installed: pip install bitsandbytes"),
        ("bitsandbytes", True, "needs a CUDA device, and this machine has none"),
        ("torchao", False, "pip install torchao"),
        ("quanto", False, "pip install optimum-quanto"),
        ("modelopt", False, "pip install nvidia-modelopt"),
        ("gptq", True, "quantised by gptq, which is not read here"),
    ],
)
def test_a_quantised_folder_names_what_is_missing(tiny, tmp_path, monkeypatch, method, installed, words):
    folder = Path(shutil.copytree(tiny["sd15"].path, tmp_path / "model"))
    file = folder / "unet" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"quantization_config": {"quant_method": method}}))
    packages = dict(quantised._PACKAGES.values())
    monkeypatch.setattr(
        quantised.importlib.util, "find_spec", lambda name: object() if installed or name not in packages else None
    )
    with pytest.raises(ModelError, match=words):
        check_weights(ModelRef.from_path(str(folder)))


@pytest.mark.skipif(not HAS_INT8, reason="needs torchao or optimum-quanto")
@pytest.mark.parametrize("kind", ["torchao", "quanto"])
def test_a_folder_with_quantised_weights_draws(tiny, tmp_path, kind):
    module = quantised._PACKAGES[kind][0]
    try:
        has = importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        has = False
    if not has:
        pytest.skip(f"needs {kind}")
    from diffusers import QuantoConfig, TorchAoConfig, UNet2DConditionModel

    folder = Path(shutil.copytree(tiny["sd15"].path, tmp_path / "model"))
    if kind == "torchao":
        from torchao.quantization import Int8WeightOnlyConfig

        config: Any = TorchAoConfig(Int8WeightOnlyConfig())
    else:
        config = QuantoConfig(weights_dtype="int8")
    unet: Any = UNet2DConditionModel.from_pretrained(folder / "unet", quantization_config=config)
    shutil.rmtree(folder / "unet")
    unet.save_pretrained(folder / "unet")
    ref, cache = ModelRef.from_path(str(folder)), ModelCache(device="cpu")
    check_weights(ref)
    plain = sample(cache, tiny["sd15"], SETTINGS).tensor
    assert 0 < (sample(cache, ref, SETTINGS).tensor - plain).abs().max() < 0.3


def test_a_transformer_alone_may_be_quantised_and_streamed(tiny):
    node = TransformerLoader(id="unet", model=tiny["sd15"].path, precision="fp8", offload="streaming")
    with nb.Studio(settings=nb.Settings(device="cpu")) as studio:
        model = studio.run(node, progress=False)[node].unet.model
        assert (model.precision, model.offload) == ("fp8", "streaming")
        plain = sample(ModelCache(device="cpu"), at(tiny["sd15"], "fp8"), SETTINGS).tensor
        assert torch.equal(sample(ModelCache(device="cpu"), model, SETTINGS).tensor, plain)
        node.precision = "nf4"
        with pytest.raises(GraphError, match=r"unet.precision: .*needs a CUDA device"):
            studio.run(node, progress=False)
