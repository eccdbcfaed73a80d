"""Noise levels, noise and start are those of the formulas that ComfyUI and A1111 use."""

import json
import math

import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr

from nbgraph.diffusion.description import describe_model
from nbgraph.diffusion.refs import ModelRef
from nbgraph.diffusion.tool_sampling import (
    ToolSettings,
    batch_noise,
    last_level,
    noised,
    sampled_sigmas,
    sigma_table,
    tool_scheduler,
)
from nbgraph.diffusion.tool_sigmas import flow_table, flux_shift, noise_table, part_of_sigmas, sigmas
from nbgraph.errors import ModelError
from tests.tiny_models import BUILDERS

BETAS = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
TABLE = noise_table(torch.cumprod(1 - BETAS, 0).numpy())
FLOW = flow_table(3.0)
NEAR = {"rtol": 1e-6, "atol": 1e-6}


def test_the_trained_levels_are_those_of_stable_diffusion():
    assert TABLE.levels[0] == pytest.approx(0.0292, abs=1e-4)
    assert TABLE.largest == pytest.approx(14.6146, abs=1e-4)


def test_a_zero_snr_stretches_the_trained_levels_as_diffusers_does():
    table = noise_table(torch.cumprod(1 - BETAS, 0).numpy(), zero_snr=True)
    alphas = torch.cumprod(1 - rescale_zero_terminal_snr(BETAS), 0)[:-1]
    np.testing.assert_allclose(table.levels[:-1], ((1 - alphas) / alphas).sqrt().numpy(), rtol=1e-6)
    assert table.largest == pytest.approx(4518.76, abs=0.01)


def test_a_model_trained_with_a_zero_snr_is_sampled_by_its_levels(tmp_path):
    model = describe_model(BUILDERS["sd15"](tmp_path / "sd15"))
    assert sigma_table(model, ToolSettings()).largest < 15
    config = {**model.config("scheduler"), "rescale_betas_zero_snr": True}
    (tmp_path / "sd15/scheduler/scheduler_config.json").write_text(json.dumps(config))
    changed = describe_model(ModelRef.from_path(str(tmp_path / "sd15")))
    assert sigma_table(changed, ToolSettings()).largest > 4000


def test_normal_goes_evenly_through_the_timesteps():
    wanted = [TABLE.sigma_at(place) for place in np.linspace(999, 0, 20)]
    np.testing.assert_allclose(sigmas(TABLE, "normal", 20), [*wanted, 0], **NEAR)


def test_sgm_uniform_leaves_out_the_last_timestep():
    wanted = [TABLE.sigma_at(place) for place in np.linspace(999, 0, 21)[:-1]]
    np.testing.assert_allclose(sigmas(TABLE, "sgm_uniform", 20), [*wanted, 0], **NEAR)


def test_simple_takes_every_fiftieth_level_from_the_end():
    np.testing.assert_allclose(sigmas(TABLE, "simple", 20), [*TABLE.levels[::-1][::50], 0], **NEAR)


def test_ddim_uniform_takes_every_fiftieth_level_from_the_second():
    np.testing.assert_allclose(sigmas(TABLE, "ddim_uniform", 20), [*TABLE.levels[1::50][::-1], 0], **NEAR)


def test_karras_and_exponential_go_from_the_highest_to_the_lowest():
    low, high = TABLE.levels[0], TABLE.largest
    ramp = np.linspace(0, 1, 20)
    karras = (high ** (1 / 7) + ramp * (low ** (1 / 7) - high ** (1 / 7))) ** 7
    np.testing.assert_allclose(sigmas(TABLE, "karras", 20), [*karras, 0], **NEAR)
    np.testing.assert_allclose(sigmas(TABLE, "exponential", 20), [*(high * (low / high) ** ramp), 0], **NEAR)


def test_kl_optimal_goes_evenly_through_the_angles():
    angles = np.linspace(math.atan(TABLE.largest), math.atan(TABLE.levels[0]), 20)
    np.testing.assert_allclose(sigmas(TABLE, "kl_optimal", 20), [*np.tan(angles), 0], **NEAR)


def test_beta_takes_trained_levels_and_none_twice():
    found = sigmas(TABLE, "beta", 20)
    assert found[0] == TABLE.largest
    assert set(found[:-1]) <= set(TABLE.levels)
    assert (np.diff(found) < 0).all()
    assert len(sigmas(TABLE, "beta", 2000)) < 1002


def test_linear_quadratic_falls_from_the_highest_to_zero():
    found = sigmas(FLOW, "linear_quadratic", 10)
    np.testing.assert_allclose(found[:5], 1 - np.arange(5) * 0.025 / 5, **NEAR)
    assert (len(found), found[-1]) == (11, 0)
    assert (np.diff(found) < 0).all()


def test_a_shift_bends_the_levels_of_flow_matching():
    shares = np.linspace(1, 0.001, 1000)[::250]
    np.testing.assert_allclose(sigmas(FLOW, "simple", 4), [*(3 * shares / (1 + 2 * shares)), 0], **NEAR)


def test_normal_levels_of_flow_matching_end_at_the_lowest_level_shifted_once_more():
    places = np.linspace(1, FLOW.levels[0], 5)
    np.testing.assert_allclose(sigmas(FLOW, "normal", 5), [*(3 * places / (1 + 2 * places)), 0], **NEAR)


def test_the_shift_of_flux_is_that_of_the_number_of_patches():
    assert flux_shift(1024, 1024) == pytest.approx(math.exp(1.15))
    assert flux_shift(256, 256) == pytest.approx(math.exp(0.5))


@pytest.mark.parametrize("sampler", ["uni_pc", "uni_pc_bh2"])
def test_unipc_takes_one_step_more_and_leaves_out_the_last_but_one(sampler):
    whole = sigmas(TABLE, "normal", 21)
    np.testing.assert_allclose(sigmas(TABLE, "normal", 20, sampler), [*whole[:-2], 0], **NEAR)


def test_denoise_runs_the_last_steps_of_a_longer_schedule():
    whole = sigmas(TABLE, "karras", 33)
    np.testing.assert_allclose(part_of_sigmas(TABLE, "karras", 20, 0.6, "euler"), whole[-21:], **NEAR)
    assert len(part_of_sigmas(TABLE, "karras", 20, 0, "euler")) == 0


def test_a_denoise_that_asks_for_billions_of_levels_is_refused():
    with pytest.raises(ModelError, match="denoise is 1e-09, .* give at least 0.0002, or 0"):
        part_of_sigmas(TABLE, "karras", 20, 1e-9, "euler")


def test_unipc_is_of_third_order_as_far_as_there_are_steps_and_ends_above_0(tmp_path):
    model = describe_model(BUILDERS["sd15"](tmp_path / "sd15"))
    orders = {}
    for steps in (1, 2, 3, 4, 20):
        settings = ToolSettings(steps, sampler="uni_pc")
        levels = sampled_sigmas(TABLE, settings)
        scheduler = tool_scheduler(model, settings, TABLE, levels)
        orders[steps] = scheduler.config.solver_order
        assert float(scheduler.fixed[0][-1]) == pytest.approx(0.001)
    assert orders == {1: 1, 2: 1, 3: 2, 4: 3, 20: 3}
    assert last_level(levels[:1], "uni_pc") == levels[0]


def test_an_early_end_jumps_to_zero_unless_noise_is_left():
    whole = sigmas(TABLE, "normal", 20)
    left = sampled_sigmas(TABLE, ToolSettings(20, start_step=3, end_step=12, leftover_noise=True))
    np.testing.assert_allclose(left, whole[3:13], **NEAR)
    done = sampled_sigmas(TABLE, ToolSettings(20, start_step=3, end_step=12))
    np.testing.assert_allclose(done, [*whole[3:12], 0], **NEAR)


def test_a_start_after_the_end_does_nothing():
    assert len(sampled_sigmas(TABLE, ToolSettings(20, start_step=20))) == 0


def test_a1111_changes_a_picture_by_its_share_of_the_steps():
    whole = sigmas(TABLE, "karras", 20)
    found = sampled_sigmas(TABLE, ToolSettings(20, schedule="karras", denoise=0.5, tool="a1111"))
    np.testing.assert_allclose(found, whole[9:], **NEAR)


def test_the_noise_of_a_batch_is_drawn_at_once_with_seeds_up_to_the_largest():
    seed = 2**64 - 1
    whole = torch.randn((3, 4, 8, 8), generator=torch.Generator("cpu").manual_seed(seed))
    for index in range(3):
        assert torch.equal(batch_noise((1, 4, 8, 8), seed, 3, index), whole[index : index + 1])


def test_comfyui_begins_with_a_little_more_noise_than_a1111_and_only_at_the_highest_level():
    noise, zeros = torch.ones(1, 4, 2, 2), torch.zeros(1, 4, 2, 2)
    high = TABLE.largest
    assert float(noised(TABLE, high, noise, zeros, "comfy").mean()) == pytest.approx(math.sqrt(1 + high**2), rel=1e-6)
    assert float(noised(TABLE, high, noise, zeros, "a1111").mean()) == pytest.approx(high, rel=1e-6)
    assert float(noised(TABLE, 2.0, noise, noise, "comfy").mean()) == pytest.approx(3.0, rel=1e-6)
    assert float(noised(FLOW, 0.25, noise, 3 * noise, "comfy").mean()) == pytest.approx(2.5, rel=1e-6)


def test_the_denoiser_is_told_the_nearest_timestep_by_comfyui_and_a_place_between_by_a1111():
    between = math.sqrt(TABLE.levels[500] * TABLE.levels[501])
    assert TABLE.timestep_of(between * 1.0001) in (500.0, 501.0)
    assert TABLE.timestep_of(between, nearest=False) == pytest.approx(500.5)
    assert FLOW.timestep_of(0.4) == pytest.approx(400)
