"""What is loaded in another precision changes nothing that other threads draw meanwhile."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch.nn.modules.module import register_module_parameter_registration_hook

from nbgraph.diffusion.description import describe_model
from nbgraph.diffusion.load import load_component
from nbgraph.diffusion.one_thread import default_dtype_of_this_thread
from tests.diffusion.models import TinyModels


def made() -> tuple[torch.dtype, ...]:
    """The dtypes of what is made without one, and the one that torch says it is."""
    return (
        torch.empty(1).dtype,
        torch.zeros(1, dtype=None).dtype,
        torch.tensor(0.5).dtype,
        torch.arange(0, 1, 0.5).dtype,
        torch.get_default_dtype(),
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
@pytest.mark.parametrize("part", ["unet", "text_encoder", "vae"])
def test_while_a_model_is_loaded_other_threads_go_on_in_their_own_precision(
    part: str, dtype: torch.dtype, tiny: TinyModels
) -> None:
    seen: list[tuple[set[torch.dtype], set[torch.dtype]]] = []
    with ThreadPoolExecutor(1) as other:

        def look(module: Any, name: str, parameter: Any) -> None:
            seen.append((set(made()), set(other.submit(made).result())))

        hook = register_module_parameter_registration_hook(look)
        try:
            loaded = load_component(describe_model(tiny["sd15"]), part, dtype)
        finally:
            hook.remove()
    assert {parameter.dtype for parameter in loaded.parameters()} == {dtype}
    assert any(here == {dtype} for here, _ in seen)
    assert all(there == {torch.float32} for _, there in seen)
    assert torch.get_default_dtype() == torch.float32


def test_a_default_ends_with_its_block_also_where_nobody_took_it_back() -> None:
    def construct() -> None:
        with default_dtype_of_this_thread():
            torch.set_default_dtype(torch.bfloat16)
            assert set(made()) == {torch.bfloat16}
            assert torch.tensor(1).dtype == torch.arange(2).dtype == torch.int64
            assert torch.zeros(1, dtype=torch.float32).dtype == torch.float32
            raise ValueError("no such layer")

    with pytest.raises(ValueError, match="no such layer"):
        construct()
    assert set(made()) == {torch.float32}


def test_a_thread_outside_still_sets_the_default_of_all() -> None:
    with ThreadPoolExecutor(1) as other, default_dtype_of_this_thread():
        other.submit(torch.set_default_dtype, torch.float64).result()
    try:
        assert set(made()) == {torch.float64}
    finally:
        torch.set_default_dtype(torch.float32)
