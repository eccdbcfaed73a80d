"""Denoising in pieces: steps 0-3 and 3-8 are exactly steps 0-8, for every scheduler that has a memory or a dice.

Every family, with all that it can do, is tried with its own scheduler in `test_cells`.
"""

from dataclasses import replace

import pytest

from nbgraph.diffusion.denoising import DenoiseSettings
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.errors import ModelError
from tests.diffusion.drawing import noise, sample
from tests.diffusion.models import TinyModels

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


def test_an_empty_window_gives_back_what_it_got(tiny: TinyModels, shared_cache: ModelCache) -> None:
    drawn = noise(tiny["sd15"])
    same = sample(shared_cache, tiny["sd15"], DenoiseSettings(steps=8, start=5, end=5), latents=drawn)
    assert (same.tensor - drawn.tensor).abs().max() == 0


@pytest.mark.parametrize(("start", "end"), [(-1, None), (5, 3), (0, 9), (9, None)])
def test_windows_outside_the_steps_are_refused(
    start: int, end: int | None, tiny: TinyModels, shared_cache: ModelCache
) -> None:
    with pytest.raises(ModelError, match="cannot denoise from step"):
        sample(shared_cache, tiny["sd15"], DenoiseSettings(steps=8, start=start, end=end))


def test_a_pipeline_that_cannot_stop_part_way_says_so(tiny: TinyModels, shared_cache: ModelCache) -> None:
    with pytest.raises(ModelError, match="'pixart-sigma' cannot start or stop part-way"):
        sample(shared_cache, tiny["pixart"], DenoiseSettings(steps=8, end=3))
