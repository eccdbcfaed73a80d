"""Patches of models: LoRA, FreeU, tiling, IP-Adapters.

A patched model is a copy of the structure over the same weights.

A LoRA put into a shared UNet would leak into every image that uses it. So a patch is applied to a copy of the module
tree whose parameters *are* those of the original: a few hundred Python objects, no weights. The original is never
changed, nothing has to be undone, and images with and without patches can be computed at the same time.
"""

import copy
import functools
from typing import Any, cast

import torch
from torch import Tensor

from nbgraph.diffusion.description import ModelDescription
from nbgraph.diffusion.ip_adapters import check_takes_ip_adapters, lay_ip_adapters
from nbgraph.diffusion.load import LOAD_LOCK
from nbgraph.diffusion.loras import apply_loras
from nbgraph.diffusion.quiet import quiet
from nbgraph.diffusion.refs import (
    ClipSkipPatch,
    CompilePatch,
    ControlLoraPatch,
    FreeuPatch,
    IpAdapterPatch,
    LoraPatch,
    Patch,
    SeamlessPatch,
    StepCachePatch,
    TextualInversionPatch,
)
from nbgraph.diffusion.textual_inversion import extended_encoder, extended_tokenizer, is_concerned
from nbgraph.errors import ModelError


def patches_for(model: ModelDescription, name: str, patches: tuple[Patch, ...]) -> tuple[Patch, ...]:
    """Return those of `patches` that change the component `name`.

    Raise `ModelError` for one that the model cannot have.
    """
    denoiser = model.family.denoiser if model.family else ""
    text = name.startswith("text_encoder")
    if denoiser == "transformer" and any(isinstance(patch, (FreeuPatch, SeamlessPatch)) for patch in patches):
        kinds = sorted({patch.kind for patch in patches if isinstance(patch, (FreeuPatch, SeamlessPatch))})
        raise ModelError(
            f"{' and '.join(kinds)} work on models with a UNet, and {str(model.folder)!r} has a transformer"
        )
    if any(isinstance(patch, IpAdapterPatch) for patch in patches):
        check_takes_ip_adapters(model)
    concerned = {
        LoraPatch: text or name == denoiser,
        FreeuPatch: name == "unet",
        SeamlessPatch: name in ("unet", "vae"),
        ClipSkipPatch: False,
        IpAdapterPatch: name == denoiser,
        ControlLoraPatch: name == denoiser,
        StepCachePatch: False,
        CompilePatch: name == denoiser,
    }
    return tuple(
        patch
        for patch in patches
        if (is_concerned(model, name, patch) if isinstance(patch, TextualInversionPatch) else concerned[type(patch)])
    )


def apply_patches(model: ModelDescription, name: str, module: Any, patches: tuple[Patch, ...]) -> Any:
    """Return a copy of a module or tokenizer over the same weights, with the patches applied in their order."""
    embeddings = [patch for patch in patches if isinstance(patch, TextualInversionPatch)]
    if name.startswith("tokenizer"):
        return extended_tokenizer(model, name, module, embeddings)
    # New layers are filled with random numbers before their weights are read: a person's own seed stays as it is.
    with LOAD_LOCK, quiet(), torch.random.fork_rng(devices=[]):  # pyright: ignore[reportUnknownMemberType]
        patched = share_weights(module)
        for patch in patches:
            if isinstance(patch, FreeuPatch):
                patched.enable_freeu(s1=patch.s1, s2=patch.s2, b1=patch.b1, b2=patch.b2)
            elif isinstance(patch, SeamlessPatch):
                make_seamless(patched, patch.axes)
        widened = [patch for patch in patches if isinstance(patch, ControlLoraPatch)]
        others = _lay_control_lora(model, patched, widened)
        apply_loras(model, name, patched, [patch for patch in patches if isinstance(patch, LoraPatch)], others)
        lay_ip_adapters(patched, [patch for patch in patches if isinstance(patch, IpAdapterPatch)])
        if embeddings:
            extended_encoder(model, name, patched, embeddings)
        # last, so that what is compiled has all other patches in it
        for patch in patches:
            if isinstance(patch, CompilePatch):
                compile_denoiser(patched, patch.backend)
        return patched.eval().requires_grad_(False)


def _lay_control_lora(model: ModelDescription, denoiser: Any, patches: list[ControlLoraPatch]) -> dict[str, float]:
    if not patches:
        return {}
    from nbgraph.diffusion.control_loras import lay_control_lora  # which imports the pipeline of Flux

    return lay_control_lora(model, denoiser, patches)


def compile_denoiser(module: Any, backend: str) -> None:
    """Compile a denoiser in place: the blocks that are repeated, which takes a tenth of the time of all, or all of it.

    The compiler runs at the first step.
    """
    if getattr(module, "_repeated_blocks", None):
        module.compile_repeated_blocks(backend=backend)
    else:
        module.compile(backend=backend)


def share_weights(module: torch.nn.Module) -> Any:
    """Return a copy of the module tree that holds the same parameter and buffer objects as the original."""
    # the memo of `deepcopy`: what is in it counts as copied already, and is used as it is
    kept = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    return copy.deepcopy(module, kept)


def make_seamless(module: torch.nn.Module, axes: tuple[str, ...]) -> None:
    """Let every convolution of `module` wrap around along the axes `x` and `y` instead of seeing zeros there."""
    modes = tuple("circular" if axis in axes else "constant" for axis in ("x", "y"))
    for convolution in module.modules():
        if isinstance(convolution, torch.nn.Conv2d) and any(_padding(convolution)):
            convolution._conv_forward = functools.partial(_wrapping_convolution, convolution, modes)  # type: ignore[method-assign]


def _padding(convolution: torch.nn.Conv2d) -> list[int]:
    """Return the padding at (left, right, top, bottom), for which torch has no public name."""
    return cast(Any, convolution)._reversed_padding_repeated_twice


def _wrapping_convolution(
    convolution: torch.nn.Conv2d, modes: tuple[str, str], values: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    left, right, top, bottom = _padding(convolution)
    values = torch.nn.functional.pad(values, (left, right, 0, 0), mode=modes[0])
    values = torch.nn.functional.pad(values, (0, 0, top, bottom), mode=modes[1])
    return torch.nn.functional.conv2d(
        values, weight, bias, convolution.stride, 0, convolution.dilation, convolution.groups
    )
