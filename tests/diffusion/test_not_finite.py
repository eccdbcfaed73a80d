"""Values that are no finite numbers are an error where they are made, which says what made them and what to do."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from nbgraph.diffusion.batching import DenoiseInput, denoise_together
from nbgraph.diffusion.components import Components
from nbgraph.diffusion.controls import Control
from nbgraph.diffusion.denoising import DenoiseSettings
from nbgraph.diffusion.finite import check_finite, check_step
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.preview import fit_factors, preview_image
from nbgraph.diffusion.prompt import encode_prompt
from nbgraph.diffusion.refs import ModelRef
from nbgraph.diffusion.t2i_adapters import T2iAdapter
from nbgraph.diffusion.vae import decode_latents, encode_image
from nbgraph.errors import ModelError
from tests.diffusion.drawing import TEXT, encode, noise, sample
from tests.diffusion.models import TinyModels
from tests.diffusion.smallest import Smallest
from tests.diffusion.smallest import noise as smallest_noise
from tests.tiny_models import build_controlnet, build_t2i_adapter

SETTINGS = DenoiseSettings(steps=4, cfg=4.0)
DAMAGED = "its weights may be damaged, or for another kind of model"
NOT_NUMBERS = r"values that are not numbers \(NaN\)"


def broken(module: Any, parameter: str, value: float = torch.nan) -> Any:
    """A copy of a module with one damaged parameter."""
    other = copy.deepcopy(module)
    torch.nn.init.constant_(other.get_parameter(parameter), value)
    return other


def with_module(components: Components, name: str, change: Callable[[Any], Any]) -> Components:
    return replace(components, modules={**components.modules, name: change(components[name])})


@pytest.mark.parametrize(("kind", "parameter"), [("unet", "conv_out.bias"), ("flow", "proj_out.bias")])
def test_a_denoiser_names_the_step_and_itself(kind: str, parameter: str, tmp_path: Path) -> None:
    smallest = Smallest(tmp_path)
    own = {"unet": "EulerDiscreteScheduler", "flow": "FlowMatchEulerDiscreteScheduler"}[kind]
    whole = smallest.components(kind, own)
    name = "unet" if kind == "unet" else "transformer"
    components = with_module(whole, name, lambda module: broken(module, parameter))
    with pytest.raises(ModelError, match=rf"step 1 of 4: the {name} of '.*' gave {NOT_NUMBERS}, in float32: {DAMAGED}"):
        smallest.draw(components, SETTINGS, noise=smallest_noise(components, 1))


def test_a_denoiser_that_fails_late_names_that_step_and_the_picture(tmp_path: Path) -> None:
    """Of two pictures one gives NaN from the third step on."""
    smallest = Smallest(tmp_path)
    whole = smallest.components("unet", "EulerDiscreteScheduler")
    calls: list[int] = []

    def fail_late(module: Any) -> Any:
        other = copy.copy(module)

        def forward(sample: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            calls.append(len(sample))
            given = type(module).forward(other, sample, *args, **kwargs)
            if len(calls) >= 3:
                given[0][1] = torch.inf
            return given

        other.forward = forward
        return other

    components = with_module(whole, "unet", fail_late)
    with pytest.raises(ModelError, match=r"step 3 of 4: the unet of .* in picture 2 of 2"):
        smallest.draw(components, replace(SETTINGS, cfg=1.0), noise=smallest_noise(components, 1, 2))
    assert calls == [2, 2, 2]


def test_a_scheduler_that_makes_no_numbers_of_numbers_is_named(tmp_path: Path) -> None:
    smallest = Smallest(tmp_path)
    components = smallest.components("unet", "EulerDiscreteScheduler")
    predicted = torch.zeros(1, 4, 8, 8)
    with pytest.raises(ModelError, match=r"step 2 of 4: the scheduler 'euler' made values that are not finite"):
        check_step(components, "euler", 2, 4, predicted, predicted / 0)


def test_what_is_given_is_looked_at_before_a_step(tiny: TinyModels, shared_cache: ModelCache) -> None:
    drawn = noise(tiny["sd15"])
    wrong = replace(drawn, tensor=drawn.tensor.clone().index_fill_(1, torch.tensor([0]), torch.nan))
    for given in ({"noise": wrong}, {"latents": wrong}):
        with pytest.raises(ModelError, match=f"the noise or latents to denoise have {NOT_NUMBERS}; make them again"):
            sample(shared_cache, tiny["sd15"], SETTINGS, **given)
    text = encode(shared_cache, tiny["sd15"], TEXT)
    nothing = replace(text, tensors={name: tensor * torch.inf for name, tensor in text.tensors.items()})
    with (
        shared_cache.use(tiny["sd15"], "denoiser") as components,
        pytest.raises(ModelError, match="the positive conditioning has .*; make them again"),
    ):
        denoise_together(components, [DenoiseInput(nothing, text, drawn)], SETTINGS)


def test_a_text_encoder_is_named(tiny: TinyModels, shared_cache: ModelCache) -> None:
    with shared_cache.use(tiny["sd15"], "text") as whole:
        components = with_module(whole, "text_encoder", lambda module: broken(module, "final_layer_norm.bias"))
        with pytest.raises(ModelError, match=f"encoding by the text encoder of .* gave {NOT_NUMBERS}"):
            encode_prompt(components, TEXT)


@pytest.mark.parametrize(
    ("dtype", "remedy"),
    [(torch.float32, DAMAGED), (torch.float16, r'float32, with nb.Settings\(dtype="float32"\), or .*force_upcast')],
)
def test_a_vae_is_named_with_what_to_do_in_its_precision(
    dtype: torch.dtype, remedy: str, tiny: TinyModels, shared_cache: ModelCache
) -> None:
    def change(module: Any) -> Any:
        return broken(broken(module, "decoder.conv_out.bias"), "encoder.conv_out.bias").to(dtype)

    with shared_cache.use(tiny["sd15"], "vae") as whole:
        components = with_module(whole, "vae", change)
        with pytest.raises(ModelError, match=f"decoding by the VAE of .* gave {NOT_NUMBERS}, in .*{remedy}"):
            decode_latents(components, noise(tiny["sd15"]))
        with pytest.raises(ModelError, match=f"encoding by the VAE of .* gave {NOT_NUMBERS}, in .*{remedy}"):
            encode_image(components, Image.new("RGB", (64, 64)))
        assert torch.equal(fit_factors(components), torch.eye(5, 3))


def test_what_steers_is_named(tiny: TinyModels, shared_cache: ModelCache, tmp_path: Path) -> None:
    ref, gray = tiny["sd15"], Image.new("RGB", (64, 64), "gray")
    control = ModelRef.from_path(str(build_controlnet(tmp_path / "control", Path(ref.path))))
    adapter = ModelRef.from_path(str(build_t2i_adapter(tmp_path / "t2i", xl=True)))
    with shared_cache.use(control, "controlnet") as nets:
        net = broken(nets["controlnet"], "controlnet_mid_block.bias")
        controls = [Control(nets["controlnet"], gray), Control(net, gray)]
        with pytest.raises(ModelError, match=f"ControlNet 2 gave {NOT_NUMBERS}"):
            sample(shared_cache, ref, SETTINGS, controls=controls)
    with shared_cache.use(adapter, "t2i_adapter") as loaded:
        damaged = broken(loaded["t2i_adapter"], "adapter.conv_in.bias")
        with pytest.raises(ModelError, match=f"the T2I-Adapter gave {NOT_NUMBERS}"):
            sample(shared_cache, ref, SETTINGS, adapters=[T2iAdapter(damaged, gray)])


def test_infinite_values_are_told_from_those_that_are_no_numbers() -> None:
    values = torch.zeros(3, 4)
    check_finite(values, "the model", torch.float32)
    values[[0, 2], 1] = torch.inf
    with pytest.raises(ModelError, match="the model gave infinite values in picture 1 and 3 of 3, in float16: float16"):
        check_finite(values, "the model", torch.float16)


def test_a_preview_of_no_numbers_is_a_picture() -> None:
    assert preview_image(torch.full((4, 8, 8), torch.nan), None).size == (8, 8)
