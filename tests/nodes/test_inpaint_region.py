"""Painting a region at another size: what is outside of the mask and its feather stays as it was, to the bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from nbgraph.errors import GraphError, NodeError
from nbgraph.invocations import ConvertImage, CropToMask, PasteRegion
from nbgraph.invocations import Image as ImageNode
from nbgraph.invocations.fields import ImageField, RegionField
from nbgraph.invocations.inpaint_region import faded, region_around

SIZE = (120, 90)


def saved(studio, picture: Image.Image) -> ImageField:
    return ImageField(image_name=studio.services.images.save(picture).image_name)


def noise(mode: str = "RGB", size: tuple[int, int] = SIZE) -> Image.Image:
    pixels = np.random.default_rng(3).integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    return Image.fromarray(pixels, "RGBA").convert(mode)


def box(left: int, top: int, right: int, bottom: int, size: tuple[int, int] = SIZE) -> Image.Image:
    mask = Image.new("L", size)
    mask.paste(255, (left, top, right, bottom))
    return mask


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
@pytest.mark.parametrize("feather", [0, 5])
def test_outside_of_the_mask_and_its_feather_nothing_changes(studio, mode, feather):
    picture, mask = noise(mode), box(50, 30, 70, 45)
    image, mask_field = saved(studio, picture), saved(studio, mask)
    cropped = CropToMask(id="crop", image=image, mask=mask_field, padding=10, width=128, height=96)
    run = studio.run(cropped, progress=False)
    assert run["crop"].image.size == run["crop"].mask.size == (128, 96)
    painted = saved(studio, ImageOps.invert(run["crop"].image.convert("RGB")))
    pasted = PasteRegion(
        id="paste", image=image, painted=painted, mask=mask_field, region=cropped.output("region"), feather=feather
    )
    made = studio.run(pasted, progress=False)["paste"].image
    assert (made.mode, made.size) == (picture.mode, picture.size)
    changed = np.abs(np.asarray(made.convert("RGB")).astype(int) - np.asarray(picture.convert("RGB"))).max(axis=2)
    allowed = np.zeros(changed.shape, dtype=bool)
    allowed[30 - feather : 45 + feather, 50 - feather : 70 + feather] = True
    assert changed[~allowed].max() == 0
    assert changed[30:45, 50:70].mean() > 20
    if mode == "RGBA":
        assert list(made.getchannel("A").tobytes()) == list(picture.getchannel("A").tobytes())


def test_a_region_that_is_not_painted_gives_the_image_again(studio):
    picture, mask = noise(), box(50, 30, 70, 45)
    image, mask_field = saved(studio, picture), saved(studio, mask)
    region = RegionField(left=40, top=20, width=48, height=36)
    same = saved(studio, picture.crop((40, 20, 88, 56)))
    node = PasteRegion(id="paste", image=image, painted=same, mask=mask_field, region=region)
    assert studio.run(node, progress=False)["paste"].image.tobytes() == picture.tobytes()


@given(st.data())
def test_a_region_holds_the_mask_and_lies_in_the_image(data):
    width, height = data.draw(st.integers(8, 300)), data.draw(st.integers(8, 300))
    left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    right, bottom = data.draw(st.integers(left + 1, width)), data.draw(st.integers(top + 1, height))
    padding, ratio = data.draw(st.integers(0, 60)), data.draw(st.sampled_from([0.5, 1.0, 1.5]))
    found = region_around((left, top, right, bottom), (width, height), padding, ratio)
    assert 0 <= found.left <= left
    assert 0 <= found.top <= top
    assert right <= found.left + found.width <= width
    assert bottom <= found.top + found.height <= height


@pytest.mark.parametrize("feather", [0, 1, 4, 7])
def test_a_feather_reaches_exactly_so_far(feather):
    fade = np.asarray(faded(box(40, 40, 60, 60, (100, 100)), feather))
    assert (fade[40:60, 40:60] == 255).all()
    rows = np.nonzero(fade[:, 50])[0]
    assert (rows.min(), rows.max()) == (40 - feather, 59 + feather)


def test_masks_and_regions_that_do_not_fit_are_named(studio):
    image = saved(studio, noise())
    for mask, problem in ((box(0, 0, 5, 5, (60, 60)), "is 60 x 60.* the image 120 x 90"),
                          (Image.new("L", SIZE), "is black everywhere")):  # fmt: skip
        field = saved(studio, mask)
        # Named before anything runs where both are known, also through nodes that only pass them on.
        for linked in (field, ImageNode(image=field)):
            with pytest.raises(GraphError, match=f"crop.mask: {problem}"):
                studio.run(CropToMask(id="crop", image=ImageNode(image=image), mask=linked), progress=False)
        computed = ConvertImage(image=field, mode="L")
        with pytest.raises(NodeError, match="the mask is"):
            studio.run(CropToMask(image=image, mask=computed), progress=False)
        region = RegionField(left=0, top=0, width=40, height=40)
        with pytest.raises(GraphError, match=f"paste.mask: {problem}"):
            studio.run(PasteRegion(id="paste", image=image, painted=image, mask=field, region=region), progress=False)
    mask = saved(studio, box(0, 0, 5, 5))
    region = RegionField(left=100, top=0, width=40, height=40)
    with pytest.raises(NodeError, match="the region ends at 140 x 40, and the image is 120 x 90"):
        studio.run(PasteRegion(image=image, painted=image, mask=mask, region=region), progress=False)
