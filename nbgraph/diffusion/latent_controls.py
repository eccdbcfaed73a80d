"""ControlNets of transformers, whose control image is encoded by the VAE, such as those of Flux and Qwen-Image."""

import copy
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from PIL import Image

from nbgraph.diffusion.components import Components
from nbgraph.diffusion.description import ModelDescription
from nbgraph.errors import ModelError
from nbgraph.image_modes import on_white

NETS = {
    "stable-diffusion-3": "SD3ControlNetModel",
    "flux": "FluxControlNetModel",
    "qwenimage": "QwenImageControlNetModel",
    "z-image": "ZImageControlNetModel",
}
"""The class of the ControlNets of each family."""
_SHAPE = ("in_channels", "joint_attention_dim", "num_attention_heads", "attention_head_dim", "dim", "n_heads")
_ONE_NET = ("qwenimage", "z-image")
"""Families whose pipeline takes one ControlNet."""
TAKES_OVER = ("ZImageControlNetModel",)
"""ControlNets that use some layers of the transformer that they steer."""


def encodes_controls(model: ModelDescription) -> bool:
    """Return whether the VAE of a model encodes the control images of its ControlNets."""
    return model.family is not None and model.family.key in NETS


def latent_control_arguments(
    components: Components, nets: Sequence[Any], images: Sequence[Image.Image]
) -> dict[str, Any]:
    """Return the keyword argument of a pipeline for control images.

    Raises
    ------
    ModelError
        A ControlNet of another model, more of them than the pipeline takes, or no VAE.
    """
    key = components.model.need_family().key
    for net in nets:
        _check_fits(components, net)
    if key in _ONE_NET and len(nets) > 1:
        raise ModelError(f"models of the family {key!r} take one ControlNet at a time, and there are {len(nets)}")
    if "vae" not in components:
        raise ModelError(f"a ControlNet of {key!r} needs the VAE of the model, which encodes its control image")
    shown = [on_white(image) for image in images]
    return {"control_image": shown if len(shown) > 1 else shown[0]}


def encoding_means(vae: Any) -> Any:
    """Return a VAE that shares the weights and encodes an image as the mean of its distribution, the same every time.

    The pipelines draw from the distribution, that of Stable Diffusion 3 without a seed.
    """

    def encode(pixels: Any, return_dict: bool = True) -> Any:
        mean = vae.encode(pixels).latent_dist.mode()

        def sample(generator: Any = None) -> Any:
            return mean

        return SimpleNamespace(latent_dist=SimpleNamespace(sample=sample, mode=sample))

    other = copy.copy(vae)
    other.encode = encode
    return other


def _check_fits(components: Components, net: Any) -> None:
    family = components.model.need_family()
    if type(net).__name__ != NETS[family.key]:
        raise ModelError(
            f"the ControlNet is a {type(net).__name__}, and models of the family {family.key!r} take a "
            f"{NETS[family.key]}"
        )
    ours, theirs = components[family.denoiser].config, net.config
    different = [
        f"{name} {theirs[name]} instead of {ours[name]}"
        for name in (
            "in_channels",
            "joint_attention_dim",
            "num_attention_heads",
            "attention_head_dim",
            "dim",
            "n_heads",
        )
        if theirs.get(name) is not None and theirs[name] != ours.get(name)
    ]
    if different:
        raise ModelError(
            f"the ControlNet was made for another model than {str(components.model.folder)!r}: {', '.join(different)}; "
            f"use one for {family.key!r} models of that kind"
        )
