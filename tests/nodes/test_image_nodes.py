"""Pictures: sizes, colours, files. What is transparent stays so; what is too large is refused before it is made."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image as PillowImage

from nbgraph.errors import GraphError, NodeError
from nbgraph.image_modes import in_plain_mode
from nbgraph.invocations import (
    AdjustHue,
    BlankImage,
    BlurImage,
    ColorMap,
    ConvertImage,
    CropImage,
    ImageChannel,
    InverseLerpImage,
    LerpImage,
    LoadImage,
    MultiplyChannel,
    MultiplyImages,
    OffsetChannel,
    PasteImage,
    ResizeImage,
    RotateImage,
    SaveImage,
    ScaleImage,
    TileResample,
)
from nbgraph.invocations.color_spaces import from_space, to_space

RED = PillowImage.new("RGB", (8, 6), (200, 0, 0))


def half_transparent() -> PillowImage.Image:
    """Green on the left; on the right red that is transparent."""
    picture = PillowImage.new("RGBA", (8, 6), (255, 0, 0, 0))
    picture.paste((0, 200, 0, 255), (0, 0, 4, 6))
    return picture


def test_a_blank_picture_has_its_colour_and_size(result):
    assert result(BlankImage(width=3, height=2, color="red")).image.getpixel((2, 1)) == (255, 0, 0)
    assert result(BlankImage(width=3, height=2, mode="RGBA", color="#11223344")).image.getpixel((0, 0))[3] == 0x44


@pytest.mark.parametrize("cls", [BlankImage, ResizeImage, CropImage])
def test_a_picture_over_the_limit_is_refused_before_the_run(studio, put, cls):
    inputs = {} if cls is BlankImage else {"image": put(RED)}
    with pytest.raises(GraphError, match=r"width: makes a picture of 30000 x 30000 = 900,000,000 pixels"):
        studio.run(cls(width=30_000, height=30_000, **inputs), progress=False)


def test_scaling_over_the_limit_is_an_error_and_takes_no_memory(studio, put):
    node = ScaleImage(image=put(PillowImage.new("L", (500, 500))), scale_factor=1000)
    with pytest.raises(NodeError, match="at most 89,478,485 are possible"):
        studio.run(node, progress=False)


def test_cropping_beyond_the_edge_gives_black_or_nothing(put, result):
    assert result(CropImage(image=put(RED), x=-2, y=0, width=4, height=4)).image.getpixel((0, 0)) == (0, 0, 0)
    cropped = result(CropImage(image=put(half_transparent()), x=-2, width=4, height=4)).image
    assert (cropped.getpixel((0, 0))[3], cropped.getpixel((3, 0))) == (0, (0, 200, 0, 255))


def test_resizing_does_not_bleed_transparent_colours(put, result):
    found = np.asarray(result(ResizeImage(image=put(half_transparent()), width=4, height=3)).image)
    assert found[..., 0].max() == 0


def test_sizes_follow(put, result):
    assert result(ResizeImage(image=put(RED), width=3, height=5)).image.size == (3, 5)
    scaled = result(ScaleImage(image=put(RED), scale_factor=0.01))
    assert (scaled.width, scaled.height) == (1, 1)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_a_picture_is_turned_clockwise_without_loss_by_right_angles_in_its_mode(put, result, mode):
    picture = PillowImage.fromarray(np.arange(8 * 6 * 4, dtype=np.uint8).reshape(6, 8, 4), "RGBA").convert(mode)
    turned = [result(RotateImage(image=put(picture), angle=angle)) for angle in (90, -180, 270, 360)]
    expected = [np.rot90(np.asarray(picture), -quarters) for quarters in (1, 2, 3, 4)]
    assert [one.image.mode for one in turned] == [mode] * 4
    assert all(np.array_equal(np.asarray(one.image), wanted) for one, wanted in zip(turned, expected))
    assert (turned[0].width, turned[0].height) == (6, 8)


@pytest.mark.parametrize(
    ("mode", "fill", "corner"),
    [
        ("RGB", None, (0, 0, 0)),
        ("RGBA", None, (0, 0, 0, 0)),
        ("RGB", "#ff800080", (255, 128, 0)),
        ("RGBA", "#ff8000", (255, 128, 0, 255)),
        ("RGBA", "#ff800080", (255, 128, 0, 128)),
        ("L", "white", 255),
        ("LA", "white", (255, 255)),
    ],
)
@pytest.mark.parametrize("resample_mode", ["nearest", "bicubic"])
def test_the_corners_of_a_turned_picture_have_the_fill_colour_and_its_mode(
    put, result, mode, fill, corner, resample_mode
):
    picture = PillowImage.new("RGBA", (20, 10), (0, 200, 0, 255)).convert(mode)
    turned = result(RotateImage(image=put(picture), angle=45, fill=fill, resample_mode=resample_mode))
    assert turned.image.mode == mode
    assert np.allclose(turned.image.getpixel((0, 0)), corner, atol=1)
    assert turned.image.getpixel((turned.width // 2, turned.height // 2)) == picture.getpixel((10, 5))
    assert turned.width > 20
    assert result(RotateImage(image=put(picture), angle=45, expand=False)).image.size == (20, 10)


def test_turning_does_not_bleed_transparent_colours(put, result):
    found = np.asarray(result(RotateImage(image=put(half_transparent()), angle=30)).image)
    assert found[..., 0].max() == 0


def test_a_turned_picture_over_the_limit_is_an_error_and_takes_no_memory(studio, put):
    node = RotateImage(image=put(PillowImage.new("L", (32_000, 2_000))), angle=45)
    with pytest.raises(NodeError, match="at most 89,478,485 are possible"):
        studio.run(node, progress=False)


@pytest.mark.parametrize("angle", [float("nan"), float("inf"), 361, "a quarter"])
def test_an_angle_that_is_none_is_refused_by_name(put, angle):
    with pytest.raises(GraphError, match="angle"):
        RotateImage(image=put(RED), angle=angle)


def test_pasting_within_and_beyond_the_base(put, result):
    small = put(PillowImage.new("RGB", (4, 4), (0, 0, 255)))
    within = result(PasteImage(base_image=put(RED), image=small, x=1, y=1)).image
    assert (within.mode, within.getpixel((1, 1)), within.getpixel((0, 0))) == ("RGB", (0, 0, 255), (200, 0, 0))
    beyond = result(PasteImage(base_image=put(RED), image=small, x=-2, y=-1)).image
    assert (beyond.size, beyond.mode) == ((10, 7), "RGBA")
    assert beyond.getpixel((0, 6))[3] == 0
    cropped = result(PasteImage(base_image=put(RED), image=small, x=-2, y=-1, crop=True)).image
    assert (cropped.size, cropped.getpixel((0, 0)), cropped.getpixel((7, 5))) == ((8, 6), (0, 0, 255), (200, 0, 0))


def test_pasting_goes_by_mask_and_alpha(put, result):
    mask = PillowImage.new("L", (8, 6), 0)
    mask.paste(255, (0, 0, 8, 3))
    found = result(PasteImage(base_image=put(RED), image=put(half_transparent()), mask=put(mask))).image
    assert found.getpixel((0, 0)) == (0, 200, 0)
    assert found.getpixel((0, 5)) == found.getpixel((7, 0)) == (200, 0, 0)


@pytest.mark.parametrize("modes", [("RGB", "RGB"), ("RGB", "RGBA"), ("RGBA", "RGBA"), ("L", "LA")])
def test_a_grey_mask_blends_both_images_and_darkens_neither(put, result, modes):
    random = np.random.default_rng(4)
    below, over = (
        PillowImage.fromarray(random.integers(0, 256, (9, 7, len(mode)), np.uint8).squeeze(), mode) for mode in modes
    )
    mask = PillowImage.fromarray(random.integers(0, 256, (9, 7), np.uint8), "L")
    found = result(PasteImage(base_image=put(below), image=put(over), mask=put(mask))).image

    a, b = (np.asarray(picture.convert("RGBA"), np.float64) / 255 for picture in (over, below))
    share = a[..., 3:] * np.asarray(mask, np.float64)[..., None] / 255
    alpha = share + b[..., 3:] * (1 - share)
    colors = (a[..., :3] * share + b[..., :3] * b[..., 3:] * (1 - share)) / np.maximum(alpha, 1e-9)
    got = np.asarray(found.convert("RGBA"), np.float64) / 255
    assert np.abs(got[..., 3:] - alpha).max() < 1.6 / 255
    # where little is opaque, colours in 8 bits are rounded coarsely
    assert (np.abs(got[..., :3] - colors) * alpha).max() < 2.5 / 255


def test_channels_and_modes(put, result):
    assert result(ImageChannel(image=put(half_transparent()), channel="A")).image.getpixel((7, 0)) == 0
    assert result(ImageChannel(image=put(RED), channel="A")).image.getpixel((0, 0)) == 255
    assert result(ImageChannel(image=put(RED), channel="R")).image.getpixel((0, 0)) == 200
    assert result(ConvertImage(image=put(RED), mode="RGBA")).image.mode == "RGBA"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "I;16", "RGB", "RGBA"])
def test_every_mode_that_is_kept_can_be_worked_on(put, result, mode):
    source = put(PillowImage.new(mode, (16, 16)))
    for cls in (BlurImage, ScaleImage, LerpImage, AdjustHue, ColorMap, TileResample, ImageChannel):
        assert result(cls(image=source)).image.size in ((16, 16), (32, 32))


def test_sixteen_bits_become_eight():
    deep = PillowImage.fromarray(np.array([[0, 257, 65535, 32768]], dtype=np.uint16))
    assert list(np.asarray(in_plain_mode(deep))[0]) == [0, 1, 255, 128]


def test_lerp_and_its_inverse(put, result):
    ramp = PillowImage.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
    squeezed = np.asarray(result(LerpImage(image=put(ramp), min=100, max=200)).image)
    assert (squeezed.min(), squeezed.max()) == (100, 200)
    back = np.asarray(
        result(InverseLerpImage(image=LerpImage(image=put(ramp), min=100, max=200), min=100, max=200)).image
    )
    assert np.abs(back.astype(int) - np.asarray(ramp)).max() <= 2
    with pytest.raises(GraphError, match="must be more than min"):
        result(InverseLerpImage(image=put(ramp), min=200, max=100))


def test_hue_turns_red_to_green_and_keeps_alpha(put, result):
    red, green, blue = result(AdjustHue(image=put(RED), hue=120)).image.getpixel((0, 0))
    assert green > 190
    assert red < 10 > blue
    assert result(AdjustHue(image=put(half_transparent()), hue=90)).image.getpixel((7, 0))[3] == 0


def test_channels_of_every_space_are_offset_and_multiplied(put, result):
    assert result(OffsetChannel(image=put(RED), channel="Green (RGBA)", offset=50)).image.getpixel((0, 0)) == (
        200,
        50,
        0,
    )
    assert result(OffsetChannel(image=put(RED), channel="Red (RGBA)", offset=255)).image.getpixel((0, 0)) == (255, 0, 0)
    assert result(OffsetChannel(image=put(RED), channel="Alpha (RGBA)", offset=-55)).image.getpixel((0, 0))[3] == 200
    assert result(MultiplyChannel(image=put(RED), channel="Red (RGBA)", scale=0.5)).image.getpixel((0, 0)) == (
        100,
        0,
        0,
    )
    grey = result(MultiplyChannel(image=put(RED), channel="Saturation (HSV)", scale=0)).image.getpixel((0, 0))
    assert len(set(grey)) == 1
    inverted = result(MultiplyChannel(image=put(RED), channel="Value (HSV)", invert_channel=True)).image
    assert inverted.getpixel((0, 0))[0] == 55
    dark = result(MultiplyChannel(image=put(RED), channel="Luminosity (LAB)", scale=0)).image.getpixel((0, 0))
    assert max(dark) < 90


def test_lab_is_neutral_for_grey_and_comes_back():
    grey = PillowImage.new("RGB", (1, 1), (90, 90, 90))
    assert [band.getpixel((0, 0)) for band in to_space(grey, "LAB").split()[1:]] == [128, 128]
    back = from_space(to_space(RED, "LAB"), "LAB").getpixel((0, 0))
    assert max(abs(a - b) for a, b in zip(back, (200, 0, 0))) <= 10


def test_pictures_of_two_sizes_are_not_multiplied(studio, put, result):
    white = put(PillowImage.new("L", (8, 6), 255))
    assert result(MultiplyImages(image1=put(RED), image2=white)).image.getpixel((0, 0)) == (200, 0, 0)
    with pytest.raises(NodeError, match="image1 is 8 x 6, image2 is 4 x 4; put ResizeImage"):
        result(MultiplyImages(image1=put(RED), image2=put(PillowImage.new("L", (4, 4)))))


def test_blur_does_not_bleed_and_keeps_size(put, result):
    found = np.asarray(result(BlurImage(image=put(half_transparent()), radius=2)).image)
    assert found[..., 0].max() == 0
    assert 0 < found[0, 4, 3] < 255
    assert result(BlurImage(image=put(RED), radius=3, blur_type="box")).image.getpixel((0, 0)) == (200, 0, 0)


def test_tiles_are_of_one_colour(put, result):
    noise = PillowImage.effect_noise((64, 64), 80).convert("RGB")
    found = np.asarray(result(ColorMap(image=put(noise), color_map_tile_size=32)).image)
    assert len(np.unique(found.reshape(-1, 3), axis=0)) <= 4
    assert result(TileResample(image=put(noise), down_sampling_rate=4)).image.size == (64, 64)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_file_is_loaded(result, tmp_path, kind):
    RED.save(tmp_path / "a.bin", format=kind)
    assert result(LoadImage(path=tmp_path / "a.bin")).image.getpixel((0, 0))[0] == pytest.approx(200, abs=3)


def test_a_photo_is_turned_upright(result, tmp_path):
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    RED.save(tmp_path / "a.jpg", exif=exif)
    assert result(LoadImage(path=tmp_path / "a.jpg")).image.size == (6, 8)


def test_what_follows_a_file_goes_by_its_content(studio, tmp_path):
    file = tmp_path / "a.png"
    RED.save(file)
    node = ScaleImage(id="scale", image=LoadImage(path=file))

    def cached():
        rows = studio.run(node, progress=False).stats
        return bool(rows[rows.source == "scale"].cached.iloc[0])

    assert [cached(), cached()] == [False, True]
    PillowImage.new("RGB", (8, 6), "blue").save(file)
    assert [cached(), cached()] == [False, True]


def bomb(width: int, height: int) -> bytes:
    """A PNG file that says it is large and is not."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"GIF89a not really", "is not an image that this node reads"),
        (b"", "is not an image that this node reads"),
        (bomb(12_000, 12_000), "144,000,000 pixels; at most 89,478,485 are possible"),
        (bomb(200_000, 200_000), "is too large"),
    ],
)
def test_a_file_that_is_no_good_picture_is_refused_before_the_run(studio, tmp_path, content, text):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(GraphError, match=rf"load_image\.path: .*{text}"):
        studio.run(LoadImage(path=tmp_path / "a.png"), progress=False)


def test_another_format_is_refused(studio, tmp_path):
    RED.save(tmp_path / "a.png", format="TIFF")
    with pytest.raises(GraphError, match=r"possible: PNG, JPEG, WebP"):
        studio.run(LoadImage(path=tmp_path / "a.png"), progress=False)


def test_a_missing_file_is_refused_before_the_run(studio, tmp_path):
    with pytest.raises(GraphError, match="does not exist"):
        studio.run(LoadImage(path=tmp_path / "none.png"), progress=False)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_file_that_was_cut_off_is_an_error(studio, tmp_path, kind):
    whole = io.BytesIO()
    PillowImage.effect_noise((64, 64), 80).convert("RGB").save(whole, format=kind)
    (tmp_path / "a.png").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    with pytest.raises((NodeError, GraphError), match="is damaged|cannot be read|no picture"):
        studio.run(LoadImage(path=tmp_path / "a.png"), progress=False)


def test_saving_makes_a_picture_of_its_own_every_time(studio, put):
    node = SaveImage(image=BlurImage(image=put(RED), is_intermediate=True))
    names = {studio.run(node, progress=False)[node].image_name for _ in range(2)}
    assert len(names) == 2
    assert not any(studio.services.images.record(name).is_intermediate for name in names)
