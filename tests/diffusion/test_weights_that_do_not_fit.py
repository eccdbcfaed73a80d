"""Weights that are not exactly those of the model are refused; old names of the right ones go on loading."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPConfig, CLIPModel, CLIPTextModel

import nbgraph as nb
from nbgraph.diffusion.description import describe_model
from nbgraph.diffusion.load import load_component
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.refs import ModelRef
from nbgraph.errors import GraphError, ModelError
from nbgraph.invocations import LatentsToImage, ModelLoader, Noise, Prompt, VaeLoader
from tests.diffusion.models import TinyModels
from tests.tiny_models import build_controlnet, build_image_encoder, build_t2i_adapter

State = dict[str, Tensor]
Change = Callable[[State], State]
NAMES = {"text_encoder": "model.safetensors", "image_encoder": "model.safetensors"}


@pytest.fixture
def folder(tiny: TinyModels, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny["sd15"].path, tmp_path / "model"))


def without(*parts: str) -> Change:
    return lambda state: {name: value for name, value in state.items() if not any(part in name for part in parts)}


def renamed(old: str, new: str) -> Change:
    return lambda state: {name.replace(old, new): value for name, value in state.items()}


def added(*names: str, shape: tuple[int, ...] = (1,)) -> Change:
    return lambda state: state | {name: torch.ones(shape) for name in names}


def cast(dtype: torch.dtype, *more: str) -> Change:
    def change(state: State) -> State:
        changed = {name: value.to(dtype) if name.endswith("weight") else value for name, value in state.items()}
        return changed | {name: torch.ones(1) for name in more}

    return change


def widened(name: str) -> Change:
    return lambda state: state | {name: state[name].repeat_interleave(2, 1)}


def load(folder: Path, part: str) -> torch.nn.Module:
    with ModelCache(device="cpu", dtype="float32").use(ModelRef.from_path(str(folder)), part) as components:
        return components[part]


def rewrite(folder: Path, part: str, change: Change) -> Path:
    inside = folder / part if (folder / part).is_dir() else folder
    file = inside / NAMES.get(part, "diffusion_pytorch_model.safetensors")
    save_file({name: value.contiguous() for name, value in change(load_file(file)).items()}, file, {"format": "pt"})
    return inside


SCALES = ("scaled_fp8", "conv_in.scale_weight", "conv_out.scale_weight")
LDM = renamed("down_blocks.0.resnets.0", "input_blocks.1.0")
REFUSED = {
    "a tensor less": ("unet", without("conv_out.weight"), "1 missing [(]conv_out.weight[)]"),
    "no attention": ("unet", without("attn1", "attn2"), r"\d\d+ missing [(]down_blocks.* copy or download the folder"),
    "another width": ("unet", widened("conv_in.weight"), "conv_in.weight[)] is .*8, 3, 3.* and should be .*4, 3, 3"),
    "names of LDM": ("unet", LDM, "not of this model [(]input_blocks.1.* original layout.*give the file itself"),
    "a block more": ("unet", added("up_blocks.9.resnets.0.conv1.weight"), "1 not of this model [(]up_blocks.9"),
    "a LoRA": ("unet", added("mid_block.lora_A.weight"), "LoRA is stored with them; give it to a LoRA node"),
    "scaled fp8": ("unet", cast(torch.float8_e4m3fn, *SCALES), "scaled fp8: 3 scales.* float16, bfloat16 or plain"),
    "other scales": ("unet", added("conv_in.weight_scale_inv"), "scaled fp8: 1 scales, such as conv_in.weight_scale"),
    "int8": ("unet", cast(torch.int8), r"quantised: \d+ tensors, such as conv_in.weight [(]I8[)]"),
    "4 bit": ("unet", added("conv_in.weight.absmax"), "quantised: 1 tensors, such as conv_in.weight.absmax"),
    "no middle": ("vae", without("mid_block"), r"\d+ missing [(]decoder.mid_block"),
    "no encoder": ("vae", without("encoder."), r"\d+ missing [(]encoder.conv_in.bias, .*, ..."),
    "a text layer less": ("text_encoder", without("layers.1."), r"16 missing [(]encoder.layers.1.layer_norm1.bias"),
    "no final norm": ("text_encoder", without("final_layer_norm.bias"), "1 missing [(]final_layer_norm.bias[)]"),
    "a text layer more": (
        "text_encoder",
        added("encoder.layers.7.mlp.fc1.weight"),
        "1 not of this model [(]encoder.layers.7",
    ),
    "fewer words": (
        "text_encoder",
        lambda state: state | {"embeddings.token_embedding.weight": torch.ones(7, 32)},
        r"embedding.weight[)] is [(]7, 32[)] and should be",
    ),
    "scaled text": ("text_encoder", added("encoder.layers.0.mlp.fc1.scale_weight"), "scaled fp8: 1 scales"),
    "int8 text": ("text_encoder", cast(torch.int8), "quantised: "),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_weights_that_do_not_fit_are_refused(kind: str, folder: Path) -> None:
    part, change, message = REFUSED[kind]
    inside = rewrite(folder, part, change)
    with pytest.raises(ModelError, match=message) as refused:
        load(folder, part)
    assert repr(str(inside)) in str(refused.value)
    assert len(str(refused.value)) < 600


def build_vae(folder: Path, model: Path) -> Path:
    return Path(shutil.copytree(model / "vae", folder))


ALONE: dict[str, Callable[[Path, Path], Path]] = {
    "vae": build_vae,
    "controlnet": build_controlnet,
    "t2i_adapter": lambda folder, model: build_t2i_adapter(folder),
    "image_encoder": lambda folder, model: build_image_encoder(folder),
}


@pytest.mark.parametrize("part", ALONE)
def test_components_alone_are_held_to_the_same_rule(part: str, tiny: TinyModels, tmp_path: Path) -> None:
    folder = ALONE[part](tmp_path / part, Path(tiny["sd15"].path))
    whole = load(folder, part).state_dict()
    file = folder / NAMES.get(part, "diffusion_pytorch_model.safetensors")
    stored = load_file(file)
    last = list(stored)[-1]
    save_file({name: value for name, value in stored.items() if name != last}, file, {"format": "pt"})
    with pytest.raises(ModelError, match="1 missing "):
        load(folder, part)
    save_file(stored | {"more.weight": torch.ones(1)}, file, {"format": "pt"})
    with pytest.raises(ModelError, match="1 not of this model [(]more.weight[)]"):
        load(folder, part)
    save_file(stored, file, {"format": "pt"})
    assert all(torch.equal(value, whole[name]) for name, value in load(folder, part).state_dict().items())


def old_attention(state: State) -> State:
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    for new, name in old.items():
        state = {key.replace(f".{new}.", f".{name}."): value for key, value in state.items()}
    return state


HARMLESS = {
    "old names of attention": ("vae", old_attention),
    "prefixed encoder": ("text_encoder", lambda state: {f"text_model.{name}": value for name, value in state.items()}),
    "positions": ("text_encoder", added("embeddings.position_ids", shape=(1, 77))),
    "positions of an older version": (
        "text_encoder",
        lambda state: (
            {f"text_model.{name}": value for name, value in state.items()}
            | {"text_model.embeddings.position_ids": torch.arange(77)[None]}
        ),
    ),
    "a projection that is not asked for": ("text_encoder", added("text_projection.weight", shape=(32, 32))),
    "averages kept by training": ("unet", added("model_ema.decay", "model_ema.conv_in.weight")),
}


@pytest.mark.parametrize("kind", HARMLESS)
def test_old_names_and_what_cannot_change_a_picture_go_on_loading(kind: str, folder: Path) -> None:
    part, change = HARMLESS[kind]
    before = load(folder, part).state_dict()
    rewrite(folder, part, change)
    after = load(folder, part).state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_plain_fp8_is_read_as_numbers(folder: Path) -> None:
    before = load(folder, "unet").state_dict()["conv_in.weight"]
    rewrite(folder, "unet", cast(torch.float8_e4m3fn))
    after = load(folder, "unet").state_dict()["conv_in.weight"]
    assert torch.equal(after, before.to(torch.float8_e4m3fn).float())


@pytest.mark.parametrize("stored", [torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2, torch.float64])
def test_a_file_of_several_types_becomes_a_model_of_one(stored: torch.dtype, folder: Path) -> None:
    """The first weight has the type that is asked for, and another one has not."""
    before = load(folder, "unet").state_dict()["conv_out.weight"]
    rewrite(folder, "unet", lambda state: state | {"conv_out.weight": state["conv_out.weight"].to(stored)})
    unet = load(folder, "unet")
    assert {parameter.dtype for parameter in unet.parameters()} == {torch.float32}
    assert torch.equal(unet.state_dict()["conv_out.weight"], before.to(stored).float())


def test_a_model_whose_first_weight_stays_as_it_is_stored_is_cast_all_the_same(tiny: TinyModels) -> None:
    """That of SD3 is a table of positions, in float32 whatever is asked for."""
    transformer = load_component(describe_model(tiny["sd3"]), "transformer", torch.bfloat16)
    assert {parameter.dtype for parameter in transformer.parameters()} == {torch.bfloat16}


def test_a_whole_clip_serves_as_text_encoder(folder: Path) -> None:
    config = json.loads((folder / "text_encoder" / "config.json").read_text())
    vision = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "image_size": 32, "patch_size": 16}
    clip = CLIPModel(CLIPConfig(text_config=config, vision_config=vision, projection_dim=32))
    save_file(clip.state_dict(), folder / "text_encoder" / "model.safetensors", {"format": "pt"})
    found = load(folder, "text_encoder")
    assert isinstance(found, CLIPTextModel)
    expected = clip.text_model.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in found.state_dict().items())


def shards(folder: Path) -> Path:
    unet = load(folder, "unet")
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    unet.save_pretrained(folder / "unet", max_shard_size="2MB")  # type: ignore[operator]
    assert len(list((folder / "unet").glob("*-of-*.safetensors"))) > 1
    return folder / "unet" / "diffusion_pytorch_model.safetensors.index.json"


@pytest.mark.parametrize(
    ("name", "message"),
    [("conv_in.weight", "1 tensors that belong into other files"), ("conv_in.scale_weight", "scaled fp8: 1 scales")],
)
def test_a_shard_that_holds_more_than_its_index_says_is_refused(name: str, message: str, folder: Path) -> None:
    """Loaders take all that is in the files, and of two tensors of one name the last."""
    places = json.loads(shards(folder).read_text())["weight_map"]
    last = folder / "unet" / next(file for file in sorted(set(places.values()))[::-1] if file != places.get(name))
    save_file(load_file(last) | {name: torch.zeros(32, 4, 3, 3)}, last, {"format": "pt"})
    with pytest.raises(ModelError, match=message):
        load(folder, "unet")


def test_shards_are_read_together(folder: Path) -> None:
    before = load(folder, "unet").state_dict()
    shards(folder)
    assert all(torch.equal(value, before[name]) for name, value in load(folder, "unet").state_dict().items())


def test_a_tensor_that_is_in_no_shard_or_not_in_the_index_is_missing(folder: Path) -> None:
    index = shards(folder)
    content = json.loads(index.read_text())
    place = content["weight_map"].pop("conv_out.weight")
    index.write_text(json.dumps(content))
    with pytest.raises(ModelError, match="1 missing [(]conv_out.weight[)]"):
        load(folder, "unet")
    content["weight_map"] |= {"conv_out.weight": place}
    index.write_text(json.dumps(content))
    shard = folder / "unet" / place
    save_file(without("conv_out.weight")(load_file(shard)), shard, {"format": "pt"})
    with pytest.raises(ModelError, match="names 1 tensors that its files do not hold, such as conv_out.weight"):
        load(folder, "unet")
    shard.unlink()
    with pytest.raises(ModelError, match="There is no such file; copy or download"):
        load(folder, "unet")


def test_twelve_shards_of_a_variant_are_one_variant(folder: Path) -> None:
    """The tenth shard is no variant of its own."""
    unet, inside = load(folder, "unet"), folder / "unet"
    (inside / "diffusion_pytorch_model.safetensors").unlink()
    state, places = unet.state_dict(), dict[str, str]()
    for number in range(12):
        file = f"diffusion_pytorch_model.fp16-{number + 1:05}-of-00012.safetensors"
        part = {name: state[name].half() for name in list(state)[number::12]}
        save_file(part, inside / file, {"format": "pt"})
        places |= dict.fromkeys(part, file)
    index = {"metadata": {}, "weight_map": places}
    (inside / "diffusion_pytorch_model.safetensors.index.fp16.json").write_text(json.dumps(index))
    found = load(folder, "unet").state_dict()
    assert all(torch.equal(value.half().float(), found[name]) for name, value in state.items())


@pytest.mark.parametrize(
    ("content", "remedy"),
    [(b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"), (b"<!doctype html>", "files are damaged")],
)
def test_files_that_only_bear_the_name(content: bytes, remedy: str, folder: Path) -> None:
    (folder / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=remedy):
        load(folder, "unet")


def test_quantised_configurations_name_the_method(folder: Path) -> None:
    file = folder / "unet" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"quantization_config": {"quant_method": "torchao"}}))
    with pytest.raises(ModelError, match="quantised by torchao"):
        load(folder, "unet")


def test_weights_under_another_name_say_which_name_is_read(folder: Path) -> None:
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    file.rename(file.with_name("unet.safetensors"))
    with pytest.raises(ModelError, match=r"neither diffusion_pytorch_model.safetensors .*it has: unet.safetensors"):
        load(folder, "unet")


def test_a_refused_component_is_not_kept(folder: Path) -> None:
    cache = ModelCache(device="cpu")
    rewrite(folder, "vae", without("mid_block"))
    ref = ModelRef.from_path(str(folder))
    for _ in range(2):
        with pytest.raises(ModelError), cache.use(ref, "vae"):
            pass
    assert cache.loaded() == []
    assert describe_model(ref).latent_channels == 4


def test_a_graph_over_weights_that_do_not_fit_is_refused_before_it_runs(folder: Path) -> None:
    rewrite(folder, "unet", without("conv_out.weight"))
    rewrite(folder, "vae", without("mid_block"))
    model = ModelLoader(model=str(folder), id="model")
    text = Prompt(text="a cat", clip=model)
    latents = Noise(unet=model, seed=1, width=64, height=64)
    image = LatentsToImage(latents=latents, vae=VaeLoader(vae_model=str(folder / "vae"), id="vae"))
    with nb.Studio(
        settings=nb.Settings(device="cpu", model_ram_bytes=2**33 - 1)
    ) as studio:  # a budget, so a model cache, of its own
        with pytest.raises(GraphError, match="model.model: the weights in .*conv_out.weight"):
            studio.run(text, progress=False)
        with pytest.raises(GraphError, match="vae.vae_model: the weights in .*mid_block"):
            studio.run(image, progress=False)
        assert studio.loaded_models.empty
