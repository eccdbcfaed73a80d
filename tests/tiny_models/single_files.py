"""Tiny models as single files in the original layouts: what diffusers' converters do, the other way round."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from safetensors.torch import save_file
from torch import Tensor

State = dict[str, Tensor]
_RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "norm2": "out_layers.0", "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1", "conv_shortcut": "skip_connection",
}  # fmt: skip
_UNET_ENDS = {
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2", "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0", "conv_out": "out.2", "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}  # fmt: skip
_VAE = (
    (r"\.conv_norm_out\.", ".norm_out."), (r"\.downsamplers\.0\.conv\.", ".downsample.conv."),
    (r"\.upsamplers\.0\.conv\.", ".upsample.conv."), (r"mid_block\.attentions\.0\.", "mid.attn_1."),
    (r"group_norm\.", "norm."), (r"to_([qkv])\.", r"\1."), (r"to_out\.0\.", "proj_out."),
    (r"conv_shortcut\.", "nin_shortcut."),
)  # fmt: skip
_OPENCLIP = (
    ("text_model.embeddings.position_embedding.weight", "positional_embedding"),
    ("text_model.embeddings.token_embedding.weight", "token_embedding.weight"),
    ("text_model.final_layer_norm.", "ln_final."), ("text_model.encoder.layers.", "transformer.resblocks."),
    ("layer_norm1", "ln_1"), ("layer_norm2", "ln_2"), ("mlp.fc1", "mlp.c_fc"), ("mlp.fc2", "mlp.c_proj"),
    (".self_attn.", ".attn."),
)  # fmt: skip


def write_single_file(
    file: Path, folder: Path, dtype: torch.dtype = torch.float32, leave_out: Iterable[str] = ()
) -> Path:
    """The model in `folder` as one checkpoint; `leave_out` are components that it does not hold."""
    pipeline: Any = DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    kind = type(pipeline).__name__
    state: State = {}
    for name, module in pipeline.components.items():
        if isinstance(module, torch.nn.Module) and name not in leave_out:
            state |= _component(kind, name, module)
    save_file({name: tensor.to(dtype).contiguous().clone() for name, tensor in state.items()}, file)
    return file


def _component(kind: str, name: str, module: Any) -> State:
    own = dict(module.state_dict())
    if name == "unet":
        return _prefixed("model.diffusion_model.", original_unet(module, own))
    if name == "transformer":
        return _prefixed("model.diffusion_model.", original_sd3(own) if kind == "StableDiffusion3Pipeline" else own)
    if name == "vae":
        return _prefixed("first_stage_model.", original_vae(module, own))
    own = {_wrapped(inner): tensor for inner, tensor in own.items()} if "CLIP" in type(module).__name__ else own
    if kind == "StableDiffusionPipeline":
        is_two = module.config.hidden_act == "gelu"
        start = "cond_stage_model.model." if is_two else "cond_stage_model.transformer."
        return _prefixed(start, original_openclip(own) if is_two else own)
    if kind == "StableDiffusionXLPipeline":
        if name == "text_encoder":
            return _prefixed("conditioner.embedders.0.transformer.", own)
        return _prefixed("conditioner.embedders.1.model.", original_openclip(own))
    if "T5" in type(module).__name__:
        own.pop("encoder.embed_tokens.weight")
        return _prefixed("text_encoders.t5xxl.transformer.", own)
    part = "clip_g" if name == "text_encoder_2" else "clip_l"
    return _prefixed(f"text_encoders.{part}.transformer.", own)


def original_unet(unet: Any, state: State) -> State:
    """The names of the UNet of Stable Diffusion."""
    places: dict[str, str] = {}
    number, config = 1, unet.config
    blocks = len(config.block_out_channels)
    for block in range(blocks):
        for layer in range(config.layers_per_block):
            places[f"down_blocks.{block}.resnets.{layer}."] = f"input_blocks.{number}.0."
            places[f"down_blocks.{block}.attentions.{layer}."] = f"input_blocks.{number}.1."
            number += 1
        if block < blocks - 1:
            places[f"down_blocks.{block}.downsamplers.0.conv."] = f"input_blocks.{number}.0.op."
            number += 1
    for index, inner in enumerate(("resnets.0.", "attentions.0.", "resnets.1.")):
        places[f"mid_block.{inner}"] = f"middle_block.{index}."
    number = 0
    for block in range(blocks):
        has_attention = f"up_blocks.{block}.attentions.0.norm.weight" in state
        for layer in range(config.layers_per_block + 1):
            places[f"up_blocks.{block}.resnets.{layer}."] = f"output_blocks.{number}.0."
            places[f"up_blocks.{block}.attentions.{layer}."] = f"output_blocks.{number}.1."
            number += 1
        last = 2 if has_attention else 1
        places[f"up_blocks.{block}.upsamplers.0.conv."] = f"output_blocks.{number - 1}.{last}.conv."
    renamed: State = {}
    for name, tensor in state.items():
        place = next((each for each in places if name.startswith(each)), None)
        end = next((each for each in _UNET_ENDS if name.startswith(f"{each}.")), None)
        if end is not None:
            renamed[name.replace(end, _UNET_ENDS[end], 1)] = tensor
        elif place is not None:
            inner = name.removeprefix(place)
            first, _, rest = inner.partition(".")
            inner = f"{_RESNET[first]}.{rest}" if ".resnets." in f".{place}" else inner
            renamed[places[place] + inner] = tensor
    assert len(renamed) == len(state)
    return renamed


def original_vae(vae: Any, state: State) -> State:
    """The names of the autoencoder of Stable Diffusion."""
    last = len(vae.config.block_out_channels) - 1
    renamed: State = {}
    for name, tensor in state.items():
        new = re.sub(r"down_blocks\.(\d+)\.resnets", r"down.\1.block", name)
        new = re.sub(r"down_blocks\.(\d+)\.", r"down.\1.", new)
        new = re.sub(r"up_blocks\.(\d+)\.", lambda m: f"up.{last - int(m[1])}.", new).replace(".resnets.", ".block.")
        new = re.sub(r"mid_block\.block\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", new)
        for pattern, to in _VAE:
            new = re.sub(pattern, to, new)
        is_matrix = ".mid.attn_1." in new and tensor.ndim == 2
        renamed[new] = tensor[:, :, None, None] if is_matrix else tensor
    return renamed


def original_openclip(state: State) -> State:
    """The names of OpenCLIP, which has queries, keys and values in one matrix."""
    renamed: State = {}
    for name, tensor in state.items():
        new = name
        for old, to in _OPENCLIP:
            new = new.replace(old, to)
        if new == "text_projection.weight":
            renamed["text_projection"] = tensor.T
        elif match := re.fullmatch(r"(.*\.attn)\.q_proj\.(weight|bias)", new):
            parts = [state[name.replace("q_proj", f"{letter}_proj")] for letter in "qkv"]
            renamed[f"{match[1]}.in_proj_{match[2]}"] = torch.cat(parts)
        elif not re.search(r"\.[kv]_proj\.", new):
            renamed[new] = tensor
    return renamed


def original_sd3(state: State) -> State:
    """The names of the transformer of Stable Diffusion 3."""
    ends = {
        "pos_embed.proj.": "x_embedder.proj.", "context_embedder.": "context_embedder.",
        "proj_out.": "final_layer.linear.",
        "time_text_embed.timestep_embedder.linear_1.": "t_embedder.mlp.0.",
        "time_text_embed.timestep_embedder.linear_2.": "t_embedder.mlp.2.",
        "time_text_embed.text_embedder.linear_1.": "y_embedder.mlp.0.",
        "time_text_embed.text_embedder.linear_2.": "y_embedder.mlp.2.",
    }  # fmt: skip
    inner = {
        "attn.to_out.0.": "x_block.attn.proj.", "attn.to_add_out.": "context_block.attn.proj.",
        "ff.net.0.proj.": "x_block.mlp.fc1.", "ff.net.2.": "x_block.mlp.fc2.",
        "ff_context.net.0.proj.": "context_block.mlp.fc1.", "ff_context.net.2.": "context_block.mlp.fc2.",
        "norm1.linear.": "x_block.adaLN_modulation.1.", "norm1_context.linear.": "context_block.adaLN_modulation.1.",
    }  # fmt: skip
    joined = {
        "attn.to_q.": ("x_block.attn.qkv.", "to_{}"),
        "attn.add_q_proj.": ("context_block.attn.qkv.", "add_{}_proj"),
    }
    last = max(int(name.split(".")[1]) for name in state if name.startswith("transformer_blocks."))
    renamed: State = {"pos_embed": state["pos_embed.pos_embed"]}
    for name, tensor in state.items():
        if end := next((each for each in ends if name.startswith(each)), None):
            renamed[name.replace(end, ends[end], 1)] = tensor
        elif name.startswith("norm_out.linear."):
            renamed[name.replace("norm_out.linear.", "final_layer.adaLN_modulation.1.")] = _swapped(tensor)
        elif name.startswith("transformer_blocks."):
            _, number, rest = name.split(".", 2)
            block = f"joint_blocks.{number}."
            if start := next((each for each in joined if rest.startswith(each)), None):
                new, pattern = joined[start]
                parts = [state[name.replace(pattern.format("q"), pattern.format(letter))] for letter in "qkv"]
                renamed[block + rest.replace(start, new)] = torch.cat(parts)
            elif start := next((each for each in inner if rest.startswith(each)), None):
                is_last = start == "norm1_context.linear." and int(number) == last
                renamed[block + rest.replace(start, inner[start])] = _swapped(tensor) if is_last else tensor
    return renamed


def _swapped(tensor: Tensor) -> Tensor:
    """Shift before scale, and not scale before shift."""
    scale, shift = tensor.chunk(2)
    return torch.cat([shift, scale])


def _wrapped(name: str) -> str:
    return name if name.startswith(("text_model.", "text_projection")) else f"text_model.{name}"


def _prefixed(start: str, state: State) -> State:
    return {start + name: tensor for name, tensor in state.items()}
