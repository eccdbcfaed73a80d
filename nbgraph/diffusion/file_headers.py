"""Headers of weight files, read without their weights and without torch: safetensors, GGUF, and why a file is neither.

A safetensors file begins with the length of a JSON header, a GGUF file with lists of values and tensors. Both state how
long the file must be, so an interrupted download is found before anything is loaded from it.
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

from nbgraph.diffusion.model_files import StoredTensor
from nbgraph.errors import ModelError

FileFormat = Literal["safetensors", "gguf"]

_MAX_HEADER = 200 * 2**20
_GGUF_TYPES: dict[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 40), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292),
    20: ("IQ4_NL", 32, 18), 23: ("IQ4_XS", 256, 136), 24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4),
    27: ("I64", 1, 8), 28: ("F64", 1, 8), 30: ("BF16", 1, 2),
}  # fmt: skip
"""Types of GGUF tensors by number: name, values in a block, bytes of a block."""
_GGUF_SCALARS = {0: "B", 1: "b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "?", 10: "<Q", 11: "<q", 12: "<d"}
_GGUF_STRING, _GGUF_ARRAY = 8, 9
_PICKLE = (
    "is a pickle, which can run any code when it is read, and is never loaded. Use a .safetensors version of it, or "
    "convert one that you trust: nbgraph models --convert FILE"
)


@dataclass(frozen=True)
class FileHeader:
    """What the header of a weight file says: its tensors by name, and its metadata."""

    format: FileFormat
    tensors: Mapping[str, StoredTensor]
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class NotWeights:
    """A file that holds no weights that can be read: a short name of what it is, and what to do about it."""

    kind: str
    problem: str


def read_file_header(file: Path) -> FileHeader | NotWeights:
    """Return the header of a weight file, or what the file is instead.

    Raises
    ------
    ModelError
        When there is no such file, or it cannot be opened.
    """
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            start = stream.read(512)
            if found := _not_weights(file, start, size):
                return found
            stream.seek(0)
            if start.startswith(b"GGUF"):
                return _read_gguf(stream, size)
            return _read_safetensors(stream, start, size)
    except OSError as error:
        raise ModelError(f"{str(file)!r} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, struct.error, RecursionError, OverflowError) as error:
        reason = " ".join(str(error).split())[:120]
        return NotWeights("damaged", f"is damaged: its header cannot be read ({reason}); download it again")


def _not_weights(file: Path, start: bytes, size: int) -> NotWeights | None:
    if not size:
        return NotWeights("empty file", "is empty: the download did not begin; download it again")
    if start.startswith(b"version https://git-lfs"):
        text = "is a pointer of Git LFS and not the file itself; fetch that with: git lfs pull"
        return NotWeights("Git LFS pointer", text)
    if start.lstrip()[:1] == b"<":
        text = "is a web page that was saved in place of the file (often a login or licence page); download the file"
        return NotWeights("web page", text)
    if start.startswith(b"PK"):
        is_pickle = file.suffix in (".ckpt", ".pt", ".pth", ".bin") or b"data.pkl" in start
        kind = "pickle" if is_pickle else "zip archive"
        return NotWeights(kind, _PICKLE if is_pickle else "is a zip archive; unpack it and give the file inside")
    if start[:1] == b"\x80" and file.suffix != ".safetensors" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return NotWeights("pickle", _PICKLE)
    if start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05") and start[8:9] != b"{":
        return NotWeights("pickle", _PICKLE)
    return None


def _read_safetensors(stream: BinaryIO, start: bytes, size: int) -> FileHeader | NotWeights:
    (length,) = struct.unpack("<Q", stream.read(8))
    if start[8:9] != b"{" or length > _MAX_HEADER:
        return NotWeights(
            "unknown file", "is neither a safetensors nor a GGUF file; download it again, or give another"
        )
    if 8 + length > size:
        return _interrupted(size, 8 + length)
    content = json.loads(stream.read(length))
    metadata = content.pop("__metadata__", {})
    end = 8 + length + max((row["data_offsets"][1] for row in content.values()), default=0)
    if end > size:
        return _interrupted(size, end)
    tensors = {name: StoredTensor(tuple(row["shape"]), str(row["dtype"])) for name, row in content.items()}
    return FileHeader("safetensors", tensors, metadata)


def _read_gguf(stream: BinaryIO, size: int) -> FileHeader | NotWeights:
    stream.read(4)
    version = _unpack(stream, "<I")
    if version not in (2, 3):
        return NotWeights("GGUF file", f"is a GGUF file of version {version}, and 2 and 3 can be read")
    count, pairs = _unpack(stream, "<Q"), _unpack(stream, "<Q")
    metadata = {_string(stream): _value(stream, _unpack(stream, "<I")) for _ in range(pairs)}
    tensors: dict[str, StoredTensor] = {}
    end = 0
    for _ in range(count):
        name = _string(stream)
        sides = [_unpack(stream, "<Q") for _ in range(_unpack(stream, "<I"))]
        number, offset = _unpack(stream, "<I"), _unpack(stream, "<Q")
        kind, block, block_bytes = _GGUF_TYPES.get(number, (f"type {number}", 1, 0))
        values = 1
        for side in sides:
            values *= side
        end = max(end, offset + values // block * block_bytes)
        shape = metadata.get(f"comfy.gguf.orig_shape.{name}") or reversed(sides)
        tensors[name] = StoredTensor(tuple(shape), kind)
    alignment = int(metadata.get("general.alignment", 32))
    data = -(-stream.tell() // alignment) * alignment
    if data + end > size:
        return _interrupted(size, data + end)
    return FileHeader("gguf", tensors, metadata)


def _interrupted(size: int, expected: int) -> NotWeights:
    text = f"has {size:,} of {expected:,} bytes: the download was interrupted; download it again"
    return NotWeights("interrupted download", text)


def _unpack(stream: BinaryIO, kind: str) -> Any:
    return struct.unpack(kind, stream.read(struct.calcsize(kind)))[0]


def _string(stream: BinaryIO) -> str:
    length = _unpack(stream, "<Q")
    if length > _MAX_HEADER:
        raise ValueError("a text of its header is too long")
    return stream.read(length).decode("utf-8", errors="replace")


def _value(stream: BinaryIO, kind: int) -> Any:
    if kind in _GGUF_SCALARS:
        return _unpack(stream, _GGUF_SCALARS[kind])
    if kind == _GGUF_STRING:
        return _string(stream)
    if kind != _GGUF_ARRAY:
        raise ValueError(f"a value of its header is of the unknown type {kind}")
    inner, count = _unpack(stream, "<I"), _unpack(stream, "<Q")
    return [_value(stream, inner) for _ in range(count)]
