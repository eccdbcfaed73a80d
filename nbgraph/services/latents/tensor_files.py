"""Named tensors as the bytes of a safetensors file, and back."""

from typing import Any

from safetensors import SafetensorError

from nbgraph.errors import ResourceFileCorruptError
from nbgraph.loading import load

HEADER_LIMIT = 64 * 1024


def to_bytes(tensors: dict[str, Any]) -> bytes:
    """Named torch tensors as the bytes of a safetensors file."""
    return load("safetensors.torch").save(tensors)


def from_bytes(data: bytes, name: str) -> dict[str, Any]:
    """Named torch tensors from the bytes of a safetensors file; `ResourceFileCorruptError` if they are none.

    A header of more than 64 KiB, many more names than any node saves, is refused before it is parsed.
    """
    if int.from_bytes(data[:8], "little") > HEADER_LIMIT:
        raise ResourceFileCorruptError(f"the tensors {name!r} have a header of more than {HEADER_LIMIT:,} bytes")
    try:
        return load("safetensors.torch").load(data)
    except SafetensorError as error:
        raise ResourceFileCorruptError(f"the tensors {name!r} cannot be read: {error}") from error
