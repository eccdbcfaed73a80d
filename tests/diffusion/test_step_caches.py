"""Step caches and compilers: told apart by their keys, without traces in other runs."""

from typing import Any

import pytest
import torch

import nbgraph as nb
from nbgraph.diffusion.denoising import DenoiseSettings
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.refs import CompilePatch, ModelRef, StepCachePatch
from nbgraph.errors import CancelledError, ModelError
from nbgraph.invocations import DenoiseLatents, Iterate, ModelLoader, Noise, Prompt, StepCache
from tests.diffusion.drawing import noise, sample
from tests.diffusion.models import TinyModels

SIDE = 32
SETTINGS = DenoiseSettings(steps=6, cfg=1.0)


def drawn(cache: ModelCache, ref: ModelRef, **more: Any) -> torch.Tensor:
    return sample(cache, ref, SETTINGS, noise=noise(ref, side=SIDE), **more).tensor


@pytest.mark.parametrize(
    ("name", "patch"),
    [
        ("flux", StepCachePatch(method="first_block", threshold=10.0)),
        ("chroma", StepCachePatch(method="pyramid", every=3)),
        ("flux", StepCachePatch(method="faster", every=3)),
        ("qwen-image", StepCachePatch(method="first_block", threshold=10.0)),
    ],
    ids=lambda value: value if isinstance(value, str) else value.method,
)
def test_a_step_cache_changes_the_image_the_same_way_each_time_and_no_other_image(
    name: str, patch: StepCachePatch, tiny: TinyModels, shared_cache: ModelCache
) -> None:
    plain, ref = drawn(shared_cache, tiny[name]), tiny[name].with_patch(patch)
    cached = drawn(shared_cache, ref)
    assert (cached - plain).abs().max() > 1e-6

    def stop(step: int, *more: Any) -> None:
        if step == 3:
            raise CancelledError("enough")

    with pytest.raises(CancelledError):
        drawn(shared_cache, ref, on_step=stop)
    assert (drawn(shared_cache, ref) - cached).abs().max() == 0
    assert (drawn(shared_cache, tiny[name]) - plain).abs().max() == 0


def test_a_cache_that_skips_nothing_changes_nothing(tiny: TinyModels, shared_cache: ModelCache) -> None:
    never = tiny["flux"].with_patch(StepCachePatch(method="first_block", threshold=0.0))
    assert (drawn(shared_cache, never) - drawn(shared_cache, tiny["flux"])).abs().max() == 0


def test_models_without_step_caches_and_two_of_them_are_refused(tiny: TinyModels, shared_cache: ModelCache) -> None:
    patch = StepCachePatch()
    with pytest.raises(ModelError, match="UNet2DConditionModel, the denoiser of .*, has no step caches"):
        drawn(shared_cache, tiny["sd15"].with_patch(patch))
    with pytest.raises(ModelError, match="there are 2 step caches for the model"):
        drawn(shared_cache, tiny["flux"].with_patch(patch).with_patch(patch))


@pytest.mark.parametrize("name", ["sd15", "flux"])
def test_a_compiled_denoiser_draws_the_same_image(name: str, tiny: TinyModels, shared_cache: ModelCache) -> None:
    patched = tiny[name].with_patch(CompilePatch(backend="eager"))
    compiled = drawn(shared_cache, patched)
    assert (compiled - drawn(shared_cache, tiny[name])).abs().max() < 1e-4
    for ref, is_compiled in ((patched, True), (tiny[name], False)):
        with shared_cache.use(ref, "denoiser") as components:
            (denoiser,) = components.modules.values()
        assert any(module._compiled_call_impl is not None for module in denoiser.modules()) == is_compiled


def test_what_makes_a_denoiser_faster_is_part_of_the_key(tiny: TinyModels) -> None:
    with nb.Studio(settings=nb.Settings(device="cpu")) as studio:

        def node(model: Any, unet: Any) -> DenoiseLatents:
            prompt, start = Prompt(text="a", clip=model), Noise(id="noise", unet=model, seed=1, width=SIDE, height=SIDE)
            return DenoiseLatents(id="drawn", unet=unet, positive=prompt, noise=start, steps=1, cfg_scale=1.0)

        plain = ModelLoader(model=tiny["flux"].path)
        made = [
            node(plain, plain),
            node(plain, StepCache(unet=plain, threshold=0.1)),
            node(plain, StepCache(unet=plain)),
        ]
        runs = [studio.run(each, progress=False) for each in (*made, *made)]
        assert [run.stats.set_index("node").cached["drawn"] for run in runs] == [False] * 3 + [True] * 3
        assert "speedup" not in runs[0].stats
        for run in (runs[1], runs[4]):
            told = run.stats.set_index("node").speedup
            assert (told["drawn"], set(told.drop("drawn"))) == ("first_block cache", {""})
            assert "speedup</th>" in run.stats._repr_html_()
        compiled = ModelLoader(model=tiny["flux"].path, compiler="eager")
        stats = studio.run(node(compiled, compiled), progress=False).stats.set_index("node")
        assert not stats.cached["drawn"]
        assert stats.speedup["drawn"] == "compiled by eager"
        each = Iterate(collection=[0.1, 0.2])
        run = studio.run(node(plain, StepCache(unet=plain, method="pyramid", threshold=each)), progress=False)
        assert list(run.stats.speedup[run.stats.source == "drawn"]) == ["pyramid cache"] * 2
