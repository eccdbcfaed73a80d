"""What a recipe looks like inside PNG, JPEG and WebP files: text chunks, EXIF and XMP.

    PNG          iTXt `nbgraph` (JSON), iTXt `parameters`, iTXt `XML:com.adobe.xmp`
    JPEG, WebP   EXIF UserComment: the parameters;  XMP `nbgraph:recipe`: the JSON, compressed and in base64

The XMP packet also says, in the IPTC's terms, that a model made the picture.
"""

import base64
import json
import warnings
import zlib
from collections.abc import Mapping
from typing import Any

from PIL import Image, PngImagePlugin

from nbgraph.errors import NbgraphWarning
from nbgraph.recipes.made import Carried
from nbgraph.recipes.versions import version

OWN_CHUNK, PARAMETERS, XMP_CHUNK = "nbgraph", "parameters", "XML:com.adobe.xmp"
EXIF_IFD, USER_COMMENT = 0x8769, 0x9286
UNICODE = b"UNICODE\0"
EXIF_TEXTS = {0x0110: "prompt", 0x010F: "workflow"}
"""EXIF tags in which ComfyUI writes into WebP files, as `name:{json}`."""
NAMESPACE = "urn:nbgraph:recipe:1"
FORMATS = ("PNG", "JPEG", "WEBP")
SOURCE_TYPES = {
    "generated": "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",
    "composite": "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia",
}
ORNAMENTS = ("Software", "Source", "Title", "Description")
"""Texts without which a recipe is still whole."""
JPEG_SEGMENT = 65_000
"""The most bytes that EXIF, or XMP, may have in a JPEG file."""
PILLOW_CHUNK = PngImagePlugin.MAX_TEXT_CHUNK // 4
"""The longest text that is compressed: Pillow refuses a whole picture for a chunk that expands to more than 1 MB."""
LARGEST_CHUNK = 8 * 2**20


def save_options(carried: Carried, format: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments that make `Image.save` write what a picture carries.

    Parameters
    ----------
    format
        As Pillow names it; formats other than PNG, JPEG and WebP carry nothing.
    given
        The keyword arguments of the caller, which hold: where one of them writes the same place, it is left alone.
    """
    if format == "PNG" and "pnginfo" not in given:
        return {"pnginfo": _png_info(carried)}
    if format not in ("JPEG", "WEBP"):
        return {}
    limit = JPEG_SEGMENT if format == "JPEG" else LARGEST_CHUNK
    options = {"xmp": _fitting_xmp(carried, limit) or None, "exif": _exif(carried, limit)}
    return {name: value for name, value in options.items() if value is not None and name not in given}


def _png_info(carried: Carried) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    texts = {**(carried.brought or {}), **({PARAMETERS: carried.parameters} if carried.parameters else {})}
    if carried.recipe:
        if len(carried.recipe) <= LARGEST_CHUNK:
            texts[OWN_CHUNK] = carried.recipe
        else:
            _warn_left_out(len(carried.recipe))
    for name, text in texts.items():
        data = text.encode("utf-8", "replace").decode()
        info.add_itxt(name, data, zip=len(data.encode()) <= PILLOW_CHUNK)
    if packet := _xmp(carried, with_recipe=False):
        info.add_itxt(XMP_CHUNK, packet)
    return info


def _exif(carried: Carried, limit: int) -> Image.Exif | None:
    """The EXIF of a file: the parameters, and the texts of ComfyUI in the tags where it writes them into WebP files."""
    brought = carried.brought or {}
    text = carried.parameters or brought.get(PARAMETERS, "")
    exif, size = Image.Exif(), 0
    if text and len(comment := UNICODE + text.encode("utf-16-be", "replace")) <= limit:
        exif.get_ifd(EXIF_IFD)[USER_COMMENT] = comment
        size = len(comment)
    left_out = [name for name in brought if name not in (OWN_CHUNK, PARAMETERS, *EXIF_TEXTS.values(), *ORNAMENTS)]
    for tag, name in EXIF_TEXTS.items():
        if name in brought:
            written = f"{name}:{_ascii(brought[name])}"
            if size + len(written) <= limit:
                exif[tag] = written
                size += len(written)
            else:
                left_out.append(name)
    if left_out:
        names = ", ".join(map(repr, left_out))
        text = f"what the image brought in its texts {names} does not go into this format; save as PNG to keep it"
        warnings.warn(text, NbgraphWarning, stacklevel=4)
    return exif if size else None


def _ascii(text: str) -> str:
    """JSON as ASCII, which EXIF holds; a text that is no JSON as it is."""
    try:
        return json.dumps(json.loads(text))
    except (ValueError, RecursionError):
        return text


def _fitting_xmp(carried: Carried, limit: int) -> bytes:
    """The packet with the recipe, or without it and with a warning where it is too long for the format."""
    packet = _xmp(carried, with_recipe=True).encode()
    if len(packet) > limit:
        _warn_left_out(len(packet))
        packet = _xmp(carried, with_recipe=False).encode()
    return packet


def _warn_left_out(size: int) -> None:
    text = f"the recipe takes {size:,} bytes, more than this format holds, and is left out; save as PNG, or the graph"
    warnings.warn(text, NbgraphWarning, stacklevel=5)


def _xmp(carried: Carried, with_recipe: bool) -> str:
    """An XMP packet; "" where there is nothing to say."""
    recipe = carried.recipe or (carried.brought or {}).get(OWN_CHUNK, "")
    attributes = {"xmp:CreatorTool": f"nbgraph {version()}"} if carried.recipe or carried.source else {}
    if carried.source:
        attributes["Iptc4xmpExt:DigitalSourceType"] = SOURCE_TYPES[carried.source]
    if with_recipe and recipe:
        attributes["nbgraph:recipe"] = base64.b64encode(zlib.compress(recipe.encode(), 9)).decode()
    if not attributes:
        return ""
    # here, not above: it imports what reads from the network, for which a first studio need not wait
    from xml.sax.saxutils import quoteattr

    written = "".join(f"\n  {name}={quoteattr(value)}" for name, value in attributes.items())
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n <rdf:Description rdf:about=""'
        ' xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
        f' xmlns:nbgraph="{NAMESPACE}"{written}/>\n</rdf:RDF></x:xmpmeta>\n<?xpacket end="w"?>'
    )
