"""Hashes of model files as other programs write and look them up."""

import hashlib
from functools import lru_cache
from os.path import isfile
from pathlib import Path

from nbgraph.diffusion.fingerprints import Identity, file_identity, known_sha256, sha256_of

HEADER_BYTES = 8
SHORT = 10
"""How many hex digits of a SHA-256 programs write for a model; the eight of older ones are of another kind."""


def model_hash(path: str) -> str:
    """Return the first 10 hex digits of the SHA-256 of a model file; "" for a folder, which has no such hash."""
    return sha256_of(path)[:SHORT] if isfile(path) else ""


def is_file_of(path: str, digest: str) -> bool:
    """Return whether a model file has a hash that begins so, as far as that is known without reading the file."""
    return len(digest) >= SHORT and isfile(path) and known_sha256(path).startswith(digest.casefold())


def is_lora_of(path: str, digest: str) -> bool:
    """Return whether a LoRA file has a hash: that of its tensors, or that of the whole file."""
    wanted = digest.casefold()
    return lora_hash(path).startswith(wanted) or model_hash(path).startswith(wanted[:SHORT])


def lora_hash(path: str) -> str:
    """Return the first 12 hex digits of the SHA-256 of a safetensors file after its header; "" for no such file."""
    if Path(path).suffix != ".safetensors" or not isfile(path):
        return ""
    return _sha256_after_header(path, file_identity(path))[:12]


@lru_cache(maxsize=256)
def _sha256_after_header(path: str, identity: Identity) -> str:
    """The hash of the tensors of a file, kept as long as the file has that identity."""
    del identity
    with open(path, "rb") as stream:
        stream.seek(HEADER_BYTES + int.from_bytes(stream.read(HEADER_BYTES), "little"))
        return hashlib.file_digest(stream, "sha256").hexdigest()
