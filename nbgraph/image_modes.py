"""Modes of pictures: the form in which a picture is stored, and the form in which nodes, models and displays read it.

A stored picture is exactly what a PNG file gives back, in memory too: its pixels, its palette, which colour or palette
entry is transparent, and its ICC profile. Everything else that PIL keeps in `info` belongs to a file, not to a picture.

Whoever reads one takes it by one of these, so that a picture means the same everywhere:

    in_plain_mode(image)   L, LA, RGB or RGBA: palettes resolved, 16 bits a channel scaled to 8     nodes, displays
    on_white(image)        RGB: what is transparent is white, as on paper                            models, comparisons
    as_mask(image)         L: brightness times opacity, so that what is transparent is black         masks
"""

from collections.abc import Sequence
from typing import Any, cast

from PIL import Image, ImageMath

MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
"""The modes that are stored."""
DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")
"""The modes that are stored as I;16, whole numbers of 16 bits."""
MAX_DEEP = 65_535
_BANDS_WITH_A_COLOR_KEY = {"1": 1, "L": 1, "RGB": 3, **dict.fromkeys(DEEP_MODES, 1)}


def stored_form(image: Image.Image) -> Image.Image:
    """Return a new picture as it is stored: of one of `MODES`, with `transparency` and `icc_profile` alone in `info`.

    A palette is cut off after the last entry that a pixel uses; modes of 16 and 32 bits become I;16. `ValueError` for
    numbers that 16 bits do not hold, and for a transparency that the mode cannot have.
    """
    image.load()
    alpha = None
    if image.mode == "P":
        stored, alpha = _with_used_palette(image)
    else:
        stored = _in_16_bits(image) if image.mode in DEEP_MODES else image.copy()
        if image.mode in _BANDS_WITH_A_COLOR_KEY:
            alpha = _color_key(image)
    profile = image.info.get("icc_profile")
    stored.info = {} if alpha is None else {"transparency": alpha}
    if profile and isinstance(profile, bytes):
        stored.info["icc_profile"] = profile
    return stored


def in_plain_mode(image: Image.Image) -> Image.Image:
    """Return the picture as L, LA, RGB or RGBA, 8 bits a channel: 0 to 65535 of 16 bits become 0 to 255.

    A colour or palette entry that is transparent becomes an alpha channel; CMYK and the like become RGB. `ValueError`
    for mode I with numbers that 16 bits do not hold.
    """
    key = image.info.get("transparency")
    if image.mode in ("L", "RGB") and key is not None:
        return image.convert(f"{image.mode}A")
    if image.mode in ("L", "LA", "RGB", "RGBA"):
        return image
    if image.mode in DEEP_MODES:
        deep = _in_16_bits(image).convert("I")
        grey = deep.point(lambda value: value / 257 + 0.5).convert("L")
        if isinstance(key, int):
            grey.putalpha(ImageMath.lambda_eval(lambda a: a["convert"]((a["deep"] != key) * 255, "L"), deep=deep))
        return grey
    if image.mode == "1":
        return image.convert("L" if key is None else "LA")
    if image.mode == "La":
        return image.convert("LA")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def on_white(image: Image.Image) -> Image.Image:
    """Return the picture as RGB; what is transparent is white, so that no colour counts that a viewer does not see."""
    plain = in_plain_mode(image)
    if not has_alpha(plain):
        return plain.convert("RGB")
    paper = Image.new("RGBA", plain.size, "white")
    return Image.alpha_composite(paper, plain.convert("RGBA")).convert("RGB")


def as_mask(image: Image.Image) -> Image.Image:
    """Return the picture as a mask, mode L: brightness times opacity, so that what is transparent is black."""
    plain = in_plain_mode(image)
    if not has_alpha(plain):
        return plain.convert("L")
    grey = plain.convert("RGB").convert("L")
    return Image.composite(grey, Image.new("L", grey.size, 0), plain.getchannel("A"))


def has_alpha(plain: Image.Image) -> bool:
    """Whether a picture of a plain mode has an alpha channel."""
    return plain.mode.endswith("A")


def _in_16_bits(image: Image.Image) -> Image.Image:
    """The picture as I;16; `ValueError` for numbers that 16 bits do not hold."""
    if image.mode == "I;16":
        return image.copy()
    whole = image.convert("I")
    least, most = (int(each) for each in whole.getextrema())  # type: ignore[union-attr]
    if least < 0 or most > MAX_DEEP:
        raise ValueError(f"its numbers go from {least} to {most}, and 16 bits hold 0 to {MAX_DEEP}; scale them to that")
    return whole.convert("I;16")


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
    listed = cast("Sequence[Any]", key) if isinstance(key, list | tuple) else ()
    channels: tuple[Any, ...] = (key,) if isinstance(key, int) else tuple(listed)
    if len(channels) != _BANDS_WITH_A_COLOR_KEY[image.mode] or not all(isinstance(each, int) for each in channels):
        raise ValueError(
            f"its info['transparency'] is {key!r}, which that mode cannot have; delete it, or make it RGBA"
        )
    most = MAX_DEEP if image.mode in DEEP_MODES else 255
    if not all(0 <= each <= most for each in channels):
        return None
    return channels[0] if len(channels) == 1 else channels
