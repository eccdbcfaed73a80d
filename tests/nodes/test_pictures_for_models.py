"""Pictures of a person's own nodes as models and displays take them: transparent, of 16 bits, as masks."""

from collections.abc import Iterator
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

import nbgraph as nb
from nbgraph.errors import NbgraphWarning, NodeError
from nbgraph.invocations import CreateDenoiseMask, DenoiseLatents, ImageToLatents, ModelLoader, Noise, Prompt
from nbgraph.services.images.images_base import thumbnail_of
from nbgraph.widgets.pictures import open_upload, thumbnail

SIDE = 128
RAMP = np.linspace(0, 255, SIDE * SIDE).round().reshape(SIDE, SIDE).astype(np.uint8)
LEFT = np.zeros((SIDE, SIDE), np.uint8)
LEFT[:, : SIDE // 2] = 255


@pytest.fixture(scope="module")
def studio() -> Iterator[nb.Studio]:
    """One studio for all, so that the model is loaded once."""
    with nb.Studio() as made:
        yield made


@pytest.fixture
def model() -> ModelLoader:
    return ModelLoader(model="emoji")


@pytest.fixture
def encoded(put, result, model):
    """The latents of a picture, as a tensor."""
    return lambda picture: result(ImageToLatents(image=put(picture), vae=model)).latents.tensor()


@nb.node
def depth(kind: str) -> nb.Image:
    """A depth map, from 0 to 65535."""
    return PillowImage.fromarray(RAMP.astype(np.dtype(kind)) * 257)


@pytest.mark.parametrize("kind", ["uint16", "int32"])
def test_a_depth_map_of_16_bits_is_scaled_for_the_model_and_in_displays(studio, result, encoded, model, kind):
    grey = PillowImage.fromarray(RAMP)
    found = result(ImageToLatents(image=depth(kind), vae=model)).latents.tensor()
    assert torch.equal(found, encoded(grey))
    kept = result(depth(kind))
    assert kept.image.mode == "I;16"
    assert np.array_equal(np.asarray(kept.image), RAMP.astype(np.uint16) * 257)
    for made in (studio.services.images.thumbnail(kept.image_name), thumbnail(kept.image)):
        shown = np.asarray(PillowImage.open(BytesIO(made)).convert("L"))
        assert abs(shown.mean() - RAMP.mean()) < 2


def test_numbers_beyond_16_bits_are_refused_with_what_they_are(result):
    @nb.node
    def far(meters: int) -> nb.Image:
        return PillowImage.fromarray(np.full((2, 2), meters, np.int32))

    with pytest.raises(NodeError, match="mode 'I' cannot be stored: its numbers go from 70000 to 70000.*scale"):
        result(far(70_000))


def test_a_transparent_picture_is_encoded_as_on_white_whatever_colour_it_hides(encoded):
    opaque = PillowImage.fromarray(RAMP).convert("RGB")
    on_paper = PillowImage.composite(opaque, PillowImage.new("RGB", opaque.size, "white"), PillowImage.fromarray(LEFT))
    for hidden in ("black", "red"):
        picture = PillowImage.composite(
            opaque, PillowImage.new("RGB", opaque.size, hidden), PillowImage.fromarray(LEFT)
        )
        picture.putalpha(PillowImage.fromarray(LEFT))
        assert torch.equal(encoded(picture), encoded(on_paper))


@pytest.fixture
def painted(put, result, model):
    """The latents of a noisy picture that was painted anew within a mask."""

    def paint(mask: PillowImage.Image) -> torch.Tensor:
        text = Prompt(text="a red apple", clip=model)
        node = DenoiseLatents(
            unet=model,
            positive=text,
            noise=Noise(unet=model, seed=7),
            latents=ImageToLatents(image=put(PillowImage.fromarray(RAMP)), vae=model),
            denoise_mask=CreateDenoiseMask(mask=put(mask)),
            steps=2,
            cfg_scale=1,
            denoising_start=0.5,
        )
        return result(node).latents.tensor()

    return paint


def white_on_transparent() -> PillowImage.Image:
    picture = PillowImage.new("RGBA", (SIDE, SIDE), "white")
    picture.putalpha(PillowImage.fromarray(LEFT))
    return picture


def test_a_mask_that_is_white_on_transparent_frees_what_is_white(painted):
    grey = PillowImage.fromarray(LEFT)
    expected = painted(grey)
    assert not torch.equal(expected, painted(PillowImage.new("L", grey.size, 255)))
    indexed = white_on_transparent().quantize(4)
    for mask in (white_on_transparent(), white_on_transparent().convert("LA"), indexed, grey.convert("RGBA")):
        assert torch.equal(painted(mask), expected)


def test_a_mask_that_frees_nothing_is_told(painted):
    with pytest.warns(NbgraphWarning, match="black everywhere, so nothing is painted anew$"):
        painted(PillowImage.new("L", (SIDE, SIDE), 0))
    black = PillowImage.new("RGBA", (SIDE, SIDE), "black")
    black.putalpha(PillowImage.fromarray(LEFT))
    with pytest.warns(NbgraphWarning, match="in its transparency, put MaskFromAlpha before it"):
        painted(black)


def test_an_uploaded_photograph_is_upright_and_in_a_plain_mode():
    photograph, file = PillowImage.new("CMYK", (30, 20)), BytesIO()
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    photograph.save(file, "JPEG", exif=exif)
    uploaded = open_upload(file.getvalue())
    assert (uploaded.size, uploaded.mode) == ((20, 30), "RGB")


def test_a_small_picture_of_a_palette_is_drawn_with_its_transparency():
    indexed = white_on_transparent().quantize(4)
    for made in (thumbnail_of(indexed), thumbnail(indexed)):
        shown = PillowImage.open(BytesIO(made))
        assert shown.getchannel("A").getextrema() == (0, 255)
