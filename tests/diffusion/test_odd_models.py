"""Model folders that are legal but unusual draw; those that plain steps cannot draw with are refused by their kind."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import LCMScheduler, UNet2DConditionModel

from nbgraph.diffusion.description import describe_model
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.prompt import encode_prompt
from nbgraph.diffusion.refs import ModelRef
from nbgraph.errors import ModelError
from tests.diffusion.models import TinyModels

Copied = Callable[..., Path]


@pytest.fixture
def copied(tiny: TinyModels, tmp_path: Path) -> Copied:
    """Makes a copy of a tiny model, with other rows in its index, and without some of its folders."""

    def copy(key: str, without: tuple[str, ...] = (), **index: Any) -> Path:
        folder = Path(shutil.copytree(tiny[key].path, tmp_path / "model"))
        file = folder / "model_index.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | index))
        for name in without:
            shutil.rmtree(folder / name)
        return folder

    return copy


def encode(folder: Path) -> dict[str, torch.Tensor]:
    ref = ModelRef.from_path(str(folder))
    with ModelCache(device="cpu").use(ref, "text") as components:
        return encode_prompt(components, "a red apple").tensors


def test_sd3_without_t5_encodes_as_its_plain_pipeline_does(tiny: TinyModels, copied: Copied) -> None:
    nothing = [None, None]
    folder = copied("sd3", ("text_encoder_3", "tokenizer_3"), text_encoder_3=nothing, tokenizer_3=nothing)
    pipeline = tiny.pipeline("sd3")
    pipeline.text_encoder_3 = pipeline.tokenizer_3 = None
    expected, _, pooled, _ = pipeline.encode_prompt("a red apple", None, None, do_classifier_free_guidance=False)
    found = encode(folder)
    assert found["prompt_embeds"].equal(expected)
    assert found["pooled_prompt_embeds"].equal(pooled)


@pytest.mark.parametrize(
    ("key", "class_name", "family"),
    [
        ("sd15", "StableDiffusionControlNetPipeline", "stable-diffusion"),
        ("sd15", "StableDiffusionControlNetImg2ImgPipeline", "stable-diffusion"),
        ("sd15", "LatentConsistencyModelPipeline", "stable-diffusion"),
        ("sdxl", "StableDiffusionXLControlNetPipeline", "stable-diffusion-xl"),
        ("sdxl", "StableDiffusionXLControlNetUnionPipeline", "stable-diffusion-xl"),
        ("sd3", "StableDiffusion3ControlNetPipeline", "stable-diffusion-3"),
    ],
)
def test_folders_of_controlnet_and_lcm_pipelines_are_their_plain_models(
    copied: Copied, key: str, class_name: str, family: str
) -> None:
    assert describe_model(copied(key, _class_name=class_name)).need_family().key == family


def test_an_lcm_folder_draws_by_the_scheduler_it_names(copied: Copied) -> None:
    folder = copied("sd15", _class_name="LatentConsistencyModelPipeline", scheduler=["diffusers", "LCMScheduler"])
    LCMScheduler().save_pretrained(folder / "scheduler")
    assert describe_model(folder).classes["scheduler"] is LCMScheduler


@pytest.mark.parametrize("name", ["tokenizer", "text_encoder", "tokenizer_2", "text_encoder_2"])
def test_a_folder_without_an_encoder_it_names_is_incomplete(copied: Copied, name: str) -> None:
    with pytest.raises(ModelError, match=f"incomplete: its model_index.json names {name}, but there is no such folder"):
        describe_model(copied("sdxl", (name,)))


@pytest.mark.parametrize("name", ["tokenizer", "text_encoder"])
def test_a_model_that_says_it_has_no_encoder_cannot_encode(copied: Copied, name: str) -> None:
    with pytest.raises(ModelError, match=f"has no {name}, so it cannot encode a text"):
        encode(copied("sd15", (name,), **{name: [None, None]}))


def test_a_refiner_is_refused_as_a_base(copied: Copied) -> None:
    index = {"requires_aesthetics_score": True, "text_encoder": [None, None], "tokenizer": [None, None]}
    with pytest.raises(ModelError, match="is an SDXL refiner, which goes over pictures of a base model"):
        describe_model(copied("sdxl", ("text_encoder", "tokenizer"), **index))


@pytest.mark.parametrize(("channels", "kind"), [(8, "instruct-pix2pix"), (5, "depth")])
def test_a_denoiser_that_takes_more_than_latents_is_refused_by_its_kind(
    copied: Copied, channels: int, kind: str
) -> None:
    folder = copied("sd15")
    config = {**json.loads((folder / "unet" / "config.json").read_text()), "in_channels": channels}
    unet: Any = UNet2DConditionModel.from_config(config)
    unet.save_pretrained(folder / "unet")
    with pytest.raises(ModelError, match=f"takes {channels} channels: it is a model for {kind}"):
        describe_model(folder)


def test_a_packed_denoiser_that_takes_a_control_image_is_refused_by_its_kind(copied: Copied) -> None:
    folder = copied("flux")
    file = folder / "transformer" / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps({**config, "in_channels": 2 * config["in_channels"]}))
    with pytest.raises(ModelError, match="it is a model for control by depth or edges"):
        describe_model(folder)


@pytest.mark.parametrize("file", ["model_index.json", "unet/config.json", "vae/config.json"])
def test_json_that_is_nested_deeply_is_refused(copied: Copied, file: str) -> None:
    folder = copied("sd15")
    (folder / file).write_text('{"a":' * 100_000 + "1" + "}" * 100_000)
    with pytest.raises(ModelError, match=r"nested too deeply|maximum recursion depth"):
        describe_model(folder)


def test_a_class_whose_package_is_not_installed_names_it(copied: Copied, monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers

    class Absent(type(transformers.CLIPTokenizer)):
        def __getattribute__(cls, name: str) -> Any:
            if name == "from_pretrained":
                raise ImportError("\nThing requires the Torchvision library but it was not found.\nSee the page")
            return super().__getattribute__(name)

    monkeypatch.setattr(transformers, "CLIPTokenizer", Absent("CLIPTokenizer", (), {}))
    with pytest.raises(ModelError, match="which cannot be imported here: Thing requires the Torchvision library"):
        describe_model(copied("sd15", tokenizer=["transformers", "CLIPTokenizer"]))


def test_ten_and_more_shards_of_a_variant_are_loaded_and_a_missing_one_is_named(copied: Copied) -> None:
    folder = copied("sd15")
    unet = UNet2DConditionModel.from_pretrained(folder / "unet")
    shutil.rmtree(folder / "unet")
    unet.save_pretrained(folder / "unet", variant="fp16", max_shard_size="150KB")
    shards = sorted((folder / "unet").glob("*.safetensors"))
    assert len(shards) > 10
    ref = ModelRef.from_path(str(folder), variant="fp16")
    with ModelCache(device="cpu").use(ref, "unet") as components:
        assert components.modules["unet"].conv_in.weight.equal(unet.conv_in.weight)
    shards[10].rename(shards[10].with_suffix(".incomplete"))
    with (
        pytest.raises(ModelError, match=rf"{shards[10].name}.*There is no such file; copy or download"),
        ModelCache(device="cpu").use(ModelRef.from_path(str(folder), variant="fp16"), "unet"),
    ):
        pass
