"""Textual inversions: trained vectors that a prompt names by a token.

The vectors belong to copies of tokenizer and text encoder: the copy of the tokenizer knows the token, and the copy of
the encoder shares every weight with the original and has the vectors after its table. Nothing shared is changed.
"""

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from safetensors import safe_open
from torch import Tensor

from nbgraph.diffusion.description import ModelDescription
from nbgraph.diffusion.fingerprints import check_unchanged, resolve_folder
from nbgraph.diffusion.lora_files import bundled_embeddings
from nbgraph.diffusion.model_files import StoredTensor, read_header
from nbgraph.diffusion.refs import TextualInversionPatch
from nbgraph.diffusion.weights_fit import check_types
from nbgraph.diffusion.what_is import what_is
from nbgraph.errors import ModelError

_ENCODERS = {"clip_l": "text_encoder", "clip_g": "text_encoder_2"}
"""The component that takes the vectors of a name in files for SDXL."""
_SINGLE = ("emb_params", "string_to_param.*")
_OPENS = re.compile(r"^[^\s,()\[\]{}:|]+$")


@dataclass(frozen=True)
class EmbeddingFile:
    """What the header of an embedding file says: its tensors by encoder (`clip_l`, `clip_g`, or "" for any)."""

    path: str
    keys: dict[str, str]
    shapes: dict[str, tuple[int, ...]]
    token: str
    """The token that the file names, or the file's own name."""


def read_embedding_header(path: str, token: str | None = None) -> EmbeddingFile:
    """Return what an embedding file, or a LoRA with embeddings beside its layers, holds, from its header.

    Parameters
    ----------
    path
        The file.
    token
        Which of several embeddings in a LoRA's file; any other file holds one.

    Raises
    ------
    ModelError
        When the file is no textual inversion; the message says what it is instead.
    """
    file = resolve_folder(path)
    if file.suffix != ".safetensors":
        raise ModelError(
            f"a textual inversion must be a .safetensors file, and {path!r} is none; pickles are never loaded. "
            "Convert one that you trust: nbgraph models --convert FILE"
        )
    header = read_header(file)
    bundled = bundled_embeddings(header)
    own = _one_of(path, bundled, token) if bundled else None
    keys = _keys_by_encoder({key: header[key] for key in bundled[own].values()}) if own else _keys_by_encoder(header)
    if keys is None:
        facts = what_is(file)
        what = facts.problem or f"is a {facts.kind}, which has a loader of its own"
        raise ModelError(f"{path!r} is no textual inversion: it {what}")
    check_types(f"the vectors in {path!r}", {key: header[key] for key in keys.values()})
    shapes = {encoder: header[key].shape for encoder, key in keys.items()}
    for encoder, shape in shapes.items():
        if len(shape) not in (1, 2) or not all(shape):
            raise ModelError(f"{path!r} is no textual inversion: {keys[encoder]} is {shape}, not (vectors, width)")
    only = next(iter(keys.values()))
    is_named = only not in (*_SINGLE, *_ENCODERS)
    return EmbeddingFile(path, keys, shapes, own or (only if is_named else file.stem))


def _one_of(path: str, bundled: Mapping[str, Any], token: str | None) -> str:
    """Return the token of one of the embeddings in a LoRA's file; raise `ModelError` where it is not clear which."""
    named = next((each for each in bundled if token is not None and each.casefold() == token.casefold()), None)
    if named is None and len(bundled) > 1:
        raise ModelError(f"{path!r} is a LoRA with the embeddings {', '.join(bundled)}; give one of them as token=")
    return named or next(iter(bundled))


def embedding_problem(model: ModelDescription, path: str, token: str | None) -> str:
    """Return the problem of an embedding for a model, before anything is loaded; "" if there is none."""
    try:
        found = read_embedding_header(path, token)
        _encoders_of(model, found)
        check_token(token or found.token)
    except ModelError as error:
        return str(error)
    return ""


def check_token(token: str) -> None:
    """Raise `ModelError` unless a prompt can name the token: one word without brackets, commas and colons."""
    if not _OPENS.match(token):
        raise ModelError(f"{token!r} cannot be a token of a prompt; give token= one word without brackets and commas")


def is_concerned(model: ModelDescription, name: str, patch: TextualInversionPatch) -> bool:
    """Return whether an embedding changes the component `name`: a text encoder it has vectors for, or its tokenizer."""
    if not name.startswith(("text_encoder", "tokenizer")):
        return False
    encoders = _encoders_of(model, read_embedding_header(patch.path, patch.token))
    return name.replace("tokenizer", "text_encoder") in encoders


def extended_tokenizer(
    model: ModelDescription, name: str, tokenizer: Any, patches: Sequence[TextualInversionPatch]
) -> Any:
    """Return a copy of a tokenizer that reads the token of each embedding as its vectors.

    In texts a token is matched as a whole word, in any case, with or without ComfyUI's `embedding:` before it. Each
    vector is a token whose name no prompt contains, so tokens may contain one another.
    """
    extended = copy.deepcopy(tokenizer)
    encoder = name.replace("tokenizer", "text_encoder")
    rows = int(model.config(encoder)["vocab_size"])
    # Vectors begin after the last row of the encoder's table, which may be longer than the vocabulary.
    _add(extended, [f"<|row {number}|>" for number in range(len(extended), rows)], len(extended))
    written: dict[str, str] = {}
    for patch in patches:
        count = _vectors(model, encoder, patch)
        tokens = [f"<|{patch.token}|>", *(f"<|{patch.token} {number}|>" for number in range(2, count + 1))]
        _add(extended, tokens, len(extended))
        written[patch.token.casefold()] = " ".join(tokens)
    words = "|".join(re.escape(token) for token in sorted(written, key=len, reverse=True))
    pattern = re.compile(rf"(?<![\w-])(?:embedding:)?({words})(?![\w-])", re.IGNORECASE)
    extended.__class__ = _expanding(type(tokenizer), pattern, written)
    return extended


def extended_encoder(
    model: ModelDescription, name: str, encoder: Any, patches: Sequence[TextualInversionPatch]
) -> None:
    """Add the vectors of the embeddings to a text encoder, which is a copy, after the rows of its table."""
    table = encoder.get_input_embeddings()
    vectors = torch.cat([_read(model, name, patch) for patch in patches])
    more = torch.nn.Parameter(vectors.to(table.weight), requires_grad=False)
    encoder.set_input_embeddings(_ExtendedTable(table, more))
    for module in encoder.modules():
        # Old configurations let CLIP look for the highest token as the end of the text; the new tokens are higher.
        if getattr(module, "eos_token_id", None) == 2:
            module.eos_token_id = len(table.weight) - 1


class _ExtendedTable(torch.nn.Module):
    """A table of embeddings with further rows, which shares the rows of `table`."""

    def __init__(self, table: Any, more: torch.nn.Parameter) -> None:
        super().__init__()
        self.table, self.more = table, more

    @property
    def weight(self) -> Tensor:
        """The rows of the shared table, (rows, width): their precision and device are those of the module."""
        return self.table.weight

    def forward(self, numbers: Tensor) -> Tensor:
        rows = len(self.table.weight)
        own = self.table(numbers.clamp(max=rows - 1))
        added = torch.nn.functional.embedding((numbers - rows).clamp(min=0), self.more)
        return torch.where((numbers < rows)[..., None], own, added)


def _keys_by_encoder(header: dict[str, StoredTensor]) -> dict[str, str] | None:
    """Return the tensors of an embedding by encoder; None for a file in none of the layouts."""
    last = {name.rpartition(".")[2]: name for name in header}
    if header and last.keys() <= _ENCODERS.keys():
        return last
    if found := next((name for name in _SINGLE if name in header), None):
        return {"": found}
    return {"": next(iter(header))} if len(header) == 1 else None


def _encoders_of(model: ModelDescription, found: EmbeddingFile) -> dict[str, str]:
    """Return the keys of a file by the text encoder that takes them.

    Raise `ModelError` for an embedding of another model.
    """
    family = model.need_family()
    if not hasattr(family.pipeline(), "load_textual_inversion"):
        raise ModelError(f"models of the family {family.key!r} take no textual inversions")
    facts = what_is(resolve_folder(found.path))
    if facts.family and facts.family != family.key and not (family.key == "flux" and found.keys.keys() == {"clip_l"}):
        base = " ".join(filter(None, (facts.family, facts.variant)))
        raise ModelError(
            f"{found.path!r} is a textual inversion for models of {base}, and this model is of {family.key}; use one "
            "that was trained for it"
        )
    widths = {
        name: int(model.config(name)["hidden_size"])
        for name, kind in model.classes.items()
        if name.startswith("text_encoder") and kind.__name__.startswith("CLIPText")
    }
    taken: dict[str, str] = {}
    for encoder, key in found.keys.items():
        width = found.shapes[encoder][-1]
        fitting = [name for name, own in widths.items() if own == width and _ENCODERS.get(encoder, name) == name]
        if not fitting:
            text = f"{key} of the textual inversion {found.path!r} has the width {width}, and the text encoders of "
            sizes = ", ".join(f"{name} {own}" for name, own in widths.items())
            raise ModelError(f"{text}{str(model.folder)!r} have: {sizes}; use one that was trained for this model")
        taken[fitting[0]] = key
    return taken


def _vectors(model: ModelDescription, encoder: str, patch: TextualInversionPatch) -> int:
    found = read_embedding_header(patch.path, patch.token)
    key = _encoders_of(model, found)[encoder]
    shape = next(found.shapes[each] for each, name in found.keys.items() if name == key)
    return shape[0] if len(shape) == 2 else 1


def _read(model: ModelDescription, encoder: str, patch: TextualInversionPatch) -> Tensor:
    """Return (vectors, width) of an embedding for a text encoder."""
    key = _encoders_of(model, read_embedding_header(patch.path, patch.token))[encoder]
    file: Any = safe_open(resolve_folder(patch.path), framework="pt", device="cpu")
    with file as opened:
        vectors: Tensor = opened.get_tensor(key).float()
    check_unchanged(patch.path, patch.fingerprint)
    if not bool(vectors.isfinite().all()):
        raise ModelError(f"the textual inversion {patch.path!r} is damaged: {key} holds values that are not finite")
    return vectors.reshape(-1, vectors.shape[-1])


def _add(tokenizer: Any, tokens: list[str], first: int) -> None:
    from transformers import AddedToken

    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in tokens])
    numbers = [tokenizer.convert_tokens_to_ids(token) for token in tokens]
    if numbers != list(range(first, first + len(tokens))):
        raise ModelError(
            f"the tokenizer {type(tokenizer).__name__} does not take tokens of its own, such as {tokens[0]}"
        )


def _expanding(base: Any, pattern: re.Pattern[str], written: dict[str, str]) -> Any:
    """Return a subclass of a tokenizer's class that replaces the tokens of embeddings before it reads a text."""

    def expanded(text: Any) -> Any:
        if isinstance(text, str):
            return pattern.sub(lambda found: written[found[1].casefold()], text)
        return [expanded(each) for each in cast("list[Any]", text)] if isinstance(text, list | tuple) else text

    def call(self: Any, text: Any = None, *given: Any, **options: Any) -> Any:
        return base.__call__(self, expanded(text), *given, **options)

    return type(base.__name__, (base,), {"__call__": call, "__module__": base.__module__})


def tokens_of(patches: Sequence[Any]) -> Iterator[str]:
    """Yield the tokens of the embeddings among patches."""
    for patch in patches:
        if isinstance(patch, TextualInversionPatch):
            yield patch.token
