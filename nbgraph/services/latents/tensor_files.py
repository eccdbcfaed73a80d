"""Named tensors as the bytes of a safetensors file, and back."""

from safetensors import SafetensorError

from nbgraph.errors import ResourceFileCorruptError
from nbgraph.loading import load
from nbgraph.services.latents.latents_common import TensorDict

HEADER_LIMIT = 64 * 1024


def to_bytes(tensors: TensorDict) -> bytes:
    """Return named torch tensors as the bytes of a safetensors file."""
    return load("safetensors.torch").save(tensors)


def from_bytes(data: bytes, name: str) -> TensorDict:
    """Return named torch tensors from the bytes of a safetensors file.

    Raises
    ------
    ResourceFileCorruptError
        They are not such a file, or the header has more than 64 KiB, far more names than any node saves.
    """
    # before parsing: a hostile header could name millions of tensors
    if int.from_bytes(data[:8], "little") > HEADER_LIMIT:
        raise ResourceFileCorruptError(f"the tensors {name!r} have a header of more than {HEADER_LIMIT:,} bytes")
    try:
        return load("safetensors.torch").load(data)
    except SafetensorError as error:
        raise ResourceFileCorruptError(f"the tensors {name!r} cannot be read: {error}") from error
