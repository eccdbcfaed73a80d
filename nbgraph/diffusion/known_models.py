"""Known kinds of models: their configurations and tokenizers, shipped as plain numbers and two vocabularies."""

import base64
import hashlib
import json
import lzma
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPTokenizer, PreTrainedTokenizerBase, T5Tokenizer

from nbgraph.diffusion.file_headers import NotWeights
from nbgraph.diffusion.file_tensors import read_tensors
from nbgraph.diffusion.fingerprints import file_identity
from nbgraph.diffusion.what_is import FileFacts, header_of
from nbgraph.errors import ModelError, suggest

FOLDER = Path(__file__).parent / "configurations"

_NAMES: dict[tuple[str, str], str] = {
    ("stable-diffusion", "1"): "sd1",
    ("stable-diffusion", "1 inpainting"): "sd1-inpainting",
    ("stable-diffusion", "1 instruct-pix2pix"): "sd1-pix2pix",
    ("stable-diffusion", "2"): "sd2",
    ("stable-diffusion", "2 inpainting"): "sd2-inpainting",
    ("stable-diffusion-xl", "base"): "sdxl",
    ("stable-diffusion-xl", "inpainting"): "sdxl-inpainting",
    ("stable-diffusion-xl", "refiner"): "sdxl-refiner",
    ("stable-diffusion-3", "3-medium"): "sd3-medium",
    ("stable-diffusion-3", "3.5-medium"): "sd35-medium",
    ("stable-diffusion-3", "3.5-large"): "sd35-large",
    ("flux", "dev"): "flux-dev",
    ("flux", "schnell"): "flux-schnell",
    ("flux", "fill"): "flux-fill",
    ("flux", "control"): "flux-control",
    ("z-image", ""): "z-image",
    ("qwenimage", ""): "qwen-image",
}
"""Names of configurations by family and variant, as `what_is` has them."""
_VELOCITY = {"prediction_type": "v_prediction"}
_ZERO_SNR = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
_SD2_NORMS = (
    "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias",
    "output_blocks.11.1.transformer_blocks.0.norm1.bias",
    "up_blocks.3.attentions.2.transformer_blocks.0.norm1.bias",
)
_SD2_APART = 0.09
_SD2_BASE_SIZE = 64
"""The side of the latents of models of 512 pixels."""
_MERGED_LETTERS = [*range(33, 127), *range(161, 173), *range(174, 256)]


@dataclass(frozen=True)
class KnownModel:
    """The configuration of one kind of model: `model_index` and a mapping for each of its components."""

    name: str
    index: Mapping[str, Any]
    configs: Mapping[str, Mapping[str, Any]]

    @property
    def fingerprint(self) -> str:
        """A hexadecimal hash of the configuration."""
        return digest_of({"index": self.index, "configs": self.configs})


def known_model_for(facts: FileFacts) -> KnownModel | None:
    """Return the configuration of a checkpoint or denoiser by its header; None for a kind without a shipped one."""
    name = _NAMES.get((facts.family, facts.variant))
    if name is None:
        return None
    found = known_model(name)
    prediction = facts.notes.get("prediction", "") or (_prediction_of_sd2(facts) if name == "sd2" else "")
    zero_snr = facts.notes.get("zero SNR", "yes")
    if prediction.startswith("v"):
        scheduler = {**found.configs["scheduler"], **_VELOCITY}
        if facts.family == "stable-diffusion-xl" and zero_snr == "yes":
            scheduler |= _ZERO_SNR
    elif prediction.startswith("eps"):
        scheduler = {**found.configs["scheduler"], "prediction_type": "epsilon"}
    else:
        return found
    configs = {**found.configs, "scheduler": scheduler}
    if name == "sd2" and prediction.startswith("eps"):
        configs["unet"] = {**configs["unet"], "sample_size": _SD2_BASE_SIZE}
    return KnownModel(f"{name}, {prediction}, {zero_snr}", found.index, configs)


def _prediction_of_sd2(facts: FileFacts) -> str:
    """Return the prediction type of a Stable Diffusion 2, found as in ComfyUI by the spread of the biases of one norm.

    The models for 768 pixels predict v, those for 512 epsilon, and their headers are the same.
    """
    file = Path(facts.path)
    header = header_of(file, file_identity(file))
    names = [] if isinstance(header, NotWeights) else [name for name in _SD2_NORMS if name in header.tensors]
    if not names or isinstance(header, NotWeights):
        return ""
    bias = read_tensors(file, header, names[:1], torch.float32)[names[0]]
    return "v" if float(bias.std(correction=0)) > _SD2_APART else "epsilon"


def known_names() -> list[str]:
    """Return the names that `known_model` takes."""
    return sorted(file.stem for file in FOLDER.glob("*.json"))


@cache
def known_model(name: str) -> KnownModel:
    """Return the configuration of that name; raise `ModelError` with all names for another one."""
    if name not in known_names():
        raise ModelError(f"there is no configuration of models {name!r}{suggest(name, known_names())}")
    content: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    if base_name := content.pop("like", None):
        base = known_model(base_name)
        whole: dict[str, Any] = {"model_index": base.index, **base.configs}
        gone = [part for part, values in content.items() if values is None]
        content = {
            part: {**whole.get(part, {}), **(content.get(part) or {})}
            for part in {**whole, **content}
            if part not in gone
        }
    plain: dict[str, dict[str, Any]] = {
        part: {key: value for key, value in values.items() if value is not None} for part, values in content.items()
    }
    return KnownModel(name, plain.pop("model_index"), plain)


def make_tokenizer(config: Mapping[str, Any]) -> PreTrainedTokenizerBase:
    """Return the tokenizer that a configuration describes: its `vocabulary` is `clip` or `t5`."""
    length = config.get("model_max_length")
    if config["vocabulary"] == "t5":
        pieces = json.loads(_unpacked("t5_vocabulary.json.xz"))
        return T5Tokenizer(
            vocab=[(piece, score) for piece, score in pieces["vocabulary"]],
            _spm_precompiled_charsmap=base64.b64decode(pieces["charsmap"]),
            model_max_length=length,
        )
    vocabulary, merges = _clip_vocabulary()
    given: dict[str, Any] = {"vocab": dict(vocabulary), "merges": list(merges), "pad_token": config["pad_token"]}
    return CLIPTokenizer(**given, model_max_length=length)


def digest_of(value: object) -> str:
    """Return a hexadecimal hash of a JSON value."""
    return hashlib.blake2b(json.dumps(value, sort_keys=True, default=dict).encode(), digest_size=16).hexdigest()


@cache
def _clip_vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Return the tokens of CLIP by number, and its merges, from which the tokens follow."""
    lines = _unpacked("clip_merges.txt.xz").decode("utf-8").split("\n")
    merges = [(first, second) for first, second in (line.split() for line in lines)]
    spare = (256 + number for number in range(256 - len(_MERGED_LETTERS)))
    letters = [chr(code) for code in _MERGED_LETTERS] + [chr(code) for code in spare]
    pieces = [*letters, *(f"{letter}</w>" for letter in letters), *(first + second for first, second in merges)]
    return {piece: number for number, piece in enumerate([*pieces, "<|startoftext|>", "<|endoftext|>"])}, merges


def _unpacked(name: str) -> bytes:
    return lzma.decompress((FOLDER / name).read_bytes())
