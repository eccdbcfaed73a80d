"""The configuration of a ControlNet in one file: that of its UNet, and what the names of its tensors say."""

import inspect
import re
from collections.abc import Mapping
from typing import Any

from diffusers import ControlNetModel

from nbgraph.diffusion.model_files import StoredTensor
from nbgraph.errors import ModelError

_UNION = ("control_add_embedding.linear_1.weight", "task_embedding")
_HINTS = re.compile(
    r"controlnet_cond_embedding\.(conv_in|blocks\.\d*[13579])\.weight|input_hint_block\.(0|4|8|12)\.weight"
)


def controlnet_config(unet: Mapping[str, Any], tensors: Mapping[str, StoredTensor]) -> dict[str, Any]:
    """Return the configuration of a ControlNet with these tensors, for a UNet with the configuration `unet`.

    Raises
    ------
    ModelError
        A ControlNet of several tasks, which is another class.
    """
    if any(name in tensors for name in _UNION):
        raise ModelError(
            "it is a ControlNet of several tasks (union), which is not loaded from a file; give its folder"
        )
    taken = set(inspect.signature(ControlNetModel.__init__).parameters)
    config = {name: value for name, value in unet.items() if name in taken and name != "global_pool_conditions"}
    names = {name.removeprefix("control_model."): tensor for name, tensor in tensors.items()}
    hints = {_place(name): tensor.shape[0] for name, tensor in names.items() if _HINTS.fullmatch(name)}
    if hints:
        config["conditioning_embedding_out_channels"] = [hints[place] for place in sorted(hints)]
    layers = _transformer_layers(names)
    blocks = config.get("down_block_types")
    if layers is not None and blocks is not None and len(layers) == len(blocks):
        config["down_block_types"] = ["CrossAttnDownBlock2D" if count else "DownBlock2D" for count in layers]
        config["transformer_layers_per_block"] = layers
    return config


def _place(name: str) -> int:
    """Return the position in the row of convolutions, counted as in the original layout."""
    if name.startswith("input_hint_block."):
        return int(name.split(".")[1]) // 4
    inner = name.removeprefix("controlnet_cond_embedding.")
    return 0 if inner.startswith("conv_in") else (int(inner.split(".")[1]) + 1) // 2


def _transformer_layers(names: Mapping[str, StoredTensor]) -> list[int] | None:
    """Return the transformer layers of each down block of a file in the layout of diffusers.

    None for another layout.
    """
    resnets = {int(found[1]) for name in names if (found := re.match(r"down_blocks\.(\d+)\.resnets\.", name))}
    if not resnets:
        return None
    counted = [0] * (max(resnets) + 1)
    pattern = re.compile(r"down_blocks\.(\d+)\.attentions\.0\.transformer_blocks\.(\d+)\.")
    for name in names:
        if found := pattern.match(name):
            counted[int(found[1])] = max(counted[int(found[1])], int(found[2]) + 1)
    return counted
