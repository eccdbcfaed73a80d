"""Values that are not finite: an error where they are made, instead of a black image later.

float16 overflows above 65,504, and damaged weights give anything; from then on every value is NaN, and an image of NaN
is black.
"""

from typing import Any

import torch
from torch import Tensor

from nbgraph.diffusion.components import Components
from nbgraph.errors import ModelError

_FLOAT32 = 'draw in float32, with nb.Settings(dtype="float32")'
_DAMAGED = (
    "its weights may be damaged, or for another kind of model (copy or download it again, or use another one), or it "
    "was given values far from those it was trained with"
)


def check_finite(values: Tensor, maker: str, dtype: torch.dtype | None = None, remedy: str = "") -> None:
    """Raise `ModelError` unless all values are finite numbers.

    Parameters
    ----------
    values
        (B, ...).
    maker
        What made the values; the error begins with it.
    dtype
        The precision it computes in, on which the remedy depends; None for values that come from outside.
    remedy
        What else a person can do.
    """
    if bool(values.isfinite().all()):
        return
    kind = "values that are not numbers (NaN)" if bool(values.isnan().any()) else "infinite values"
    broken = [str(number) for number, each in enumerate(values, start=1) if not bool(each.isfinite().all())]
    where = f" in picture {' and '.join(broken)} of {len(values)}" if len(broken) < len(values) else ""
    if dtype is None:
        raise ModelError(f"{maker} {kind}{where}; make them again, or look at the node that made them")
    more = f", or {remedy}" if remedy else ""
    cause = f"float16 overflows above 65,504: {_FLOAT32}{more}" if dtype == torch.float16 else f"{_DAMAGED}{more}"
    raise ModelError(f"{maker} gave {kind}{where}, in {str(dtype).removeprefix('torch.')}: {cause}")


def check_step(components: Components, scheduler: str, step: int, steps: int, predicted: Tensor, after: Tensor) -> None:
    """Raise `ModelError` unless the latents `after` a step are finite; it names the step, and what made the values."""
    if bool(after.isfinite().all()):
        return
    when = f"step {step} of {steps}:"
    name = components.model.need_family().denoiser
    kinds = sorted({patch.kind for patch in components.patches})
    remedy = f"leave out what changes it ({', '.join(kinds)})" if kinds else "set cfg_scale lower"
    check_finite(predicted, f"{when} the {name} of {str(components.model.folder)!r}", components.dtype, remedy)
    raise ModelError(
        f"{when} the scheduler {scheduler!r} made values that are not finite of finite ones; choose another scheduler, "
        "or other steps"
    )


def vae_remedy(vae: Any) -> str:
    """Return what helps where a VAE overflows in float16, besides another precision."""
    if vae.dtype != torch.float16:
        return "take another VAE with the node VaeLoader"
    return "take a VAE that was made for float16 with the node VaeLoader, or set force_upcast in its config.json"
