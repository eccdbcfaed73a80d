"""LoHa, LoKr, whole differences and DoRA: what they add is what their formulas say, on weights of their own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import nbgraph as nb
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.refs import LoraPatch
from nbgraph.errors import GraphError
from nbgraph.invocations import LoraLoader, ModelLoader, Prompt

STRENGTH, ALPHA, RANK = 0.5, 2.0, 4
Made = tuple[dict[str, Tensor], Callable[[Tensor], Tensor]]
"""The tensors of a layer, and the weight that it makes of a plain one."""


def random(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape) + seed)) * 0.1


def loha(weight: Tensor) -> Made:
    out, into = weight.shape[0], weight[0].numel()
    first, second = (random(out, RANK), random(RANK, into)), (random(out, RANK, seed=2), random(RANK, into, seed=2))
    delta = (first[0] @ first[1]) * (second[0] @ second[1]) * ALPHA / RANK
    names = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")
    return dict(zip(names, (*first, *second))), lambda w: w + STRENGTH * delta.reshape(w.shape)


def lokr(weight: Tensor) -> Made:
    out, into = weight.shape[0], weight.shape[1]
    first, second = random(2, 2), random(out // 2, into // 2, *weight.shape[2:])
    wide = first.reshape(2, 2, *(1,) * (weight.ndim - 2))
    return {"lokr_w1": first, "lokr_w2": second}, lambda w: w + STRENGTH * torch.kron(wide, second)


def lokr_split(weight: Tensor) -> Made:
    out, into = weight.shape[0], weight[0].numel()
    first, left, right = random(2, 2), random(out // 2, RANK), random(RANK, into // 2)
    delta = torch.kron(first, left @ right) * ALPHA / RANK
    tensors = {"lokr_w1": first, "lokr_w2_a": left, "lokr_w2_b": right}
    return tensors, lambda w: w + STRENGTH * delta.reshape(w.shape)


def whole(weight: Tensor) -> Made:
    delta = random(*weight.shape)
    return {"diff": delta}, lambda w: w + STRENGTH * delta


def dora(weight: Tensor) -> Made:
    down, up = random(RANK, *weight.shape[1:]), random(weight.shape[0], RANK, *(1,) * (weight.ndim - 2))
    product = (up.flatten(1) @ down.flatten(1)).reshape(weight.shape) * ALPHA / RANK
    magnitude = random(weight.shape[0], *(1,) * (weight.ndim - 1)).abs() + 0.5

    def made(w: Tensor) -> Tensor:
        changed = w + product
        norm = changed.flatten(1).norm(dim=1).reshape(magnitude.shape)
        return w + STRENGTH * (magnitude * changed / norm - w)

    return {"lora_down.weight": down, "lora_up.weight": up, "dora_scale": magnitude}, made


def dora_by_column(weight: Tensor) -> Made:
    tensors, _ = dora(weight)
    product = (tensors["lora_up.weight"].flatten(1) @ tensors["lora_down.weight"].flatten(1)) * ALPHA / RANK
    magnitude = random(1, weight.shape[1]).abs() + 0.5

    def made(w: Tensor) -> Tensor:
        changed = w + product.reshape(w.shape)
        return w + STRENGTH * (magnitude * changed / changed.norm(dim=0, keepdim=True) - w)

    return {**tensors, "dora_scale": magnitude}, made


KINDS = {"LoHa": loha, "LoKr": lokr, "LoKr, split": lokr_split, "whole": whole, "DoRA": dora}
NAMES: dict[str, tuple[str, str, Callable[[str], str]]] = {
    "sd15": ("unet", "attn2.to_v", lambda module: f"lora_unet_{module.replace('.', '_')}"),
    "sdxl": ("text_encoder_2", "self_attn.q_proj", lambda module: f"lora_te2_{module.replace('.', '_')}"),
    "z-image": ("transformer", "attention.to_q", lambda module: f"diffusion_model.{module}"),
}  # fmt: skip


def check(tiny: Any, model: str, end: str, make: Callable[[Tensor], Made], folder: Path) -> None:
    component, _, named = NAMES[model]
    cache = ModelCache(device="cpu")
    with cache.use(tiny[model], component) as components:
        plain = components[component]
        module = next(name for name, _ in plain.named_modules() if name.endswith(end))
        before = plain.get_submodule(module).weight.clone()
        tensors, expected = make(before)
        state = {f"{named(module)}.{name}": tensor.contiguous() for name, tensor in tensors.items()}
        state[f"{named(module)}.alpha"] = torch.tensor(ALPHA)
        save_file(state, folder / "lora.safetensors")
        ref = tiny[model].with_patch(LoraPatch.from_file(str(folder / "lora.safetensors"), weight=STRENGTH))
        with cache.use(ref, component) as patched:
            assert patched[component].get_submodule(module).weight.allclose(expected(before), atol=1e-6)
        assert torch.equal(plain.get_submodule(module).weight, before)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("end", ["attn2.to_v", "resnets.0.conv1"])
def test_what_is_added_is_what_the_formula_says(tiny, tmp_path, kind, end):
    check(tiny, "sd15", end, KINDS[kind], tmp_path)


def test_dora_may_have_its_magnitudes_by_column(tiny, tmp_path):
    check(tiny, "sd15", "attn2.to_v", dora_by_column, tmp_path)


@pytest.mark.parametrize("kind", ["LoHa", "LoKr", "whole"])
@pytest.mark.parametrize("model", ["sdxl", "z-image"])
def test_text_encoders_and_transformers_take_them_too(tiny, tmp_path, kind, model):
    check(tiny, model, NAMES[model][1], KINDS[kind], tmp_path)


def test_the_text_encoders_may_have_a_weight_of_their_own(tiny, tmp_path):
    model = ModelLoader(model=tiny["sd15"].path)
    save_file(
        {f"lora_unet_conv_in.{side}.weight": torch.ones(1, 1) for side in ("lora_down", "lora_up")},
        tmp_path / "a.safetensors",
    )
    lora = LoraLoader(id="lora", lora=tmp_path, weight=0.7, clip_weight=0.2, unet=model, clip=model)
    with nb.Studio(settings=nb.Settings(device="cpu")) as studio:
        run = studio.run(lora, progress=False)
        assert run[lora].unet.model.patches[0].weight == 0.7
        assert run[lora].clip.model.patches[0].weight == 0.2


def test_a_lora_for_another_base_is_refused_before_it_runs(tiny, tmp_path):
    name = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
    save_file(
        {f"{name}.lora_down.weight": torch.ones(1, 2048), f"{name}.lora_up.weight": torch.ones(4, 1)},
        tmp_path / "a.safetensors",
    )
    model = ModelLoader(model=tiny["sd15"].path)
    lora = LoraLoader(id="lora", lora=tmp_path / "a.safetensors", unet=model, clip=model)
    with (
        nb.Studio(settings=nb.Settings(device="cpu")) as studio,
        pytest.raises(
            GraphError, match="is a LoRA for models of stable-diffusion-xl base, and this model is of stable-diffusion"
        ),
    ):
        studio.run(Prompt(text="a", clip=lora), progress=False)
