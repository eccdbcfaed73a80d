"""The files of one component: its JSON, which weights of its folder are read, and what their headers say."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from safetensors import SafetensorError, safe_open

from nbgraph.errors import ModelError

_PICKLES = ("*.bin", "*.ckpt", "*.pt", "*.pth")
_SHARD = re.compile(r"-\d{5}-of-\d{5}$")
_LFS_POINTER = b"version https://git-lfs"


@dataclass(frozen=True)
class StoredTensor:
    """One tensor as the header of its file has it: shape, and type as safetensors names it (`F16`, `I8` ...)."""

    shape: tuple[int, ...]
    dtype: str


def read_json(file: Path) -> dict[str, Any]:
    """Return the object in a JSON file; raise `ModelError` when it holds none."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise ModelError(f"{str(file)!r} cannot be read as JSON: {reason}. Copy the model again") from error
    if not isinstance(content, dict):
        raise ModelError(f"{str(file)!r} holds no JSON object. Copy the model again")
    return cast(dict[str, Any], content)


def choose_variant(folder: Path, variant: str | None) -> str | None:
    """Return the variant of the weights in `folder` to load: `variant`, plain ones for None, or the only one there is.

    `ModelError` without safetensors weights, and for a variant that is not there.
    """
    names = [file.name for file in folder.glob("*.safetensors")]
    if not names:
        pickles = sorted(file.name for pattern in _PICKLES for file in folder.glob(pattern))
        if pickles:
            raise ModelError(
                f"{str(folder)!r} has its weights only as {', '.join(pickles)}: pickles, which can run any "
                "code when they are read, and are never loaded. Use a safetensors version of it"
            )
        raise ModelError(f"there are no weights in {str(folder)!r}: no .safetensors file. Copy or download it again")
    variants = {_variant_of(name) for name in names}
    if variant is None:
        return None if None in variants or len(variants) > 1 else variants.pop()
    if variant in variants:
        return variant
    if None in variants:
        return None
    raise ModelError(
        f"{str(folder)!r} has no weights of the variant {variant!r} "
        f"(it has: {', '.join(sorted(filter(None, variants)))})"
    )


def read_headers(folder: Path, base: str, variant: str | None, index_first: bool) -> dict[str, StoredTensor]:
    """Return what the weights of that base name and variant in `folder` hold, by name, all shards together.

    `index_first` chooses which is read where there are both shards with an index and a whole file. `ModelError` for a
    file that is missing or cannot be read, and for shards that do not hold what their index says.
    """
    ending = f".{variant}" if variant else ""
    whole = folder / f"{base}{ending}.safetensors"
    index = folder / f"{base}.safetensors.index{ending}.json"
    if whole.is_file() and not (index_first and index.is_file()):
        return read_header(whole)
    if not index.is_file():
        names = ", ".join(sorted(file.name for file in folder.glob("*.safetensors")))
        raise ModelError(f"{str(folder)!r} has neither {whole.name} nor {index.name} (it has: {names}); name it so")
    places = read_json(index).get("weight_map", {})
    found: dict[str, StoredTensor] = {}
    for shard in sorted(set(places.values())):
        header = read_header(folder / Path(shard).name)
        if twice := sorted(name for name in header if places.get(name, shard) != shard):
            raise ModelError(
                f"{str(folder / shard)!r} holds {len(twice)} tensors that belong into other files by {str(index)!r}, "
                f"such as {twice[0]}. The files are of several versions: copy or download the model again"
            )
        found |= header
    if lacking := sorted(set(places) - set(found)):
        raise ModelError(
            f"{str(index)!r} names {len(lacking)} tensors that its files do not hold, such as {lacking[0]}. The files "
            "are incomplete, or of several versions: copy or download the model again"
        )
    return found


def read_header(file: Path) -> dict[str, StoredTensor]:
    """Return what a safetensors file holds, by name; `ModelError` when it cannot be read."""
    try:
        with cast(Any, safe_open)(file, framework="pt", device="cpu") as opened:  # without types
            parts = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118
            return {name: StoredTensor(tuple(part.get_shape()), str(part.get_dtype())) for name, part in parts.items()}
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{str(file)!r} cannot be read: {error}. {_remedy(file)}") from error


def _remedy(file: Path) -> str:
    if not file.is_file():
        return "There is no such file; copy or download the model again"
    with open(file, "rb") as stream:
        is_pointer = stream.read(len(_LFS_POINTER)) == _LFS_POINTER
    if is_pointer:
        return "It is a pointer of Git LFS and not the file itself; fetch that with: git lfs pull"
    return "The files are damaged; copy or download the model again"


def _variant_of(file_name: str) -> str | None:
    """`fp16` of `model.fp16.safetensors` and `model.fp16-00001-of-00002.safetensors`; None of `model.safetensors`."""
    stem = _SHARD.sub("", file_name.removesuffix(".safetensors"))
    return stem.split(".", 1)[1] if "." in stem else None
