"""LoRAs: every tensor of a file is applied with its own alpha, as if merged by hand, or the file is refused."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import load_file, save_file
from torch import Tensor

import nbgraph as nb
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.refs import LoraPatch, TextualInversionPatch
from nbgraph.errors import GraphError, ModelError, NbgraphWarning
from nbgraph.invocations import LoraLoader, ModelLoader, Prompt, TextualInversion
from tests.diffusion.drawing import encode
from tests.diffusion.models import TinyModels

WEIGHT = 0.5
LAYERS = 1
"""Of a block of the tiny SDXL."""
Named = Callable[[str, str], tuple[str, str, str]]
"""(component, module) -> the names of down factor, up factor and alpha."""


def kohya(component: str, module: str) -> tuple[str, str, str]:
    prefix = {"unet": "lora_unet", "text_encoder": "lora_te", "text_encoder_2": "lora_te2"}[component]
    module = module if component == "unet" or module.startswith("text_model.") else f"text_model.{module}"
    name = f"{prefix}_{module.replace('.', '_')}"
    return f"{name}.lora_down.weight", f"{name}.lora_up.weight", f"{name}.alpha"


def kohya_xl(component: str, module: str) -> tuple[str, str, str]:
    down, up, alpha = kohya(component, module)
    return down.replace("lora_te_", "lora_te1_"), up.replace("lora_te_", "lora_te1_"), alpha.replace("te_", "te1_")


def kohya_original(component: str, module: str) -> tuple[str, str, str]:
    """The UNet by the names of its original blocks, of which each has two layers and what halves or doubles."""
    kinds = {"resnets": 0, "attentions": 1}
    renamed = {"conv1": "in_layers.2", "conv2": "out_layers.3", "time_emb_proj": "emb_layers.1"}
    if found := re.fullmatch(r"(down|up)_blocks[.](\d)[.](resnets|attentions)[.](\d)[.](.+)", module):
        way, block, kind, layer, rest = found.groups()
        number = int(block) * (LAYERS + 1) + int(layer) + (way == "down")
        module = f"{'input' if way == 'down' else 'output'}_blocks.{number}.{kinds[kind]}.{renamed.get(rest, rest)}"
    elif found := re.fullmatch(r"mid_block[.](resnets|attentions)[.](\d)[.](.+)", module):
        kind, layer, rest = found.groups()
        module = f"middle_block.{kinds[kind] + 2 * int(layer)}.{renamed.get(rest, rest)}"
    return kohya_xl(component, module)


def peft(component: str, module: str) -> tuple[str, str, str]:
    name = f"{component}.{module}"
    return f"{name}.lora_A.weight", f"{name}.lora_B.weight", f"{name}.alpha"


def prefixed_peft(component: str, module: str) -> tuple[str, str, str]:
    module = f"text_model.{module}" if component.startswith("text_encoder") else module
    return peft(component, module)


def bare_peft(component: str, module: str) -> tuple[str, str, str]:
    return module + ".lora_A.weight", module + ".lora_B.weight", module + ".alpha"


def comfy(component: str, module: str) -> tuple[str, str, str]:
    return peft("diffusion_model", module)


def original(component: str, module: str) -> tuple[str, str, str]:
    """The names of FLUX.1's authors, with factors as PEFT names them."""
    renamed = {"attn.to_out.0": "img_attn.proj", "attn.to_add_out": "txt_attn.proj", "ff.net.2": "img_mlp.2"}
    for ours, theirs in renamed.items():
        module = module.replace(f".{ours}", f".{theirs}")
    return peft("diffusion_model", module.replace("transformer_blocks", "double_blocks"))


def kohya_of_transformers(component: str, module: str) -> tuple[str, str, str]:
    name = f"lora_unet_{module.replace('.', '_')}"
    return f"{name}.lora_down.weight", f"{name}.lora_up.weight", f"{name}.alpha"


def old(component: str, module: str) -> tuple[str, str, str]:
    block, _, part = module.rpartition("attn2.")
    name = f"{component}.{block}attn2.processor.{part.replace('.0', '')}_lora"
    return f"{name}.down.weight", f"{name}.up.weight", f"{name}.alpha"


def targets(module: torch.nn.Module, *parts: str) -> Iterator[tuple[str, Any]]:
    for name, layer in module.named_modules():
        if name.endswith(parts) and isinstance(layer, torch.nn.Linear | torch.nn.Conv2d):
            yield name, layer


def random_lora(
    tiny: TinyModels, family: str, naming: Named, parts: dict[str, tuple[str, ...]], has_alpha: bool = True
) -> tuple[dict[str, Tensor], dict[str, dict[str, Tensor]]]:
    """A file's tensors, and what they add to the weights of each module of each component, merged by hand."""
    generator, state, merged = torch.Generator().manual_seed(1), dict[str, Tensor](), dict[str, dict[str, Tensor]]()
    with ModelCache(device="cpu").use(tiny[family], *parts) as components:
        for component, ends in parts.items():
            for number, (module, layer) in enumerate(targets(components[component], *ends)):
                rank, alpha = (2, 3.0) if number % 2 else (4, 1.0)
                weight = layer.weight
                down = torch.randn((rank, *weight.shape[1:]), generator=generator)
                up = torch.randn((weight.shape[0], rank, *(1,) * (weight.ndim - 2)), generator=generator)
                names = naming(component, module)
                state |= {names[0]: down, names[1]: up} | ({names[2]: torch.tensor(alpha)} if has_alpha else {})
                scale = WEIGHT * (alpha / rank if has_alpha else 1.0)
                product = (up.flatten(1) @ down.flatten(1)).view(weight.shape)
                merged.setdefault(component, {})[module] = scale * product
    return state, merged


def added(module: torch.nn.Module) -> dict[str, Tensor]:
    """What a LoRA adds to the weights of each module that it lies over."""
    return {
        name: layer.get_delta_weight("lora_0")  # type: ignore[operator]
        for name, layer in module.named_modules()
        if isinstance(layer, BaseTunerLayer)
    }


def patch_of(state: dict[str, Tensor], file: Path, metadata: dict[str, str] | None = None) -> LoraPatch:
    save_file({name: value.contiguous().clone() for name, value in state.items()}, file, metadata)
    return LoraPatch.from_file(str(file), weight=WEIGHT)


ATTENTION = ("attn2.to_q", "attn2.to_v", "attn2.to_out.0")
UNET = {"unet": (*ATTENTION, "ff.net.2", "proj_in")}
CONV = {"unet": (*ATTENTION, "resnets.0.conv1", "time_emb_proj", "conv_in", "downsamplers.0.conv")}
TEXT = {"text_encoder": ("q_proj", "out_proj", "fc1")}
TEXTS = TEXT | {"text_encoder_2": ("v_proj", "fc2")}
TRANSFORMER = {"transformer": ("to_q", "to_k")}
ORIGINAL = {"transformer": (".attn.to_out.0", "to_add_out", "ff.net.2")}
NAMINGS: dict[str, tuple[str, Named, dict[str, tuple[str, ...]]]] = {
    "kohya": ("sd15", kohya, UNET | TEXT),
    "kohya, no text": ("sd15", kohya, UNET),
    "kohya, attention of texts alone": ("sd15", kohya, {"text_encoder": ("q_proj",)}),
    "LoCon": ("sd15", kohya, CONV),
    "kohya XL": ("sdxl", kohya_xl, UNET | TEXTS),
    "kohya XL, original names": (
        "sdxl",
        kohya_original,
        {"unet": ("attn1.to_q", "attn2.to_out.0", "ff.net.2", "proj_in", "conv1", "conv2", "time_emb_proj")} | TEXTS,
    ),
    "peft": ("sd15", peft, UNET | TEXT),
    "peft, prefixed encoder": ("sd15", prefixed_peft, UNET | TEXT),
    "peft XL": ("sdxl", peft, UNET | TEXTS),
    "peft, no component": ("sd15", bare_peft, UNET),
    "old diffusers": ("sd15", old, {"unet": ATTENTION}),
    "SD3": ("sd3", peft, TRANSFORMER | TEXTS),
    "SD3, ai-toolkit": ("sd3", comfy, TRANSFORMER),
    "Flux": ("flux", peft, TRANSFORMER | TEXT),
    "Flux, ai-toolkit": ("flux", comfy, TRANSFORMER),
    "Flux, original names": ("flux", original, ORIGINAL),
    "Chroma": ("chroma", peft, TRANSFORMER),
    "Chroma, ai-toolkit": ("chroma", comfy, TRANSFORMER),
    "Chroma, original names": ("chroma", original, ORIGINAL),
    "Qwen-Image": ("qwen-image", peft, TRANSFORMER),
    "Qwen-Image, ComfyUI": ("qwen-image", comfy, TRANSFORMER),
    "Z-Image": ("z-image", peft, TRANSFORMER),
    "Z-Image, ComfyUI": ("z-image", comfy, TRANSFORMER),
    "Z-Image, kohya": ("z-image", kohya_of_transformers, TRANSFORMER),
    "Sana": ("sana", peft, TRANSFORMER),
    "AuraFlow": ("auraflow", peft, TRANSFORMER),
    "CogView 4": ("cogview4", peft, TRANSFORMER),
}


@pytest.mark.parametrize("has_alpha", [True, False])
@pytest.mark.parametrize("name", NAMINGS)
def test_layers_are_added_as_if_merged_by_hand_each_with_its_alpha(
    name: str, has_alpha: bool, tiny: TinyModels, shared_cache: ModelCache, tmp_path: Path
) -> None:
    family, naming, parts = NAMINGS[name]
    state, merged = random_lora(tiny, family, naming, parts, has_alpha)
    ref = tiny[family].with_patch(patch_of(state, tmp_path / "lora.safetensors"))
    count = 0
    with shared_cache.use(ref, *parts) as components:
        for component, expected in merged.items():
            found = added(components[component])
            assert found.keys() == expected.keys()
            assert max(float((found[name] - expected[name]).abs().max()) for name in expected) < 1e-5
            count += len(found)
    assert count * (3 if has_alpha else 2) == len(state)


@pytest.mark.parametrize(
    ("name", "down_name", "up_name"),
    [
        ("lora_unet_double_blocks_0_img_attn_qkv", "lora_down", "lora_up"),
        ("diffusion_model.double_blocks.0.img_attn.qkv", "lora_down", "lora_up"),
        ("diffusion_model.double_blocks.0.img_attn.qkv", "lora_A", "lora_B"),
    ],
)
def test_fused_layers_of_flux_are_split_with_their_alpha(
    name: str, down_name: str, up_name: str, tiny: TinyModels, shared_cache: ModelCache, tmp_path: Path
) -> None:
    with shared_cache.use(tiny["flux"], "transformer") as components:
        width = components["transformer"].transformer_blocks[0].attn.to_q.weight.shape[0]
    down, up = torch.randn(4, width), torch.randn(3 * width, 4)
    state: dict[str, Tensor] = {f"{name}.{down_name}.weight": down, f"{name}.{up_name}.weight": up}
    state[f"{name}.alpha"] = torch.tensor(3.0)
    patch = patch_of(state, tmp_path / "lora.safetensors")
    with shared_cache.use(tiny["flux"].with_patch(patch), "transformer") as components:
        found = added(components["transformer"])
    expected = (WEIGHT * 3 / 4 * up @ down).split(width)
    assert sorted(name.rpartition(".")[2] for name in found) == ["to_k", "to_q", "to_v"]
    for part, delta in zip("qkv", expected):
        assert (found[f"transformer_blocks.0.attn.to_{part}"] - delta).abs().max() < 1e-5


@pytest.mark.parametrize("use_rslora", [False, True])
def test_the_alpha_of_the_metadata_counts(
    use_rslora: bool, tiny: TinyModels, shared_cache: ModelCache, tmp_path: Path
) -> None:
    state, merged = random_lora(tiny, "sd15", peft, {"unet": ("attn2.to_q",)}, has_alpha=False)
    config = {"r": 4, "lora_alpha": 8, "rank_pattern": {}, "use_rslora": use_rslora, "target_modules": ["to_q"]}
    ranks = {name.removesuffix(".lora_A.weight"): value.shape[0] for name, value in state.items() if "lora_A" in name}
    config["rank_pattern"] = {name.removeprefix("unet."): rank for name, rank in ranks.items()}
    metadata = {"lora_adapter_metadata": json.dumps({f"unet.{key}": value for key, value in config.items()})}
    ref = tiny["sd15"].with_patch(patch_of(state, tmp_path / "lora.safetensors", metadata))
    with shared_cache.use(ref, "unet") as components:
        found = added(components["unet"])
    for name, expected in merged["unet"].items():
        rank = ranks[f"unet.{name}"]
        scale = 8 / rank**0.5 if use_rslora else 8 / rank
        assert (found[name] - scale * expected).abs().max() < 1e-4


def of(*names: str) -> dict[str, Tensor]:
    return {name: torch.ones(2, 2) for name in names}


LAYER = "lora_unet_mid_block_attentions_0_proj_in"
REFUSED: dict[str, tuple[dict[str, Tensor], str]] = {
    "DoRA": (of(f"{LAYER}.dora_scale"), "is, or holds, DoRA"),
    "DoRA of peft": (of("unet.conv_in.lora_magnitude_vector"), "is, or holds, DoRA"),
    "LoHa": (of(f"{LAYER}.hada_w1_a", f"{LAYER}.hada_w1_b"), "is, or holds, LoHa .2 tensors"),
    "LoKr": (of(f"{LAYER}.lokr_w1"), "is, or holds, LoKr"),
    "OFT": (of(f"{LAYER}.oft_blocks"), "is, or holds, OFT"),
    "IA3": (of(f"{LAYER}.on_input"), r"is, or holds, .IA.3"),
    "GLoRA": (of(f"{LAYER}.a1.weight"), "is, or holds, GLoRA"),
    "Tucker": (of(f"{LAYER}.lora_mid.weight"), "LoCon with a middle factor"),
    "full": (of("lora_unet_conv_in.diff"), "does not fit unet .* its product is 2x2"),
    "a difference of a norm": ({"lora_unet_conv_norm_out.diff": torch.ones(32)}, "whole differences"),
    "factors that do not go together": (
        {f"{LAYER}.hada_w{n}_{side}": torch.ones(2 + n, 3) for n in (1, 2) for side in "ab"},
        f"the factors of {LAYER} .* do not go together",
    ),
    "biases": (of("lora_unet_conv_in.diff_b"), "whole differences"),
    "trained biases": (of("unet.conv_in.lora_B.bias"), "biases"),
    "embeddings": (of("lora_embedding_A"), "embeddings of words"),
    "Control-LoRA": (of("lora_controlnet"), "a Control-LoRA"),
    "unknown tensors": (
        of("something.else"),
        "1 tensors that are no part of a layer known here, such as something.else",
    ),
    "an alpha alone": ({"lora_unet_conv_in.alpha": torch.tensor(1.0)}, "1 tensors that are no part of a layer"),
    "an alpha of several numbers": (
        of(f"{LAYER}.lora_down.weight", f"{LAYER}.lora_up.weight") | {f"{LAYER}.alpha": torch.ones(3)},
        f"is damaged: its {LAYER}.alpha is no number",
    ),
    "an alpha that is no number": (
        of(f"{LAYER}.lora_down.weight", f"{LAYER}.lora_up.weight") | {f"{LAYER}.alpha": torch.tensor(float("nan"))},
        f"is damaged: its {LAYER}.alpha is no number",
    ),
    "half a layer": (of("lora_unet_conv_in.lora_down.weight"), "1 tensors that are no part of a layer"),
    "another naming": (
        of("lora_transformer_x.lora_down.weight", "lora_transformer_x.lora_up.weight"),
        "names 5 of its 5 layers in a way that is not known",
    ),
    "names of the original beside others": (
        of("lora_unet_input_blocks_1_1_proj_in.lora_down.weight", "lora_unet_input_blocks_1_1_proj_in.lora_up.weight"),
        "names 1 of its 5 layers in a way that is not known.*input_blocks_1_1_proj_in",
    ),
    "another encoder": (
        of("text_encoder_2.fc1.lora_A.weight", "text_encoder_2.fc1.lora_B.weight"),
        "for text_encoder_2, which it has not; it is for another kind of model|not known for this model",
    ),
    "scaled fp8": (of("unet.conv_in.lora_A.weight_scale"), "are scaled fp8"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_not_applied_is_refused_by_kind_in_one_line(
    kind: str, tiny: TinyModels, shared_cache: ModelCache, tmp_path: Path
) -> None:
    more, message = REFUSED[kind]
    state, _ = random_lora(tiny, "sd15", kohya, {"unet": ("mid_block.attentions.0.transformer_blocks.0.attn1.to_q",)})
    extra, _ = random_lora(tiny, "sd15", kohya, {"unet": ("attn2.to_k",)})
    patch = patch_of(dict(list((state | extra).items())[:12]) | more, tmp_path / "lora.safetensors")
    with (
        pytest.raises(ModelError, match=message) as refused,
        shared_cache.use(tiny["sd15"].with_patch(patch), "unet"),
    ):
        pass
    assert "\n" not in str(refused.value)
    assert repr(patch.path) in str(refused.value)
    assert all(row.in_use == 0 for row in shared_cache.loaded())


def test_a_graph_with_a_lora_that_is_not_applied_is_refused_before_it_runs(tiny: TinyModels, tmp_path: Path) -> None:
    patch = patch_of(of("lora_unet_conv_in.dora_scale"), tmp_path / "lora.safetensors")
    model = ModelLoader(model=tiny["sd15"].path)
    text = Prompt(text="a cat", clip=LoraLoader(lora=Path(patch.path), unet=model, clip=model, id="lora"))
    with nb.Studio(
        settings=nb.Settings(device="cpu", model_ram_bytes=2**33 - 1)
    ) as studio:  # a budget, so a model cache, of its own
        with pytest.raises(GraphError, match="lora.lora: the LoRA .* is, or holds, DoRA"):
            studio.run(text, progress=False)
        assert studio.loaded_models.empty


def test_differences_that_add_nothing_are_passed_by(tiny: TinyModels, shared_cache: ModelCache, tmp_path: Path) -> None:
    state, merged = random_lora(tiny, "sd15", kohya, {"unet": ("attn2.to_q",)})
    patch = patch_of(state | {"lora_unet_conv_in.diff_b": torch.zeros(32)}, tmp_path / "lora.safetensors")
    with shared_cache.use(tiny["sd15"].with_patch(patch), "unet") as components:
        assert added(components["unet"]).keys() == merged["unet"].keys()


def test_embeddings_in_the_file_of_a_lora_are_left_to_a_node_for_them(
    tiny: TinyModels, shared_cache: ModelCache, tmp_path: Path
) -> None:
    state, merged = random_lora(tiny, "sd15", kohya, UNET | TEXT)
    fur, silk = (torch.randn(count, 32) for count in (2, 1))
    bundled = {"bundle_emb.fur.string_to_param.*": fur, "bundle_emb.silk.emb_params": silk}
    patch = patch_of(state | bundled, tmp_path / "lora.safetensors")
    with shared_cache.use(tiny["sd15"].with_patch(patch), "unet") as components:
        assert added(components["unet"]).keys() == merged["unet"].keys()
    model = ModelLoader(model=tiny["sd15"].path)
    lora = LoraLoader(id="lora", lora=Path(patch.path), unet=model, clip=model)
    words = TextualInversion(id="words", embedding=Path(patch.path), clip=model)
    with nb.Studio(settings=nb.Settings(device="cpu")) as studio:
        with pytest.warns(NbgraphWarning, match=r"also holds embeddings \(fur, silk\), .* TextualInversion node"):
            studio.run(lora, progress=False)
        with pytest.raises(GraphError, match="words.embedding: .* with the embeddings fur, silk; give one"):
            studio.run(words, progress=False)
        words.token = "Silk"
        found = studio.run(words, progress=False)[words].clip.model
    save_file({"emb_params": silk}, tmp_path / "silk.safetensors")
    alone = TextualInversionPatch.from_file(str(tmp_path / "silk.safetensors"), token="silk")
    expected = encode(shared_cache, tiny["sd15"].with_patch(alone), "a silk dog").tensors["prompt_embeds"]
    assert torch.equal(encode(shared_cache, found, "a silk dog").tensors["prompt_embeds"], expected)


def test_layers_of_flux_that_diffusers_drops_are_refused(
    tiny: TinyModels, shared_cache: ModelCache, tmp_path: Path
) -> None:
    dropped = of(*(f"text_encoders.t5xxl.transformer.encoder.block.0.q.lora_{side}.weight" for side in ("down", "up")))
    kept = {
        f"lora_unet_double_blocks_0_img_attn_proj.lora_{side}.weight": torch.ones(shape)
        for side, shape in (("down", (2, 32)), ("up", (32, 2)))
    }
    patch = patch_of(kept | dropped, tmp_path / "lora.safetensors")
    with (
        pytest.raises(ModelError, match="names 1 of its 2 layers in a way that is not known.*t5xxl"),
        shared_cache.use(tiny["flux"].with_patch(patch), "transformer"),
    ):
        pass


def test_an_alpha_that_is_in_a_configuration_beside_the_file_is_refused(
    tiny: TinyModels, shared_cache: ModelCache, tmp_path: Path
) -> None:
    state, _ = random_lora(tiny, "flux", lambda _, module: peft("base_model.model", module), TRANSFORMER, False)
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 4, "lora_alpha": 8}))
    patch = patch_of(state, tmp_path / "adapter_model.safetensors")
    with (
        pytest.raises(ModelError, match="has its alpha in adapter_config.json, which is not read here"),
        shared_cache.use(tiny["flux"].with_patch(patch), "transformer"),
    ):
        pass


def test_a_checkpoint_is_no_lora(tiny: TinyModels, shared_cache: ModelCache, tmp_path: Path) -> None:
    unet = load_file(Path(tiny["sd15"].path) / "unet" / "diffusion_pytorch_model.safetensors")
    for state in (unet, {f"model.diffusion_model.{name}": value for name, value in unet.items()}):
        patch = patch_of(state, tmp_path / "lora.safetensors")
        with pytest.raises(ModelError, match="LoRA"), shared_cache.use(tiny["sd15"].with_patch(patch), "unet"):
            pass
