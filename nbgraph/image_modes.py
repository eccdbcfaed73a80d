"""Modes of pictures: the form in which a picture is stored, and the form in which nodes, models and displays read it.

A stored picture is exactly what a PNG file gives back, in memory too: its pixels, its palette, which colour or palette
entry is transparent, and its ICC profile. Everything else that PIL keeps in `info` belongs to a file, not to a picture.
"""

from typing import Any

from PIL import Image

MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
"""The modes that are stored."""
_BANDS_WITH_A_COLOR_KEY = {"1": 1, "L": 1, "I;16": 1, "RGB": 3}


def stored_form(image: Image.Image) -> Image.Image:
    """Return a new picture as it is stored: of one of `MODES`, with `transparency` and `icc_profile` alone in `info`.

    A palette is cut off after the last entry that a pixel uses. `ValueError` for a transparency that the mode cannot
    have.
    """
    image.load()
    alpha = None
    if image.mode == "P":
        stored, alpha = _with_used_palette(image)
    else:
        stored = image.copy()
        if image.mode in _BANDS_WITH_A_COLOR_KEY:
            alpha = _color_key(image)
    profile = image.info.get("icc_profile")
    stored.info = {} if alpha is None else {"transparency": alpha}
    if profile and isinstance(profile, bytes):
        stored.info["icc_profile"] = profile
    return stored


def _with_used_palette(image: Image.Image) -> tuple[Image.Image, bytes | int | None]:
    """(the picture with the entries of its palette that are used, their opacity as PIL reads it from a PNG file)"""
    used = 1 + int(image.getextrema()[1])  # type: ignore[arg-type]
    entries = image.crop((0, 0, used, 1))
    entries.putdata(range(used))
    colors = entries.convert("RGBA")
    stored = Image.frombytes("P", image.size, image.tobytes())
    stored.putpalette(colors.convert("RGB").tobytes())
    opacity = colors.getchannel("A").tobytes()
    if opacity.count(255) == used:
        return stored, None
    if opacity.count(0) == 1 and opacity.count(255) == used - 1:
        return stored, opacity.index(0)
    return stored, opacity.rstrip(b"\xff")


def _color_key(image: Image.Image) -> int | tuple[int, ...] | None:
    """The colour that is transparent, or None where there is none that a pixel could have."""
    key: Any = image.info.get("transparency")
    if key is None:
        return None
    channels = (key,) if isinstance(key, int) else tuple(key) if isinstance(key, list | tuple) else ()
    if len(channels) != _BANDS_WITH_A_COLOR_KEY[image.mode] or not all(isinstance(each, int) for each in channels):
        raise ValueError(f"info['transparency'] is {key!r}, which a picture of mode {image.mode!r} cannot have")
    most = 65_535 if image.mode == "I;16" else 255
    if not all(0 <= each <= most for each in channels):
        return None
    return channels[0] if len(channels) == 1 else channels
