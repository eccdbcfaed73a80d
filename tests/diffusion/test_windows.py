"""Denoising in pieces: steps 0-3 and 3-8 are exactly steps 0-8, for every scheduler that has a memory or a dice.

Every family, with all that it can do, is tried with its own scheduler in `test_cells`.
"""

import json
from dataclasses import replace
from typing import Any

import pytest
import torch

from nbgraph.diffusion.denoising import DenoiseSettings
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.values import Latents
from nbgraph.errors import ModelError
from tests.diffusion.drawing import noise, sample
from tests.diffusion.models import TinyModels
from tests.diffusion.smallest import SCHEDULE, Smallest, picture
from tests.diffusion.smallest import noise as noise_of

RESUMABLE = [
    "default", "ddim", "ddpm", "euler", "euler_k", "euler_a", "heun", "heun_k", "kdpm_2", "kdpm_2_a", "dpmpp_2m",
    "dpmpp_2m_k", "dpmpp_2m_sde", "dpmpp_2s", "dpmpp_2s_k", "unipc", "pndm", "deis", "lcm",
]  # fmt: skip
CASES = [("sd15", name) for name in RESUMABLE]
CASES += [(model, "unipc") for model in ("sdxl", "sd3", "flux", "chroma", "qwen-image", "z-image", "sana")]
CASES += [("sdxl", "euler_a"), ("sdxl", "heun"), ("sd3", "flow_heun"), ("flux", "dpmpp_2m")]


@pytest.mark.parametrize(("model", "scheduler"), CASES)
def test_two_pieces_are_the_whole(model: str, scheduler: str, tiny: TinyModels, shared_cache: ModelCache) -> None:
    ref, options = tiny[model], {"steps": 8, "cfg": 4.0, "scheduler": scheduler}
    drawn = noise(ref, side=32)
    whole = sample(shared_cache, ref, DenoiseSettings(**options), noise=drawn)
    first = sample(shared_cache, ref, DenoiseSettings(**options, end=3), noise=drawn)
    assert (first.tensor - whole.tensor).abs().max() > 0
    seen: list[int] = []
    second = sample(shared_cache, ref, DenoiseSettings(**options, start=3), latents=first,
                    on_step=lambda step, steps, preview: seen.append(step))  # fmt: skip
    assert (second.tensor - whole.tensor).abs().max() == 0
    assert seen == [4, 5, 6, 7, 8]


@pytest.mark.parametrize("scheduler", ["dpmpp_2m", "unipc", "pndm", "deis"])
def test_without_its_memory_a_multistep_scheduler_goes_elsewhere(
    scheduler: str, tiny: TinyModels, shared_cache: ModelCache
) -> None:
    options = {"steps": 8, "cfg": 4.0, "scheduler": scheduler}
    drawn = noise(tiny["sd15"], side=32)
    whole = sample(shared_cache, tiny["sd15"], DenoiseSettings(**options), noise=drawn)
    first = sample(shared_cache, tiny["sd15"], DenoiseSettings(**options, end=3), noise=drawn)
    second = sample(
        shared_cache, tiny["sd15"], DenoiseSettings(**options, start=3), latents=replace(first, solver=None)
    )
    assert (second.tensor - whole.tensor).abs().max() > 1e-3


def test_a_scheduler_that_a_pipeline_cannot_set_up_is_refused(tiny: TinyModels, shared_cache: ModelCache) -> None:
    with pytest.raises(ModelError, match="CogView4Pipeline refuses these inputs: UniPC"):
        sample(shared_cache, tiny["cogview4"], DenoiseSettings(steps=8, scheduler="unipc"))


@pytest.mark.parametrize(("start", "end"), [(-1, None), (5, 3), (0, 9), (9, None), (5, 5), (8, None), (0, 0)])
def test_windows_outside_the_steps_are_refused(
    start: int, end: int | None, tiny: TinyModels, shared_cache: ModelCache
) -> None:
    with pytest.raises(ModelError, match="cannot denoise from step"):
        sample(shared_cache, tiny["sd15"], DenoiseSettings(steps=8, start=start, end=end))


def test_a_pipeline_that_cannot_stop_part_way_says_so(tiny: TinyModels, shared_cache: ModelCache) -> None:
    with pytest.raises(ModelError, match="'pixart-sigma' cannot start or stop part-way"):
        sample(shared_cache, tiny["pixart"], DenoiseSettings(steps=8, end=3))


HALF = DenoiseSettings(steps=8, end=4)


@pytest.fixture(scope="module")
def smallest(tmp_path_factory: pytest.TempPathFactory) -> Smallest:
    return Smallest(tmp_path_factory.mktemp("smallest"))


@pytest.mark.parametrize("kind", ["unet", "flow"])
@pytest.mark.parametrize(
    "changes",
    [{"start": 2}, {"start": 5}, {}, {"start": 2, "steps": 4, "scheduler": "other"}, {"start": 6, "steps": 9}],
)
def test_latents_go_on_only_where_there_is_as_much_noise(
    kind: str, changes: dict[str, Any], smallest: Smallest
) -> None:
    own, names = {
        "unet": ("EulerDiscreteScheduler", {"other": "euler_k"}),
        "flow": ("FlowMatchEulerDiscreteScheduler", {"other": "deis"}),
    }[kind]
    components = smallest.components(kind, own)
    half = smallest.draw(components, HALF, noise=noise_of(components, 7))
    settings = replace(HALF, end=None, **changes)
    with pytest.raises(ModelError) as refused:
        smallest.draw(
            components,
            replace(settings, scheduler=names.get(settings.scheduler, "default")),
            latents=half,
            on_step=no_step,
        )
    for part in ("stopped at step 4 of 8 by 'default' (sigma", "denoising_start=0.5, steps=8 and scheduler='default'"):
        assert part in str(refused.value)


def test_noise_is_not_added_to_latents_that_hold_some(smallest: Smallest) -> None:
    components = smallest.components("unet", "DDIMScheduler")
    drawn = noise_of(components, 7)
    half = smallest.draw(components, HALF, noise=drawn)
    with pytest.raises(ModelError, match="stopped at step 4 of 8 and still hold noise; .* give no other noise"):
        smallest.draw(components, DenoiseSettings(steps=8, start=4), latents=half, noise=drawn, on_step=no_step)
    with pytest.raises(ModelError, match="noise given was denoised already; give it as latents"):
        smallest.draw(components, DenoiseSettings(steps=8), noise=half, on_step=no_step)


@pytest.mark.parametrize(
    ("first", "second"), [("ddim", "euler"), ("euler", "ddim"), ("pndm", "heun"), ("heun", "ddim")]
)
def test_another_scheduler_goes_on_where_there_is_as_much_noise(first: str, second: str, smallest: Smallest) -> None:
    """ddim scales the picture down with the noise, euler does not."""
    components = smallest.components("unet", "DDIMScheduler", timestep_spacing="leading", steps_offset=1, **SCHEDULE)

    def draw(start: int, end: int, name: str, **given: Any) -> Latents:
        settings = DenoiseSettings(steps=20, cfg=1.0, start=start, end=end, scheduler=name)
        return smallest.draw(components, settings, **given)

    whole = draw(10, 20, first, noise=noise_of(components, 7), latents=picture(components)).tensor
    half = draw(10, 12, first, noise=noise_of(components, 7), latents=picture(components))
    other = draw(12, 20, second, latents=half).tensor
    assert (other - whole).pow(2).mean().sqrt() < 0.02 * whole.std()


def test_latents_kept_before_their_level_was_noted_go_on_with_the_same_scheduler_alone(smallest: Smallest) -> None:
    components = smallest.components("unet", "DDIMScheduler")
    half = smallest.draw(components, HALF, noise=noise_of(components, 7))
    tensors, metadata = half.to_tensors()
    metadata = json.loads(json.dumps(metadata))
    assert Latents.from_tensors(tensors, metadata).window == half.window
    for name in ("solver", "level"):
        del metadata["window"][name]
    old, rest = Latents.from_tensors(tensors, metadata), DenoiseSettings(steps=8, start=4)
    assert torch.equal(
        smallest.draw(components, rest, latents=old).tensor, smallest.draw(components, rest, latents=half).tensor
    )
    with pytest.raises(ModelError, match="stopped at step 4 of 8 by 'default', and step 4 of 8 by 'euler' begins"):
        smallest.draw(components, replace(rest, scheduler="euler"), latents=old, on_step=no_step)


def no_step(*done: Any) -> None:
    raise AssertionError("a step was done")
