"""Schedulers by name: every name draws, unknown names name the nearest."""

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler

import nbgraph as nb
from nbgraph import diffusion
from nbgraph.diffusion import schedulers
from nbgraph.diffusion.assembly import describe_known
from nbgraph.diffusion.defaults import Defaults, default_cfg, defaults_of
from nbgraph.diffusion.denoising import DenoiseSettings
from nbgraph.diffusion.description import describe_model
from nbgraph.diffusion.known_models import known_model
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.sampling_options import SamplingOptions
from nbgraph.diffusion.schedulers import SCHEDULER_NAMES, make_scheduler
from nbgraph.errors import GraphError, ModelError
from nbgraph.invocations import DenoiseLatents, ModelLoader, Noise, Prompt
from tests.diffusion.drawing import AVOID, SEED, SIDE, TEXT, sample
from tests.diffusion.models import TinyModels
from tests.diffusion.table import EDITED, TINY

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


SIGMAS = (14.0, 5.0, 1.5, 0.3)


def latents_of(pipeline: Any, **given: Any) -> torch.Tensor:
    found = pipeline(TEXT, negative_prompt=AVOID, height=SIDE, width=SIDE, output_type="latent", guidance_scale=4.0,
                     generator=torch.Generator().manual_seed(SEED), **given)  # fmt: skip
    return found.images


def test_explicit_sigmas_are_those_of_the_pipeline(tiny: TinyModels, shared_cache: ModelCache) -> None:
    expected = latents_of(tiny.pipeline("sdxl"), sigmas=list(SIGMAS))
    settings = DenoiseSettings(steps=4, cfg=4.0, options=SamplingOptions(sigmas=SIGMAS))
    assert (sample(shared_cache, tiny["sdxl"], settings).tensor - expected).abs().max() == 0
    half = sample(shared_cache, tiny["sdxl"], replace(settings, end=2))
    rest = sample(shared_cache, tiny["sdxl"], replace(settings, start=2), latents=half)
    assert torch.equal(rest.tensor, sample(shared_cache, tiny["sdxl"], settings).tensor)


@pytest.mark.parametrize("spacing", ["leading", "linspace", "trailing"])
def test_the_spacing_of_timesteps_is_that_of_diffusers(
    tiny: TinyModels, shared_cache: ModelCache, spacing: str
) -> None:
    pipeline = tiny.pipeline("sdxl")
    pipeline.scheduler = EulerDiscreteScheduler.from_config(pipeline.scheduler.config, timestep_spacing=spacing)
    settings = DenoiseSettings(steps=4, cfg=4.0, options=SamplingOptions(spacing=spacing))
    expected = latents_of(pipeline, num_inference_steps=4)
    assert (sample(shared_cache, tiny["sdxl"], settings).tensor - expected).abs().max() == 0


def test_a_shift_is_that_of_diffusers(tiny: TinyModels, shared_cache: ModelCache) -> None:
    pipeline = tiny.pipeline("sd3")
    pipeline.scheduler = FlowMatchEulerDiscreteScheduler.from_config(pipeline.scheduler.config, shift=7.0)
    settings = DenoiseSettings(steps=4, cfg=4.0, options=SamplingOptions(shift=7.0))
    expected = latents_of(pipeline, num_inference_steps=4)
    assert (sample(shared_cache, tiny["sd3"], settings).tensor - expected).abs().max() == 0
    for name in ("flux", "z-image"):
        found = [sample(shared_cache, tiny[name], replace(settings, options=SamplingOptions(shift=s))) for s in (1, 9)]
        assert not torch.equal(found[0].tensor, found[1].tensor)


@pytest.mark.parametrize(
    ("name", "scheduler", "options", "words"),
    [
        ("sd15", "default", {"shift": 3.0}, "denoise.shift: shift is for flow-matching models"),
        ("sd15", "ddim", {"sigmas": [3.0, 1.0]}, "denoise.sigmas: DDIMScheduler takes no sigmas; use 'euler'"),
        ("sd3", "default", {"timestep_spacing": "trailing"}, "denoise.timestep_spacing: .* takes no timestep spacing"),
        ("sd3", "default", {"sigmas": [3.0, 1.0]}, "denoise.sigmas: sigmas of a flow-matching model are at most 1"),
        ("sdxl", "default", {"sigmas": [1.0, 3.0]}, "denoise.sigmas: sigmas must fall"),
        ("sdxl", "default", {"sigmas": []}, "denoise.sigmas: sigmas must fall"),
        ("sdxl", "default", {"sigmas": [3.0, 1.0], "steps": 3}, "denoise.steps: is 3, and there are 2 sigmas"),
        ("sd3", "euler_a", {"shift": 3.0}, "denoise.scheduler: .*cannot draw with"),
    ],
)
def test_what_a_schedule_cannot_have_is_refused_before_a_step(studio, tiny, name, scheduler, options, words) -> None:
    model = ModelLoader(model=tiny[name].path)
    node = DenoiseLatents(
        id="denoise", unet=model, positive=Prompt(text="a", clip=model), noise=Noise(unet=model, seed=1),
        scheduler=scheduler, **options,
    )  # fmt: skip
    with pytest.raises(GraphError, match=words):
        studio.run(node, progress=False)


def test_steps_and_guidance_are_those_of_the_family(tiny: TinyModels, tmp_path: Path) -> None:
    found = {name: defaults_of(describe_model(tiny[name])) for name in (*TINY, *EDITED)}
    assert (found["sd15"].steps, found["sd15"].cfg) == (20, 7.5)
    assert (found["sdxl"].cfg, found["sd3"].steps) == (5.0, 28)
    assert {found[name].cfg for name in ("flux",)} == {1.0}
    assert {usual.steps for usual in found.values()} <= {4, 9, 20, 28, 30, 35, 50}
    for name, of in (
        ("flux-schnell", Defaults(4, 1.0)),
        ("flux-dev", Defaults(28, 1.0)),
        ("flux-fill", Defaults(28, 1.0, 30.0)),
    ):
        described = describe_known(tmp_path, known_model(name))
        assert defaults_of(described) == of
    assert default_cfg(describe_model(tiny["sd15"]), has_negative=False) == 1.0
    assert default_cfg(describe_model(tiny["sdxl"]), has_negative=False) == 5.0


def test_a_node_without_steps_and_guidance_takes_those_of_its_model(tiny: TinyModels) -> None:
    def drawn(**given: Any) -> torch.Tensor:
        node = DenoiseLatents(id="denoise", unet=model, positive=text, negative=text, noise=noise, **given)
        return studio.run(node, progress=False)[node].latents.tensor()

    with nb.Studio(settings=nb.Settings(device="cpu", cache_entries=0)) as studio:
        model = ModelLoader(model=tiny["sd15"].path)
        text, noise = Prompt(text="a red cat", clip=model), Noise(unet=model, seed=1, width=32, height=32)
        assert torch.equal(drawn(), drawn(steps=20, cfg_scale=7.5))


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
