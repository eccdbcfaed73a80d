"""Masks, infill, comparing, text, sheets, edges and colours given to another picture."""

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageDraw

from nbgraph.errors import GraphError, NodeError
from nbgraph.invocations import (
    CannyEdges,
    Collect,
    CombineMasks,
    CompareImages,
    CorrectColors,
    Image,
    ImageGrid,
    InfillColor,
    InfillSmooth,
    InfillTiles,
    Iterate,
    MaskEdge,
    MaskFromAlpha,
    OffsetChannel,
    Range,
    StringCollection,
    TextOnImage,
)
from nbgraph.invocations.image_compare import ssim

GREY = PillowImage.new("RGB", (64, 48), (100, 100, 100))


def disc(size: int = 64, mode: str = "L") -> PillowImage.Image:
    """A white disc on black, or on nothing."""
    picture = PillowImage.new(mode, (size, size))
    ImageDraw.Draw(picture).ellipse((size // 4, size // 4, size * 3 // 4, size * 3 // 4), fill="white")
    return picture


def test_alpha_becomes_a_mask_and_the_mask_is_filed_as_one(studio, put):
    node = MaskFromAlpha(image=put(disc(mode="RGBA")))
    found = studio.run(node, progress=False)[node]
    assert (found.image.getpixel((32, 32)), found.image.getpixel((0, 0))) == (255, 0)
    assert studio.services.images.record(found.image_name).category == "mask"


def test_a_mask_may_be_inverted(put, result):
    assert result(MaskFromAlpha(image=put(disc(mode="RGBA")), invert=True)).image.getpixel((0, 0)) == 255


def test_the_edge_of_a_mask_is_white_on_both_sides(put, result):
    edge = result(MaskEdge(image=put(disc()), edge_size=4, edge_blur=0)).image
    values = [edge.getpixel((x, 32)) for x in (4, 13, 18, 32)]
    assert values == [0, 255, 255, 0]


@pytest.mark.parametrize(
    ("combination", "value"), [("multiply", 100), ("lighter", 255), ("darker", 100), ("subtract", 155)]
)
def test_masks_are_combined(put, result, combination, value):
    first, second = (put(PillowImage.new("L", (4, 4), level)) for level in (255, 100))
    found = result(CombineMasks(mask1=first, mask2=second, combination=combination)).image
    assert found.getpixel((0, 0)) == value


def test_masks_of_two_sizes_are_refused(put, result):
    with pytest.raises(NodeError, match="mask1 is 64 x 64, mask2 is 4 x 4"):
        result(CombineMasks(mask1=put(disc()), mask2=put(disc(4))))


def test_a_colour_is_put_behind_what_is_transparent(put, result):
    found = result(InfillColor(image=put(disc(mode="RGBA")), color="blue")).image
    assert (found.mode, found.getpixel((0, 0)), found.getpixel((32, 32))) == ("RGB", (0, 0, 255), (255, 255, 255))


def test_tiles_come_from_the_picture_itself_by_the_seed(put, result):
    picture = PillowImage.effect_noise((70, 50), 80).convert("RGBA")
    picture.paste((0, 0, 0, 0), (30, 0, 70, 50))
    source = put(picture)

    def filled(seed):
        return np.asarray(result(InfillTiles(image=source, tile_size=16, seed=seed)).image)

    assert (filled(1)[:, :30] == np.asarray(picture.convert("RGB"))[:, :30]).all()
    assert filled(1)[:, 30:].any()
    assert (filled(1) == filled(1)).all()
    assert (filled(1) != filled(2)).any()


def test_smaller_tiles_are_taken_if_none_is_whole(put, result):
    picture = PillowImage.new("RGBA", (64, 64))
    picture.putpixel((5, 5), (9, 8, 7, 255))
    assert result(InfillTiles(image=put(picture), seed=1)).image.getpixel((60, 60)) == (9, 8, 7)


def test_one_pixel_is_enough_to_fill_smoothly(put, result):
    picture = PillowImage.new("RGBA", (61, 47))
    picture.putpixel((5, 5), (200, 100, 50, 255))
    found = np.asarray(result(InfillSmooth(image=put(picture))).image).astype(int)
    assert np.abs(found - (200, 100, 50)).max() <= 3


def test_smooth_infill_keeps_what_is_there(put, result):
    picture = PillowImage.effect_noise((40, 40), 80).convert("RGBA")
    picture.paste((0, 0, 0, 0), (10, 10, 30, 30))
    found = np.asarray(result(InfillSmooth(image=put(picture))).image)
    outside = np.asarray(picture)[..., 3] == 255
    assert (found[outside] == np.asarray(picture.convert("RGB"))[outside]).all()


@pytest.mark.parametrize("cls", [InfillTiles, InfillSmooth])
def test_a_picture_that_is_not_there_at_all_is_an_error(put, result, cls):
    with pytest.raises(NodeError, match="nothing to fill it with; use infill_rgba"):
        result(cls(image=put(PillowImage.new("RGBA", (40, 40)))))


def test_equal_pictures_compare_as_equal(put, result):
    found = result(CompareImages(image1=put(GREY), image2=put(GREY)))
    assert (found.ssim, found.mean_difference, found.max_difference) == (1.0, 0.0, 0)
    assert found.image.getextrema() == ((0, 0),) * 3


def test_a_difference_is_shown_and_measured(put, result):
    brighter = OffsetChannel(image=put(GREY), channel="Red (RGBA)", offset=30)
    found = result(CompareImages(image1=put(GREY), image2=brighter, amplify=5))
    assert (found.mean_difference, found.max_difference, found.image.getpixel((0, 0))) == (10.0, 30, (150, 0, 0))


def test_ssim_is_the_formula_window_by_window():
    drawn = np.random.default_rng(0)
    first = drawn.integers(0, 256, (20, 24)).astype(np.uint8)
    second = np.clip(first + drawn.normal(0, 25, first.shape), 0, 255).astype(np.uint8)
    windows = [
        np.lib.stride_tricks.sliding_window_view(each.astype(float), (7, 7)).reshape(-1, 49) for each in (first, second)
    ]
    c1, c2 = 6.5025, 58.5225
    values = []
    for a, b in zip(*windows):
        (var_a, cov), (_, var_b) = np.cov(a, b)
        means = a.mean(), b.mean()
        above = (2 * means[0] * means[1] + c1) * (2 * cov + c2)
        values.append(above / ((means[0] ** 2 + means[1] ** 2 + c1) * (var_a + var_b + c2)))
    assert ssim(PillowImage.fromarray(first), PillowImage.fromarray(second)) == pytest.approx(np.mean(values), abs=1e-9)


def test_small_pictures_compare_too(put, result):
    small = put(PillowImage.new("L", (2, 1), 9))
    assert result(CompareImages(image1=small, image2=small)).ssim == 1.0


def test_text_is_drawn_where_it_should_be(put, result):
    found = np.asarray(
        result(TextOnImage(image=put(GREY), text="Hi", place="top right", size=16, outline_width=0)).image
    )
    rows, columns = np.nonzero(found[..., 0] > 200)
    assert (rows.max(), columns.min()) < (24, 64)
    assert columns.min() > 32
    assert result(TextOnImage(image=put(GREY), text="")).image.getextrema() == ((100, 100),) * 3


@pytest.mark.parametrize(("place", "middle"), [("center", (32, 24)), ("bottom left", (20, 35)), ("top", (32, 14))])
def test_text_lies_about_the_place(put, result, place, middle):
    found = np.asarray(result(TextOnImage(image=put(GREY), text="Abg", place=place, size=12, outline_width=0)).image)
    rows, columns = np.nonzero(np.abs(found[..., 0].astype(int) - 100) > 20)
    assert abs(columns.mean() - middle[0]) < 6
    assert abs(rows.mean() - middle[1]) < 6


def test_pictures_lie_on_a_sheet_with_labels(put, result):
    pictures = [put(PillowImage.new("RGB", (10, 10), color)) for color in ("red", "green", "blue")]
    sheet = result(ImageGrid(images=Collect(item=pictures), columns=2, gap=2)).image
    assert sheet.size == (26, 26)
    assert [sheet.getpixel(at) for at in ((7, 7), (19, 7), (7, 19))] == [(255, 0, 0), (0, 128, 0), (0, 0, 255)]
    labelled = result(ImageGrid(images=Collect(item=pictures), labels=StringCollection(collection=["a", "b"]), gap=2))
    assert labelled.image.size == (26, 2 * (10 + 23 + 2) + 2)


def test_iterated_pictures_make_a_sheet_in_their_order(put, result):
    shifted = OffsetChannel(image=put(GREY), offset=Iterate(collection=Range(start=0, stop=100, step=50)))
    sheet = result(ImageGrid(images=Collect(item=shifted), columns=3, gap=0)).image
    assert [sheet.getpixel((64 * n + 5, 5))[0] for n in range(2)] == [100, 150]


def test_more_labels_than_pictures_are_an_error(put, result):
    with pytest.raises(NodeError, match="2 labels for 1 images"):
        result(ImageGrid(images=Collect(item=put(GREY)), labels=["a", "b"]))
    with pytest.raises(GraphError, match="image_grid.images"):
        ImageGrid(images=[])


def test_edges_are_thin_and_where_the_outline_is(put, result):
    edges = np.asarray(result(CannyEdges(image=put(disc(128)))).image)[..., 0] > 0
    rows, columns = np.nonzero(edges)
    distances = np.hypot(rows - 64, columns - 64)
    assert len(rows) > 150
    assert np.abs(distances - 32).max() < 2
    assert edges.sum() < 2 * np.pi * 32 * 1.3


def test_weak_edges_are_kept_only_where_they_join_strong_ones(put, result):
    picture = PillowImage.new("L", (60, 40))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((10, 10, 20, 30), fill=30)
    draw.rectangle((40, 10, 50, 19), fill=200)
    draw.rectangle((40, 20, 50, 30), fill=30)
    edges = np.asarray(result(CannyEdges(image=put(picture), low_threshold=50, high_threshold=200)).image)[..., 0] > 0
    assert not edges[:, :30].any()
    assert edges[28, 35:55].any()


def test_colours_move_to_the_reference(put, result):
    warm = PillowImage.effect_noise((64, 64), 30).convert("RGB").point(lambda v: v)
    cold = PillowImage.merge(
        "RGB", [band.point(lambda v, k=k: v * k) for band, k in zip(warm.split(), (0.4, 0.6, 0.9))]
    )
    found = np.asarray(result(CorrectColors(image=put(warm), reference=put(cold))).image).reshape(-1, 3).mean(axis=0)
    assert np.abs(found - np.asarray(cold).reshape(-1, 3).mean(axis=0)).max() < 6


def test_colours_are_corrected_only_within_the_mask(put, result):
    mask = PillowImage.new("L", (64, 48))
    mask.paste(255, (0, 0, 20, 48))
    reference = put(PillowImage.new("RGB", (8, 8), (200, 50, 50)))
    found = result(CorrectColors(image=put(GREY), reference=reference, mask=put(mask), mask_blur_radius=2)).image
    assert found.getpixel((60, 20)) == (100, 100, 100)
    assert found.getpixel((3, 20))[0] > 170


@pytest.mark.parametrize("hidden", ["image", "reference"])
def test_colours_of_transparent_pixels_are_not_counted(put, result, hidden):
    plain = {
        "image": PillowImage.effect_noise((32, 32), 30).convert("RGB"),
        "reference": PillowImage.effect_noise((32, 32), 60).convert("RGB"),
    }
    expected = result(CorrectColors(**{name: put(picture) for name, picture in plain.items()})).image
    wider = PillowImage.new("RGBA", (64, 32), (255, 0, 0, 0))
    wider.paste(plain[hidden], (0, 0))
    found = result(CorrectColors(**{name: put(wider if name == hidden else plain[name]) for name in plain})).image
    shown = found.convert("RGB").crop((0, 0, 32, 32))
    assert np.abs(np.asarray(shown).astype(int) - np.asarray(expected)).max() == 0


def test_a_picture_passes_through_with_its_size(studio, put):
    node = put(GREY)
    found = studio.run(node, progress=False)[node]
    assert isinstance(node, Image)
    assert (found.width, found.height) == (64, 48)
