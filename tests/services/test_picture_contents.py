"""Which pictures share a content hash: those that a viewer and a node cannot tell apart, and no others."""

from collections.abc import Callable
from itertools import combinations

import pytest
from PIL import Image, ImageCms

from nbgraph.errors import ImageModeError
from nbgraph.services.images.images_base import MODES, ImageServiceBase, picture_content
from nbgraph.services.invocation_services import InvocationServices

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture
def images(services: InvocationServices) -> ImageServiceBase:
    return services.images


def indexed(colors: bytes, *, mode: str = "RGB", pixels: bytes = bytes([0, 1, 2, 1]), **info: object) -> Image.Image:
    image = Image.frombytes("P", (2, 2), pixels)
    image.putpalette(colors, mode)
    image.info.update(info)
    return image


def plain(mode: str, shade: int = 7, **info: object) -> Image.Image:
    image = Image.new("L", (2, 2), shade).convert("RGB" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.new("I;16", (2, 2), shade)
    image.info.update(info)
    return image


RGB_PALETTE = bytes([255, 0, 0, 0, 255, 0, 0, 0, 255])
DIFFERENT: dict[str, Callable[[], Image.Image]] = {
    "palette": lambda: indexed(RGB_PALETTE),
    "palette, the second entry transparent": lambda: indexed(RGB_PALETTE, transparency=1),
    "palette, the first entry transparent": lambda: indexed(RGB_PALETTE, transparency=0),
    "palette, two entries transparent": lambda: indexed(RGB_PALETTE, transparency=b"\x00\x00"),
    "palette, half transparent": lambda: indexed(RGB_PALETTE, transparency=b"\xff\x80"),
    "palette of other colours": lambda: indexed(RGB_PALETTE[3:] + RGB_PALETTE[:3]),
    "palette with an unnamed entry": lambda: indexed(RGB_PALETTE, pixels=bytes([0, 1, 2, 200])),
    "palette with a profile": lambda: indexed(RGB_PALETTE, icc_profile=PROFILE),
    "palette with opacity": lambda: indexed(bytes([255, 0, 0, 9, 0, 255, 0, 99, 0, 0, 255, 1]), mode="RGBA"),
    "L": lambda: plain("L"),
    "L, its grey transparent": lambda: plain("L", transparency=7),
    "1": lambda: plain("1"),
    "1, black transparent": lambda: plain("1", transparency=0),
    "I;16": lambda: plain("I;16"),
    "I;16, its grey transparent": lambda: plain("I;16", transparency=7),
    "I;16, brighter by one step": lambda: plain("I;16", 8),
    "RGB": lambda: plain("RGB"),
    "RGB, its grey transparent": lambda: plain("RGB", transparency=(7, 7, 7)),
    "RGB with a profile": lambda: plain("RGB", icc_profile=PROFILE),
    "LA": lambda: plain("LA"),
    "RGBA": lambda: plain("RGBA"),
    "RGBA with a profile": lambda: plain("RGBA", icc_profile=PROFILE),
}
SAME: dict[str, tuple[Callable[[], Image.Image], Callable[[], Image.Image]]] = {
    "one entry transparent, as a number and as bytes": (
        lambda: indexed(RGB_PALETTE, transparency=1),
        lambda: indexed(RGB_PALETTE, transparency=b"\xff\x00\xff"),
    ),
    "entries that no pixel uses": (lambda: indexed(RGB_PALETTE), lambda: indexed(RGB_PALETTE + bytes([1, 2, 3]))),
    "opacity in the palette and beside it": (
        lambda: indexed(bytes([255, 0, 0, 9, 0, 255, 0, 99, 0, 0, 255, 1]), mode="RGBA"),
        lambda: indexed(RGB_PALETTE, transparency=b"\x09\x63\x01"),
    ),
    "an opaque palette": (lambda: indexed(RGB_PALETTE), lambda: indexed(RGB_PALETTE, transparency=b"\xff\xff\xff")),
    "a transparent grey that is not there": (lambda: plain("L"), lambda: plain("L", transparency=300)),
    "what a file says beside the picture": (
        lambda: plain("RGB"),
        lambda: plain("RGB", dpi=(72, 72), gamma=0.4, comment="an apple", exif=b"Exif\x00\x00"),
    ),
    "transparency beside an alpha channel": (lambda: plain("RGBA"), lambda: plain("RGBA", transparency=(7, 7, 7))),
}


def test_pictures_that_can_be_told_apart_have_different_contents(images):
    contents = {name: images.save(make()).content for name, make in DIFFERENT.items()}
    assert [pair for pair in combinations(contents, 2) if contents[pair[0]] == contents[pair[1]]] == []


@pytest.mark.parametrize("one", SAME)
def test_pictures_that_are_the_same_share_their_content(images, one):
    first, second = (images.save(make()) for make in SAME[one])
    assert first.content == second.content


@pytest.mark.filterwarnings("ignore:Palette images with Transparency")
@pytest.mark.parametrize("one", DIFFERENT)
def test_what_comes_back_looks_like_what_was_saved_and_has_its_content(images, one):
    saved = DIFFERENT[one]()
    record = images.save(saved)
    loaded = images.get(record.image_name)
    assert (loaded.mode, loaded.tobytes()) == (saved.mode, saved.tobytes())
    assert loaded.info.get("icc_profile") == saved.info.get("icc_profile")
    assert loaded.convert("RGBA").tobytes() == saved.convert("RGBA").tobytes()
    assert picture_content(loaded) == record.content


def test_memory_and_folder_give_the_same_picture_back(tmp_path):
    studios = InvocationServices.memory(), InvocationServices.sqlite(tmp_path / "studio")
    for make in DIFFERENT.values():
        first, second = (each.images.get(each.images.save(make()).image_name) for each in studios)
        assert (first.mode, first.info, first.getpalette(), first.tobytes()) == (
            second.mode,
            second.info,
            second.getpalette(),
            second.tobytes(),
        )


@pytest.mark.parametrize("mode", MODES)
def test_saving_leaves_the_picture_that_was_given_as_it_is(images, mode):
    image = plain(mode, comment="an apple")
    images.save(image)
    assert image.info == {"comment": "an apple"}


@pytest.mark.parametrize(
    ("mode", "transparency"),
    [("L", b"\x05"), ("L", (5, 5, 5)), ("RGB", 5), ("RGB", (5, 5)), ("RGB", "red"), ("1", b"")],
)
def test_a_transparency_that_a_mode_cannot_have_is_refused(images, mode, transparency):
    with pytest.raises(ImageModeError, match="transparency.*delete it"):
        images.save(plain(mode, transparency=transparency))
