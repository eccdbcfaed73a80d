"""The forms in which pictures are read: plain modes, on white, as masks. Each means the same everywhere."""

import numpy as np
import pytest
from PIL import Image

from nbgraph.image_modes import as_mask, in_plain_mode, on_white

DEEP = np.array([[0, 257, 32_896, 65_535]], dtype=np.uint16)
"""What 8 bits hold as 0, 1, 128 and 255."""


def deep(mode: str) -> Image.Image:
    return Image.fromarray(DEEP if mode == "I;16" else DEEP.astype(np.int32)).convert(mode)


def pixels(image: Image.Image) -> list:
    return np.asarray(image).reshape(-1, *np.asarray(image).shape[2:]).tolist()


@pytest.mark.parametrize("mode", ["I", "I;16", "I;16B", "I;16L", "I;16N"])
def test_16_bits_are_scaled_to_8(mode):
    assert pixels(in_plain_mode(deep(mode))) == [0, 1, 128, 255]
    assert pixels(as_mask(deep(mode))) == [0, 1, 128, 255]
    assert pixels(on_white(deep(mode))) == [[value] * 3 for value in (0, 1, 128, 255)]


def test_numbers_that_16_bits_do_not_hold_are_refused_with_what_they_are():
    with pytest.raises(ValueError, match="from -1 to 65536, and 16 bits hold 0 to 65535"):
        in_plain_mode(Image.fromarray(np.array([[-1, 65_536]], dtype=np.int32)))


@pytest.mark.parametrize(("mode", "key"), [("1", 0), ("L", 0), ("RGB", (0, 0, 0)), ("I;16", 0)])
def test_a_transparent_colour_becomes_an_alpha_channel(mode, key):
    image = deep("I;16") if mode == "I;16" else Image.fromarray(np.array([[0, 255]], dtype=np.uint8)).convert(mode)
    image.info["transparency"] = key
    alpha = in_plain_mode(image).getchannel("A")
    assert (alpha.getpixel((0, 0)), alpha.getpixel((1, 0))) == (0, 255)


def test_premultiplied_pictures_keep_their_opacity():
    half = Image.new("RGBA", (1, 1), (255, 0, 0, 128))
    assert in_plain_mode(half.convert("RGBa")).getpixel((0, 0)) == (255, 0, 0, 128)
    assert in_plain_mode(Image.new("LA", (1, 1), (255, 128)).convert("La")).getpixel((0, 0)) == (255, 128)


WHITE_ON_TRANSPARENT = [(255, 255, 255, 255), (255, 255, 255, 0), (0, 0, 0, 255), (255, 255, 255, 128)]
AS_MASK = [255, 0, 0, 128]


def rgba() -> Image.Image:
    image = Image.new("RGBA", (4, 1))
    image.putdata(WHITE_ON_TRANSPARENT)
    return image


def with_palette() -> Image.Image:
    image = Image.frombytes("P", (4, 1), bytes(range(4)))
    image.putpalette(bytes(value for color in WHITE_ON_TRANSPARENT for value in color), "RGBA")
    return image


@pytest.mark.parametrize(
    "make",
    [rgba, with_palette, lambda: rgba().convert("LA"), lambda: rgba().convert("RGBa")],
    ids=["RGBA", "P", "LA", "RGBa"],
)
def test_a_mask_is_brightness_times_opacity(make):
    assert pixels(as_mask(make())) == AS_MASK


def test_an_opaque_mask_is_its_brightness():
    grey = Image.fromarray(np.array([[0, 90, 255]], dtype=np.uint8))
    assert (
        pixels(as_mask(grey))
        == pixels(as_mask(grey.convert("RGB")))
        == pixels(as_mask(grey.convert("RGBA")))
        == [0, 90, 255]
    )


def test_what_is_transparent_is_white_whatever_colour_it_hides():
    image = Image.new("RGBA", (3, 1))
    image.putdata([(255, 0, 0, 0), (0, 0, 0, 0), (255, 0, 0, 255)])
    assert pixels(on_white(image)) == [[255, 255, 255], [255, 255, 255], [255, 0, 0]]
    assert pixels(on_white(Image.new("LA", (1, 1), (0, 128)))) == [[127, 127, 127]]
