"""Facts of any model file, from its header alone: kind, family, variant and precision, in milliseconds.

No weights are read and torch is not imported. Names of tensors decide the family, shapes the variant; where a file
holds nothing known, the facts say so, and nothing is guessed.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from nbgraph.diffusion.adapter_kinds import adapter_kind
from nbgraph.diffusion.denoiser_kinds import DENOISER_PREFIXES, denoiser_kind
from nbgraph.diffusion.file_headers import FileHeader, NotWeights, read_file_header
from nbgraph.diffusion.fingerprints import Identity, file_identity
from nbgraph.diffusion.model_files import StoredTensor
from nbgraph.errors import ModelError

Tensors = Mapping[str, StoredTensor]

PRECISIONS = {
    "F32": "float32", "F16": "float16", "BF16": "bfloat16", "F64": "float64", "F8_E4M3": "float8", "F8_E5M2": "float8",
    "I8": "int8", "U8": "4 bit",
}  # fmt: skip
"""Precisions by safetensors' names of types; GGUF types keep their names."""
_BYTES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2}
_VAE_PREFIXES = ("first_stage_model.", "vae.", "")
TEXT_PREFIXES = {
    "clip": ("cond_stage_model.transformer.", "cond_stage_model.model."),
    "clip_l": ("conditioner.embedders.0.transformer.", "text_encoders.clip_l."),
    "clip_g": ("conditioner.embedders.1.model.", "conditioner.embedders.0.model.", "text_encoders.clip_g."),
    "t5": ("text_encoders.t5xxl.",),
}
"""Where checkpoints keep their text encoders, by what these are."""
_PARTS = {"denoiser": DENOISER_PREFIXES[:1], "vae": _VAE_PREFIXES[:2], **TEXT_PREFIXES}
_T5_WIDTHS = {4096: "xxl", 2048: "xl", 1024: "large", 768: "base", 512: "small"}
_CLIP_WIDTHS = {768: "CLIP-L", 1280: "CLIP-G", 1024: "CLIP-H"}


@dataclass(frozen=True)
class FileFacts:
    """What a file is. Texts are empty where the header does not say."""

    path: str
    kind: str
    """`checkpoint`, `denoiser`, `vae`, `controlnet`, `text encoder`, `lora`, `embedding`, ...; or what it is instead of
    weights: `pickle`, `Git LFS pointer`, `web page`, `interrupted download`, `damaged`, `unknown file`."""
    family: str = ""
    """The family's key in diffusers, such as `stable-diffusion-xl`."""
    variant: str = ""
    precision: str = ""
    parts: tuple[str, ...] = ()
    """What a checkpoint holds: `denoiser`, `vae`, `clip`, `clip_l`, `clip_g`, `t5`."""
    tensors: int = 0
    bytes: int = 0
    problem: str = ""
    """Why the file cannot be used, and what to do; empty for weights."""
    notes: Mapping[str, str] = field(default_factory=dict[str, str])
    """What the header says in words: title, architecture, trigger words, prediction type."""

    def __str__(self) -> str:
        if self.problem:
            return f"{self.path}: {self.problem}"
        kind = f"{self.kind} of {self.family}" if self.family else self.kind
        details = [self.variant, self.precision, f"{self.tensors:,} tensors", f"{self.bytes / 1e9:.2f} GB"]
        details += [f"holds {', '.join(self.parts)}"] if self.parts else []
        details += [f"{name}: {text}" for name, text in self.notes.items()]
        return f"{self.path}: {kind}, {', '.join(filter(None, details))}"


def what_is(file: str | Path) -> FileFacts:
    """Return the facts of a file, from its header; `problem` says what another file is and what to do.

    Raises
    ------
    ModelError
        There is no such file.
    """
    path = Path(file).expanduser()
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no such file"
        raise ModelError(f"{str(file)[:200]!r} is {found}; give the path of one file of a model")
    return _known(path, file_identity(path))


def need_weights(file: str | Path) -> FileFacts:
    """Return `what_is` of a file; raise `ModelError` for one without weights that can be read."""
    facts = what_is(file)
    if facts.problem:
        raise ModelError(f"{str(file)!r} {facts.problem}")
    return facts


@lru_cache(maxsize=4096)
def header_of(path: Path, identity: Identity) -> FileHeader | NotWeights:
    """Return the header of a file, kept as long as the file has that identity."""
    del identity
    return read_file_header(path)


@lru_cache(maxsize=4096)
def _known(path: Path, identity: Identity) -> FileFacts:
    header = header_of(path, identity)
    size = identity[2]
    if isinstance(header, NotWeights):
        return FileFacts(str(path), header.kind, bytes=size, problem=header.problem)
    kind, family, variant = _recognise(header)
    if kind == "unknown":
        some = ", ".join(sorted(header.tensors)[:2]) or "none"
        text = f"holds {len(header.tensors)} tensors of no model that is known here (such as: {some})"
        return FileFacts(str(path), "unknown file", bytes=size, tensors=len(header.tensors), problem=text)
    parts = tuple(part for part, starts in _PARTS.items() if _has(header.tensors, starts))
    return FileFacts(
        str(path),
        kind,
        family,
        variant,
        precision_of(header),
        parts if kind == "checkpoint" else (),
        len(header.tensors),
        size,
        notes=_notes(header, kind),
    )


def _recognise(header: FileHeader) -> tuple[str, str, str]:
    """Return (kind, family, variant) by the first test that matches; the order matters."""
    tensors = header.tensors
    tests: tuple[Callable[[Tensors, Mapping[str, Any]], tuple[str, str, str] | None], ...] = (
        adapter_kind, _controlnet, _checkpoint_or_denoiser, _vae, _text_encoder, _upscaler,
    )  # fmt: skip
    return next((found for test in tests if (found := test(tensors, header.metadata))), ("unknown", "", ""))


def _checkpoint_or_denoiser(tensors: Tensors, metadata: Mapping[str, Any]) -> tuple[str, str, str] | None:
    found = denoiser_kind(tensors, metadata)
    if found is None:
        return None
    others = [start for part, starts in _PARTS.items() if part != "denoiser" for start in starts]
    is_whole = any(name.startswith(tuple(others)) for name in tensors)
    return ("checkpoint" if is_whole else "denoiser", *found)


def _controlnet(tensors: Tensors, _: Mapping[str, Any]) -> tuple[str, str, str] | None:
    diffusers_name = "controlnet_cond_embedding.conv_in.weight"
    starts = [start for start in ("control_model.", "") if f"{start}input_hint_block.0.weight" in tensors]
    if not starts and diffusers_name not in tensors:
        return None
    start = starts[0] if starts else ""
    if {"add_embedding.linear_1.weight", f"{start}label_emb.0.0.weight"} & set(tensors):
        return "controlnet", "stable-diffusion-xl", ""
    attention = next((name for name in tensors if name.endswith("attn2.to_k.weight")), None)
    width = tensors[attention].shape[-1] if attention else 0
    return "controlnet", "stable-diffusion", {1024: "2", 768: "1"}.get(width, "")


def _vae(tensors: Tensors, _: Mapping[str, Any]) -> tuple[str, str, str] | None:
    for start in _VAE_PREFIXES:
        decoder = tensors.get(f"{start}decoder.conv_in.weight")
        if decoder is not None and f"{start}encoder.conv_in.weight" in tensors:
            return "vae", "", f"{decoder.shape[1]} latent channels"
    if "decoder.middle.0.residual.0.gamma" in tensors or "decoder.mid_block.resnets.0.norm1.gamma" in tensors:
        return "vae", "", "16 latent channels, with time"
    if "decoder.stages.1.op_list.0.main.conv.conv.bias" in tensors:
        return "vae", "", "deep compression"
    if "taesd_decoder.1.weight" in tensors or {"decoder.layers.0.weight", "encoder.layers.0.weight"} <= set(tensors):
        return "vae", "", "tiny, for previews"
    return None


def _text_encoder(tensors: Tensors, _: Mapping[str, Any]) -> tuple[str, str, str] | None:
    t5 = tensors.get("encoder.block.0.layer.0.SelfAttention.q.weight") or tensors.get("enc.blk.0.attn_q.weight")
    if t5 is not None:
        words = tensors.get("shared.weight") or tensors.get("token_embd.weight")
        kind = "UMT5" if words is not None and max(words.shape) > 200_000 else "T5"
        return "text encoder", "", f"{kind}-{_T5_WIDTHS.get(t5.shape[-1], t5.shape[-1])}"
    for name in ("text_model.embeddings.token_embedding.weight", "token_embedding.weight"):
        if name in tensors and not any(other.startswith(("vision_model.", "visual.")) for other in tensors):
            width = tensors[name].shape[-1]
            return "text encoder", "", _CLIP_WIDTHS.get(width, f"CLIP of width {width}")
    if any(name.startswith("vision_model.encoder.layers.") for name in tensors):
        is_whole = "text_model.embeddings.token_embedding.weight" in tensors
        return ("clip", "", "text and vision") if is_whole else ("image encoder", "", "CLIP vision")
    words = tensors.get("model.embed_tokens.weight") or tensors.get("model.language_model.embed_tokens.weight")
    if words is not None:
        names = set(tensors)
        kind = (
            "Qwen" if any(name.endswith(("layers.0.self_attn.q_norm.weight", "q_proj.bias")) for name in names) else ""
        )
        if any(name.endswith("layers.0.pre_feedforward_layernorm.weight") for name in names):
            kind = "Gemma"
        return "text encoder", "", f"{kind or 'language model'} of width {words.shape[-1]}"
    return None


def _upscaler(tensors: Tensors, _: Mapping[str, Any]) -> tuple[str, str, str] | None:
    names = set(tensors)
    old = {"model.0.weight", "model.1.sub.0.RDB1.conv1.0.weight"}
    new = {"conv_first.weight", "body.0.rdb1.conv1.weight"}
    if (shape := compact_shape(tensors)) is not None:
        return "upscaler", "", f"Compact x{shape[2]}"
    return ("upscaler", "", "ESRGAN") if old <= names or new <= names else None


def compact_shape(tensors: Tensors) -> tuple[int, int, int] | None:
    """Return (width, layers, scale) of a `CompactUpscaler` of colour images, by its tensors; None for anything else."""
    first, count = tensors.get("body.0.weight"), sum(name.endswith(".bias") for name in tensors)
    last = tensors.get(f"body.{2 * count - 2}.bias")
    if first is None or last is None or count < 2 or len(first.shape) != 4 or len(last.shape) != 1:
        return None
    width, scale = first.shape[0], math.isqrt(last.shape[0] // 3)
    sides = [3, *[width] * (count - 1)], [*[width] * (count - 1), 3 * scale**2]
    expected: dict[str, tuple[int, ...]] = {}
    for number, (into, out) in enumerate(zip(*sides)):
        expected |= {f"body.{2 * number}.weight": (out, into, 3, 3), f"body.{2 * number}.bias": (out,)}
    expected |= {f"body.{2 * number + 1}.weight": (width,) for number in range(count - 1)}
    same = {name: tuple(tensor.shape) for name, tensor in tensors.items()} == expected
    return (width, count - 2, scale) if same and scale else None


def precision_of(header: FileHeader) -> str:
    """Return the precision that most of the weights have, by their bytes."""
    tensors, bytes_of = header.tensors, Counter[str]()
    for tensor in tensors.values():
        values = 1
        for side in tensor.shape:
            values *= side
        bytes_of[tensor.dtype] += values * _BYTES.get(tensor.dtype, 1)
    if not bytes_of:
        return ""
    most = bytes_of.most_common(1)[0][0]
    if header.format == "gguf":
        return f"GGUF {most}"
    names = list(tensors)
    if any("quant_state.bitsandbytes__" in name for name in names):
        return "nf4" if any(name.endswith("bitsandbytes__nf4") for name in names) else "fp4"
    precision = PRECISIONS.get(most, most)
    is_scaled = any(name.endswith(("scale_weight", "weight_scale", "scaled_fp8")) for name in names)
    return f"scaled {precision}" if is_scaled else precision


def _notes(header: FileHeader, kind: str) -> dict[str, str]:
    """Return texts of the metadata that help to recognise a file, each of one line and at most 200 characters."""
    given = header.metadata
    wanted = {
        "title": ("modelspec.title", "ss_output_name", "general.name"),
        "architecture": ("modelspec.architecture", "ss_base_model_version", "general.architecture"),
        "prediction": ("modelspec.prediction_type",),
        "trigger": ("modelspec.trigger_phrase", "trigger_words"),
    }
    notes = {name: _one_line(text) for name, keys in wanted.items() if (text := _first(given, keys))}
    if "v_pred" in header.tensors:
        notes["prediction"] = "v"
        notes["zero SNR"] = "yes" if "ztsnr" in header.tensors else "no"
    if kind == "lora" and "trigger" not in notes and (words := _frequent_tags(given)):
        notes["trained on"] = words
    return notes


def _frequent_tags(metadata: Mapping[str, Any]) -> str:
    try:
        folders = json.loads(metadata.get("ss_tag_frequency") or "{}")
        counts = Counter[str]()
        for tags in folders.values():
            counts.update({str(tag).strip(): int(number) for tag, number in tags.items()})
    except (ValueError, TypeError, AttributeError, RecursionError):
        return ""
    return _one_line(", ".join(tag for tag, _ in counts.most_common(5)))


def _first(metadata: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    return next((value for key in keys if isinstance(value := metadata.get(key), str) and value), "")


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]


def _has(tensors: Tensors, starts: tuple[str, ...]) -> bool:
    return any(name.startswith(starts) for name in tensors)
