"""Colour spaces: convert an RGB image to HSV, YCbCr, Lab or CMYK and back, and change one channel."""

from functools import lru_cache
from typing import Literal

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
    """Return a value rounded and limited to 0 to 255."""
    return min(255, max(0, round(value)))


def change_channel(picture: Image.Image, channel: str, table: list[int]) -> Image.Image:
    """Return an image with one channel mapped through a table.

    Parameters
    ----------
    picture
        In L, LA, RGB or RGBA.
    channel
        A `ColorChannel`.
    table
        The new value of each of 256 values.

    Returns
    -------
    Image
        RGB, or RGBA if the image has an alpha channel or that is the one changed.
    """
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
    """Return an RGB image in another space; in Lab, a and b are 128 where there is no colour."""
    # Pillow's `convert` knows no way between RGB and Lab; colour profiles do
    return _transformed(rgb, "RGB", "LAB") if space == "LAB" else rgb.convert(space)


def from_space(picture: Image.Image, space: str) -> Image.Image:
    """Return an image of another space in RGB."""
    return _transformed(picture, "LAB", "RGB") if space == "LAB" else picture.convert("RGB")


def _transformed(picture: Image.Image, source: str, target: str) -> Image.Image:
    result = ImageCms.applyTransform(picture, _transform(source, target))
    assert result is not None, "it is None only for a transform in place"
    return result


def _with_band(picture: Image.Image, place: int, table: list[int]) -> list[Image.Image]:
    bands = list(picture.split())
    bands[place] = bands[place].point(table)
    return bands


@lru_cache(maxsize=2)
def _transform(source: str, target: str) -> ImageCms.ImageCmsTransform:
    profiles = {"RGB": _profile("sRGB"), "LAB": _profile("LAB")}
    return ImageCms.buildTransform(profiles[source], profiles[target], source, target)


def _profile(space: Literal["sRGB", "LAB"]) -> ImageCms.ImageCmsProfile:
    # Pillow's stub does not know what it returns
    core = ImageCms.createProfile(space)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return ImageCms.ImageCmsProfile(core)  # pyright: ignore[reportUnknownArgumentType]
