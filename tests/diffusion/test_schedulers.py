"""Schedulers by name: every name draws, unknown names name the nearest."""

import importlib.util

import pytest

from nbgraph import diffusion
from nbgraph.diffusion import schedulers
from nbgraph.diffusion.denoising import DenoiseSettings
from nbgraph.diffusion.description import describe_model
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.schedulers import SCHEDULER_NAMES, make_scheduler
from nbgraph.errors import ModelError
from tests.diffusion.drawing import sample
from tests.diffusion.models import TinyModels

DIFFUSION = [name for name in SCHEDULER_NAMES if not name.startswith("flow_")]
FLOW = ["default", "flow_euler", "flow_heun", "dpmpp_2m", "unipc", "deis", "dpmpp_2s", "dpmpp_2m_sde", "dpmpp_3m"]
PACKAGES = {"lms": "scipy", "lms_k": "scipy", "dpmpp_sde": "torchsde", "dpmpp_sde_k": "torchsde"}


@pytest.mark.parametrize("name", DIFFUSION)
def test_every_scheduler_draws_with_a_diffusion_model(name: str, tiny: TinyModels, shared_cache: ModelCache) -> None:
    package = PACKAGES.get(name)
    if package and importlib.util.find_spec(package) is None:
        with pytest.raises(ModelError, match=f"needs the package {package}"):
            make_scheduler(describe_model(tiny["sd15"]), name)
        return
    seen: list[int] = []
    latents = sample(shared_cache, tiny["sd15"], DenoiseSettings(steps=5, scheduler=name),
                     on_step=lambda step, steps, preview: seen.append(step))  # fmt: skip
    assert latents.tensor.isfinite().all()
    assert seen == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("name", FLOW)
def test_schedulers_that_can_follow_a_flow_model(name: str, tiny: TinyModels, shared_cache: ModelCache) -> None:
    assert sample(shared_cache, tiny["sd3"], DenoiseSettings(steps=5, scheduler=name)).tensor.isfinite().all()


@pytest.mark.parametrize("name", ["dpmpp_2m_k", "dpmpp_2s_k", "dpmpp_2m_sde_k", "dpmpp_sde", "dpmpp_sde_k"])
def test_solvers_that_would_draw_no_numbers_with_a_flow_model_are_refused(name: str, tiny: TinyModels) -> None:
    for model in ("sd3", "sana"):
        with pytest.raises(ModelError, match="is a flow-matching model; possible: default") as refused:
            make_scheduler(describe_model(tiny[model]), name)
        assert name not in str(refused.value).partition("possible:")[2].replace(",", "").split()


def test_one_that_cannot_names_those_that_can(tiny: TinyModels) -> None:
    with pytest.raises(ModelError, match="which is a flow-matching model; possible: default, .*unipc"):
        make_scheduler(describe_model(tiny["sd3"]), "euler_a")
    with pytest.raises(ModelError, match="which is not a flow-matching model; possible: default, ddim"):
        make_scheduler(describe_model(tiny["sd15"]), "flow_euler")


def test_an_unknown_name_names_the_nearest(tiny: TinyModels) -> None:
    with pytest.raises(ModelError, match="did you mean 'euler_a'"):
        make_scheduler(describe_model(tiny["sd15"]), "eulera")


def test_the_type_that_editors_read_names_every_row_of_the_table() -> None:
    assert set(SCHEDULER_NAMES) == {"default", *schedulers._TABLE}


def test_the_package_gives_its_names_again_and_again() -> None:
    assert callable(diffusion.denoise)
    assert callable(diffusion.denoise)
    with pytest.raises(AttributeError, match="no attribute 'denoize'"):
        _ = diffusion.denoize
