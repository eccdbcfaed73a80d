"""Fingerprints of model files: what a model *is*, wherever it lies and whatever it is called."""

import hashlib
from functools import lru_cache
from pathlib import Path

from nbgraph.errors import ModelNotFoundError

_SUFFIXES = {".json", ".txt", ".model", ".jinja", ".safetensors"}
_WHOLE_FILE_BYTES = 64 * 2**20
_CHUNK_BYTES = 2**20
_CHUNKS = 32


def resolve_folder(path: str | Path) -> Path:
    """The file or folder `path` names: itself, or the snapshot of that repository id in the local hub cache.

    Never goes to the network. `ModelNotFoundError` names what was given and how to get it.
    """
    local = Path(path).expanduser()
    if local.exists():
        return local.resolve()
    if str(path).count("/") == 1 and not str(path).startswith(("/", ".", "~")):
        return _hub_snapshot(str(path))
    raise ModelNotFoundError(
        f"there is no model at {str(path)!r}: no such file or folder. Give the folder of a model "
        "in the diffusers layout (the one that holds model_index.json)"
    )


def fingerprint_path(path: str | Path) -> str:
    """A hex fingerprint of the content of a model folder or of one file, equal for equal content anywhere.

    BLAKE2 over the relative names, the sizes and the content of config, vocabulary and safetensors files. Files up to
    64 MiB are read whole. Of a larger file only its size, its first MiB (for safetensors: the header, with every name,
    shape and offset) and 32 chunks of 1 MiB spread evenly to its end are read, so an edit of a large file that keeps
    its size and misses every chunk goes unseen. Digests are remembered per (path, modification time, size).
    """
    root = resolve_folder(path)
    files = [root] if root.is_file() else [file for file in sorted(root.rglob("*")) if _counts(file, root)]
    if not files:
        raise ModelNotFoundError(f"the folder {str(path)!r} holds no model files (none of {sorted(_SUFFIXES)})")
    digest = hashlib.blake2b(digest_size=16)
    for file in files:
        state = file.stat()
        name = "" if file == root else file.relative_to(root).as_posix()
        content = _digest_file(str(file), state.st_mtime_ns, state.st_size)
        digest.update(f"{name}\0{state.st_size}\0{content}\n".encode())
    return digest.hexdigest()


def _counts(file: Path, root: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(root).parts)
    return file.is_file() and file.suffix in _SUFFIXES and not hidden


@lru_cache(maxsize=4096)
def _digest_file(path: str, modified_ns: int, size: int) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with open(path, "rb") as stream:
        if size <= _WHOLE_FILE_BYTES:
            digest.update(stream.read())
        else:
            for number in range(_CHUNKS + 1):
                stream.seek((size - _CHUNK_BYTES) * number // _CHUNKS)
                digest.update(stream.read(_CHUNK_BYTES))
    return digest.hexdigest()


def _hub_snapshot(repository: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, HfHubHTTPError) as error:
        raise ModelNotFoundError(
            f"there is no model {repository!r}: no such folder, and no repository of that name in the local hub cache. "
            f"Give the path of a folder, or fetch it first: hf download {repository}"
        ) from error
