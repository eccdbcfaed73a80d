"""A denoising that was cancelled leaves nothing behind; every family is tried in `test_cells`."""

import pytest

from nbgraph.diffusion.denoising import DenoiseSettings
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.errors import CancelledError
from tests.diffusion.drawing import sample
from tests.diffusion.models import TinyModels


@pytest.mark.parametrize("name", ["sd15", "flux", "pixart"])
def test_cancel_stops_within_a_step_and_the_next_run_is_untouched(
    name: str, tiny: TinyModels, shared_cache: ModelCache
) -> None:
    settings, seen = DenoiseSettings(steps=6, cfg=4.0), []
    before = sample(shared_cache, tiny[name], settings)
    with pytest.raises(CancelledError, match="after step 3 of 6"):
        sample(shared_cache, tiny[name], settings, on_step=lambda step, steps, preview: seen.append(step),
               cancelled=lambda: len(seen) == 3)  # fmt: skip
    assert seen == [1, 2, 3]
    assert (sample(shared_cache, tiny[name], settings).tensor - before.tensor).abs().max() == 0
    assert all(row.in_use == 0 for row in shared_cache.loaded())


def test_an_error_in_the_callback_reaches_the_caller(tiny: TinyModels, shared_cache: ModelCache) -> None:
    def fail(step: int, steps: int, preview: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample(shared_cache, tiny["sd15"], DenoiseSettings(steps=3), on_step=fail)
