"""The same seed gives the same picture: with every scheduler by name and as a model's own, whatever is drawn how.

Repeated, under other global seeds, and in pieces the latents are equal bit for bit. Together with others they are those
drawn alone up to rounding, and what the generators have drawn is equal bit for bit.
"""

import inspect
import random
from collections.abc import Iterator
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

from nbgraph.diffusion.components import Components
from nbgraph.diffusion.denoising import DenoiseSettings
from nbgraph.diffusion.schedulers import SCHEDULER_NAMES
from nbgraph.diffusion.values import Latents
from nbgraph.errors import ModelError
from tests.diffusion.smallest import SCHEDULE, Smallest, noise, picture

STEPS = 4
UNET_OWN = (
    "CMStochasticIterative", "CogVideoXDDIM", "CosineDPMSolverMultistep", "DDIM", "DDIMInverse", "DDIMParallel", "DDPM",
    "DDPMParallel", "DEISMultistep", "DPMSolverMultistep", "DPMSolverMultistepInverse", "DPMSolverSDE",
    "DPMSolverSinglestep", "EDMDPMSolverMultistep", "EDMEuler", "EulerAncestralDiscrete", "EulerDiscrete",
    "HeunDiscrete", "IPNDM", "KDPM2AncestralDiscrete", "KDPM2Discrete", "LCM", "LMSDiscrete", "PNDM", "SASolver", "TCD",
    "UniPCMultistep",
)  # fmt: skip
"""The classes of diffusers that its pipelines over a UNet run with."""
FLOW_OWN = (
    "FlowMapEulerDiscrete", "FlowMatchEulerDiscrete", "FlowMatchHeunDiscrete", "FlowMatchLCM", "LTXEulerAncestralRF",
    "MiniMaxH3", "DPMSolverSDE", "DDPM", "EulerAncestralDiscrete", "SASolver",
)  # fmt: skip
"""Those that a flow-matching pipeline runs with, and some more that draw: these pipelines give them no generator."""
NO_PICTURES = {"DDIMInverse", "IPNDM", "LTXEulerAncestralRF"}
"""Classes that cannot mix a picture with noise."""
FLOW_NAMES = {"default", "flow_euler", "flow_heun", "dpmpp_2m", "dpmpp_2m_sde", "dpmpp_2s", "dpmpp_3m", "unipc", "deis"}
TASKS = ("text", "picture", "mask")
CASES = [
    *((kind, own, "default") for kind, owns in (("unet", UNET_OWN), ("flow", FLOW_OWN)) for own in owns),
    *(("unet", "DDIM", name) for name in SCHEDULER_NAMES if not name.startswith("flow_") and name != "default"),
    *(("flow", "FlowMatchEulerDiscrete", name) for name in sorted(FLOW_NAMES - {"default"})),
]


@pytest.fixture(scope="module")
def smallest(tmp_path_factory: pytest.TempPathFactory) -> Smallest:
    return Smallest(tmp_path_factory.mktemp("smallest"))


@pytest.fixture(autouse=True)
def _global_seeds() -> Iterator[None]:
    """Other tests go on with the global states they had."""
    states = global_states()
    yield
    torch.set_rng_state(states[0])
    np.random.set_state(states[1])
    random.setstate(states[2])


def global_states() -> tuple[Any, Any, Any]:
    return torch.get_rng_state(), np.random.get_state(), random.getstate()


def same_states(one: tuple[Any, Any, Any], other: tuple[Any, Any, Any]) -> bool:
    return torch.equal(one[0], other[0]) and str(one[1:]) == str(other[1:])


def model(smallest: Smallest, kind: str, own: str, **options: Any) -> Components:
    """The model with a scheduler of its own, whose configuration is that of Stable Diffusion where it takes one."""
    known = inspect.signature(getattr(diffusers, f"{own}Scheduler").__init__).parameters
    config: dict[str, Any] = {"num_train_timesteps": 100, "steps_offset": 1, "clip_sample": False}
    config |= SCHEDULE if kind == "unet" else {}
    return smallest.components(kind, f"{own}Scheduler", **{n: v for n, v in config.items() if n in known} | options)


def given(task: str, components: Components, *seeds: int) -> dict[str, Any]:
    """The inputs of a task, for a picture a seed."""
    inputs: dict[str, Any] = {"noise": noise(components, *seeds)}
    if task != "text":
        inputs["latents"] = picture(components)
    if task == "mask":
        inputs["mask"] = torch.linspace(0, 1, 64).reshape(8, 8)
    return inputs


def rest(task: str, components: Components, first: Latents, *seeds: int) -> dict[str, Any]:
    """The inputs of a second piece; only a mask still needs noise, and the picture it keeps."""
    inputs = given(task, components, *seeds)
    more = {"noise": inputs["noise"], "mask": inputs["mask"], "kept": inputs["latents"]} if task == "mask" else {}
    return {"latents": first, **more}


def refusal(own: str, name: str, task: str) -> str | None:
    """Why a scheduler cannot do a task; None where it can."""
    if own in NO_PICTURES and name == "default" and task != "text":
        return "cannot mix a picture with noise"
    return None


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(("kind", "own", "name"), CASES, ids=["-".join(case) for case in CASES])
def test_a_seed_gives_one_picture(kind: str, own: str, name: str, task: str, smallest: Smallest) -> None:
    components, start = model(smallest, kind, own), 0 if task == "text" else 1
    settings = {"steps": STEPS, "cfg": 3.0, "scheduler": name}

    def draw(start: int, end: int, **inputs: Any) -> Latents:
        return smallest.draw(components, DenoiseSettings(start=start, end=end, **settings), **inputs)

    if problem := refusal(own, name, task):
        with pytest.raises(ModelError, match=problem):
            draw(start, STEPS, **given(task, components, 7))
        return
    whole = draw(start, STEPS, **given(task, components, 7))
    assert whole.tensor.isfinite().all()

    set_global_seeds()
    before = global_states()
    assert torch.equal(draw(start, STEPS, **given(task, components, 7)).tensor, whole.tensor)
    assert same_states(global_states(), before)

    first = draw(start, 2, **given(task, components, 7))
    second = draw(2, STEPS, **rest(task, components, first, 7))
    assert torch.equal(second.tensor, whole.tensor)
    assert torch.equal(second.rng_states, whole.rng_states)
    assert not torch.equal(first.tensor, whole.tensor)

    if task == "text":
        check_same(draw(start, STEPS, **given(task, components, 3, 7)), whole)
    together = draw(start, 2, **given(task, components, 3, 7))
    check_same(draw(2, STEPS, **rest(task, components, together, 3, 7)), whole)


def set_global_seeds() -> None:
    torch.manual_seed(99)
    np.random.seed(99)
    random.seed(99)


def check_same(together: Latents, alone: Latents) -> None:
    """The second of two pictures is the one drawn alone: what it drew bit for bit, the latents up to rounding."""
    assert together.rng_states is not None
    assert torch.equal(together.rng_states[1:], alone.rng_states)
    assert torch.allclose(together.tensor[1:], alone.tensor, rtol=1e-4, atol=1e-3)
    assert not torch.equal(together.tensor[0], together.tensor[1])


@pytest.mark.parametrize("start", [1, 10, 17, 19])
@pytest.mark.parametrize(("own", "name"), [("DDIM", "pndm"), ("PNDM", "default"), ("DDIM", "lms")])
def test_a_multistep_scheduler_over_a_picture_draws_nearly_what_ddim_draws(
    own: str, name: str, start: int, smallest: Smallest
) -> None:
    def draw(own: str, name: str) -> torch.Tensor:
        components = model(smallest, "unet", own, num_train_timesteps=1000, timestep_spacing="leading")
        settings = DenoiseSettings(steps=20, cfg=1.0, scheduler=name, start=start)
        return smallest.draw(components, settings, **given("picture", components, 7)).tensor

    expected = draw("DDIM", "default")
    assert (draw(own, name) - expected).pow(2).mean().sqrt() < 0.1 * expected.std()


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_pndm_draws_in_fewer_steps_than_its_warm_up_has(steps: int, smallest: Smallest) -> None:
    components = model(smallest, "unet", "PNDM")
    drawn = smallest.draw(components, DenoiseSettings(steps=steps, cfg=1.0), **given("text", components, 7))
    assert drawn.tensor.isfinite().all()


@pytest.mark.parametrize(("start", "middle"), [(s, m) for s in range(4) for m in range(s + 1, 5)])
def test_pndm_goes_on_from_within_its_warm_up(start: int, middle: int, smallest: Smallest) -> None:
    components, task = model(smallest, "unet", "PNDM"), "picture" if start else "text"

    def draw(start: int, end: int, **inputs: Any) -> Latents:
        return smallest.draw(components, DenoiseSettings(steps=6, cfg=1.0, start=start, end=end), **inputs)

    whole = draw(start, 6, **given(task, components, 7))
    first = draw(start, middle, **given(task, components, 7))
    assert torch.equal(draw(middle, 6, latents=first).tensor, whole.tensor)


@pytest.mark.parametrize("own", ["DPMSolverSDE", "CosineDPMSolverMultistep"])
def test_every_picture_has_a_brownian_motion_of_its_own(own: str, smallest: Smallest) -> None:
    components, half = model(smallest, "unet", own), DenoiseSettings(steps=STEPS, cfg=1.0, end=2)
    one, other, both = (
        smallest.draw(components, half, noise=noise(components, *seeds)).solver["noise_seeds"].flatten().tolist()
        for seeds in ((3,), (7,), (3, 7))
    )
    assert one != other
    assert both == one + other
