"""Hashes of model files as other programs write and look them up."""

import hashlib
from functools import lru_cache
from os.path import isfile
from pathlib import Path

from nbgraph.diffusion.fingerprints import file_identity

HEADER_BYTES = 8


def model_hash(path: str) -> str:
    """Return the first 10 hex digits of the SHA-256 of a model file; "" for a folder, which has no such hash."""
    return _sha256(path, file_identity(path), 0)[:10] if isfile(path) else ""


def lora_hash(path: str) -> str:
    """Return the first 12 hex digits of the SHA-256 of a safetensors file after its header; "" for no such file."""
    if Path(path).suffix != ".safetensors" or not isfile(path):
        return ""
    with open(path, "rb") as stream:
        skipped = HEADER_BYTES + int.from_bytes(stream.read(HEADER_BYTES), "little")
    return _sha256(path, file_identity(path), skipped)[:12]


@lru_cache(maxsize=256)
def _sha256(path: str, identity: object, skipped: int) -> str:
    """The hash of a file from a byte on; asked again only when the file is another one."""
    with open(path, "rb") as stream:
        stream.seek(skipped)
        return hashlib.file_digest(stream, "sha256").hexdigest()
