"""Weight files of any size on paper: a real header over bytes that take no room on disk."""

import gzip
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path

from nbgraph.diffusion import fingerprints

FULL_SIZE = Path(__file__).parents[1] / "fixtures" / "full_size"
LARGE_BYTES = 2**28
BYTES = {"F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "U8": 1, "I8": 1, "I64": 8}


@cache
def full_size(name: str) -> dict[str, list[int]]:
    """The tensors of a full-size checkpoint, shapes by name: `sd1`, `sdxl`, `sd3-medium` or `flux-dev`."""
    return json.loads(gzip.decompress((FULL_SIZE / f"{name}.json.gz").read_bytes()))


def write_header(
    file: Path,
    tensors: Mapping[str, Sequence[int]],
    dtype: str = "F16",
    metadata: Mapping[str, str] | None = None,
    dtypes: Mapping[str, str] | None = None,
) -> Path:
    """Write a safetensors file with these tensors, all zeros that take no room.

    nbgraph is told the hash of a large one: to read gigabytes of zeros for it takes a minute, again at each look, since
    the file is new. The header says all of the file.
    """
    rows, end = {}, 0
    for name, shape in tensors.items():
        kind = (dtypes or {}).get(name, dtype)
        begin, end = end, end + math.prod(shape) * BYTES[kind]
        rows[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [begin, end]}
    header = json.dumps({"__metadata__": dict(metadata or {}), **rows}).encode()
    with file.open("wb") as stream:
        stream.write(len(header).to_bytes(8, "little") + header)
        stream.truncate(8 + len(header) + end)
    if end >= LARGE_BYTES:
        fingerprints._known[str(file.resolve()), fingerprints.file_identity(file)] = sha256(header).hexdigest()
    return file


def without(tensors: Mapping[str, Sequence[int]], *starts: str) -> dict[str, Sequence[int]]:
    """The tensors whose names do not begin so."""
    return {name: shape for name, shape in tensors.items() if not name.startswith(starts)}


def only(tensors: Mapping[str, Sequence[int]], start: str) -> dict[str, Sequence[int]]:
    """The tensors whose names begin so, without that beginning: one part, as a file of its own."""
    return {name.removeprefix(start): shape for name, shape in tensors.items() if name.startswith(start)}


def named(names: Iterable[str], shape: Sequence[int] = (4, 4)) -> dict[str, Sequence[int]]:
    """Tensors of these names, all of one shape."""
    return dict.fromkeys(names, shape)
