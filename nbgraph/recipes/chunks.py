"""The texts in picture files that say how a picture was made, read with limits and without decoding any pixel."""

import base64
import binascii
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from os import PathLike
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from nbgraph.errors import RecipeError
from nbgraph.recipes.carriers import EXIF_IFD, EXIF_TEXTS, NAMESPACE, OWN_CHUNK, PARAMETERS, USER_COMMENT, XMP_CHUNK
from nbgraph.recipes.recipe import MAX_CHARACTERS

PNG_START = b"\x89PNG\r\n\x1a\n"
MAX_FILE = 512 * 2**20
MAX_TEXTS = 64
MAX_BROUGHT = 2**20
KNOWN = (
    OWN_CHUNK,
    "prompt",
    "workflow",
    "invokeai_metadata",
    "invokeai_workflow",
    "invokeai_graph",
    "sd-metadata",
    "invokeai",
    "dream",
    "Dream",
    PARAMETERS,
    "fooocus_scheme",
    "Comment",
    "Description",
    "Software",
    "Source",
    "Title",
)
"""The names under which programs write how a picture was made."""
OWN_XMP = re.compile(r"nbgraph:recipe(?:=[\"']|>)([A-Za-z0-9+/=\s]+)")


@dataclass
class PictureTexts:
    """The texts of a picture file by name, and its format as Pillow names it."""

    format: str
    size: tuple[int, int]
    texts: dict[str, str] = field(default_factory=dict[str, str])

    def add(self, name: str, text: str, where: str) -> None:
        """Keep a text; `RecipeError` where there is another one of that name: it is not known which one counts."""
        if name in self.texts and self.texts[name] != text:
            raise RecipeError(f"{where} has two different texts named {name!r}; take one of them out")
        if len(self.texts) >= MAX_TEXTS:
            raise RecipeError(f"{where} has more than {MAX_TEXTS} texts")
        self.texts[name] = text


def is_picture(data: bytes) -> bool:
    """Return whether bytes begin as a PNG, JPEG or WebP file does."""
    return data.startswith((PNG_START, b"\xff\xd8\xff")) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def read_texts(data: bytes, where: str) -> PictureTexts:
    """Return the texts in a PNG, JPEG or WebP file.

    `RecipeError` for files that are truncated or damaged, for texts that expand to more than `MAX_CHARACTERS`, and
    where one name stands for two different texts.
    """
    if len(data) > MAX_FILE:
        raise RecipeError(f"{where} has {len(data):,} bytes; at most {MAX_FILE:,} are read")
    if data.startswith(PNG_START):
        return _read_png(data, where)
    return _read_exif_and_xmp(data, where)


def texts_brought(picture: Image.Image | str | PathLike[str]) -> dict[str, str]:
    """Return the texts that say how a picture was made, to be kept beside it; {} for those that cannot be read.

    Of a PIL image these are what Pillow read from its file. Texts of more than 1 MB are left out.
    """
    if isinstance(picture, Image.Image):
        texts = {name: text for name, text in picture.info.items() if isinstance(name, str) and isinstance(text, str)}
    else:
        try:
            texts = read_texts(Path(picture).expanduser().read_bytes(), str(picture)).texts
        except (RecipeError, OSError):
            return {}
    return {name: str(text) for name, text in texts.items() if name in KNOWN and len(text) <= MAX_BROUGHT}


def _read_png(data: bytes, where: str) -> PictureTexts:
    found = PictureTexts("PNG", (int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")))
    for kind, body in _png_chunks(data, where):
        if kind == b"tEXt":
            name, _, text = body.partition(b"\0")
            found.add(_name(name), text.decode("latin-1"), where)
        elif kind == b"zTXt":
            name, _, packed = body.partition(b"\0")
            found.add(_name(name), _expanded(packed[1:], where, _name(name)).decode("latin-1"), where)
        elif kind == b"iTXt":
            name, _, rest = body.partition(b"\0")
            is_packed, (_, _, text) = rest[:1] == b"\1", (rest[2:].split(b"\0", 2) + [b"", b"", b""])[:3]
            plain = _expanded(text, where, _name(name)) if is_packed else text
            found.add(_name(name), plain.decode("utf-8", "replace"), where)
    found.texts = {name: text for name, text in found.texts.items() if name in KNOWN or name == XMP_CHUNK}
    if packet := found.texts.pop(XMP_CHUNK, ""):
        _add_own_xmp(found, packet, where)
    return found


def _png_chunks(data: bytes, where: str) -> Iterator[tuple[bytes, bytes]]:
    place = len(PNG_START)
    while place + 12 <= len(data):
        length, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        if place + 12 + length > len(data):
            break
        if kind == b"IEND":
            return
        yield kind, data[place + 8 : place + 8 + length]
        place += 12 + length
    raise RecipeError(f"{where} is truncated: it ends within the picture; get the file again")


def _expanded(packed: bytes, where: str, name: str) -> bytes:
    expand = zlib.decompressobj()
    try:
        text = expand.decompress(packed, MAX_CHARACTERS)
    except zlib.error as error:
        raise RecipeError(f"{where}: the text {name!r} is damaged: {error}") from None
    if expand.unconsumed_tail:
        raise RecipeError(f"{where}: the text {name!r} expands to more than {MAX_CHARACTERS:,} bytes, and is not read")
    return text


def _name(raw: bytes) -> str:
    return raw[:80].decode("latin-1")


def _read_exif_and_xmp(data: bytes, where: str) -> PictureTexts:
    try:
        with Image.open(BytesIO(data), formats=("JPEG", "WEBP")) as opened:
            found = PictureTexts(str(opened.format), opened.size)
            exif, packet = opened.getexif(), opened.info.get("xmp", b"")
            comment = exif.get_ifd(EXIF_IFD).get(USER_COMMENT, b"")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise RecipeError(f"{where} is truncated or damaged: {error}; get the file again") from None
    for tag, name in EXIF_TEXTS.items():
        text = exif.get(tag)
        if isinstance(text, str) and text.startswith(f"{name}:"):
            found.add(name, text.removeprefix(f"{name}:"), where)
    if text := _comment_text(comment):
        found.add(PARAMETERS, text, where)
    if packet:
        _add_own_xmp(found, packet.decode("utf-8", "replace") if isinstance(packet, bytes) else str(packet), where)
    return found


def _comment_text(comment: bytes | str) -> str:
    """The text of an EXIF UserComment: eight bytes name its encoding, of UTF-16 with either byte order."""
    if isinstance(comment, str):
        return comment.strip("\0 ")
    kind, body = comment[:8], comment[8:]
    if kind != b"UNICODE\0":
        return (body if kind == b"ASCII\0\0\0" else comment).decode("utf-8", "replace").strip("\0 ")
    order = "utf-16-be" if body[:1] == b"\0" or body[:2] == b"\xfe\xff" else "utf-16-le"
    if body[:1] and body[1:2] and b"\0" not in body[:2]:
        order = "utf-16-be" if body.decode("utf-16-be", "replace").isprintable() else "utf-16-le"
    return body.decode(order, "replace").strip("\0\ufeff ")


def _add_own_xmp(found: PictureTexts, packet: str, where: str) -> None:
    """Take our own recipe out of an XMP packet; packets of others have none.

    It is base64, so it is looked for as it stands, and the markup around it is never parsed.
    """
    if NAMESPACE not in packet or len(packet) > MAX_CHARACTERS:
        return
    for packed in OWN_XMP.findall(packet):
        try:
            raw = base64.b64decode("".join(packed.split()), validate=True)
        except binascii.Error as error:
            raise RecipeError(f"{where}: the recipe in its XMP packet is damaged: {error}") from None
        found.add(OWN_CHUNK, _expanded(raw, where, OWN_CHUNK).decode("utf-8", "replace"), where)
