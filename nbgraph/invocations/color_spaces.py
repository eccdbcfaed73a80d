"""Colour spaces: a picture in RGB, seen as hue and saturation, as luma and chroma, as Lab or as inks, and back."""

from functools import lru_cache
from typing import Any, Literal

from PIL import Image, ImageCms

ColorChannel = Literal[
    "Red (RGBA)", "Green (RGBA)", "Blue (RGBA)", "Alpha (RGBA)", "Cyan (CMYK)", "Magenta (CMYK)", "Yellow (CMYK)",
    "Black (CMYK)", "Hue (HSV)", "Saturation (HSV)", "Value (HSV)", "Luminosity (LAB)", "A (LAB)", "B (LAB)",
    "Y (YCbCr)", "Cb (YCbCr)", "Cr (YCbCr)",
]  # fmt: skip
BANDS = {
    "RGBA": ("Red", "Green", "Blue", "Alpha"),
    "CMYK": ("Cyan", "Magenta", "Yellow", "Black"),
    "HSV": ("Hue", "Saturation", "Value"),
    "LAB": ("Luminosity", "A", "B"),
    "YCbCr": ("Y", "Cb", "Cr"),
}


def as_byte(value: float) -> int:
    """The value rounded to 0 to 255."""
    return min(255, max(0, round(value)))


def change_channel(picture: Image.Image, channel: str, table: list[int]) -> Image.Image:
    """The picture with one channel looked up in a table of 256 values; its alpha stays, or appears if it is meant."""
    name, space = channel.rstrip(")").split(" (")
    place = BANDS[space].index(name)
    rgba = picture.convert("RGBA")
    if space == "RGBA":
        changed = Image.merge("RGBA", _with_band(rgba, place, table))
        return changed if picture.mode.endswith("A") or name == "Alpha" else changed.convert("RGB")
    colors = from_space(Image.merge(space, _with_band(to_space(rgba.convert("RGB"), space), place, table)), space)
    if picture.mode.endswith("A"):
        colors.putalpha(rgba.getchannel("A"))
    return colors


def to_space(rgb: Image.Image, space: str) -> Image.Image:
    """An RGB picture in another space; in Lab, a and b are 128 where there is no colour."""
    return ImageCms.applyTransform(rgb, _transform("RGB", "LAB")) if space == "LAB" else rgb.convert(space)  # type: ignore[return-value]


def from_space(picture: Image.Image, space: str) -> Image.Image:
    """The RGB picture of one in another space."""
    return ImageCms.applyTransform(picture, _transform("LAB", "RGB")) if space == "LAB" else picture.convert("RGB")  # type: ignore[return-value]


def _with_band(picture: Image.Image, place: int, table: list[int]) -> list[Image.Image]:
    bands = list(picture.split())
    bands[place] = bands[place].point(table)
    return bands


@lru_cache(maxsize=2)
def _transform(source: str, target: str) -> Any:
    profiles = {"RGB": ImageCms.createProfile("sRGB"), "LAB": ImageCms.createProfile("LAB")}
    return ImageCms.buildTransform(profiles[source], profiles[target], source, target)
