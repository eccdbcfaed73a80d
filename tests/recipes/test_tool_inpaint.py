"""Inpainting is prepared as ComfyUI does it: grey within the mask, and the mask grown by its square."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

import nbgraph as nb
from nbgraph.diffusion.description import describe_model
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.refs import ModelRef
from nbgraph.diffusion.tool_inpaint import encode_for_inpainting, grown_mask, tool_mask, whole_latents
from nbgraph.invocations import ImageToLatents, LoadImage, MaskFromAlpha, ModelLoader, ToolInpaint
from tests.tiny_models import BUILDERS


def by_counting(mask: np.ndarray, pixels: int) -> np.ndarray:
    """White where any pixel of the square is: padded by half of it, rounded up, at the left and above."""
    height, width = mask.shape
    pad = -(-(pixels - 1) // 2)
    found = np.zeros_like(mask)
    for row in range(height):
        for column in range(width):
            top, left = row - pad, column - pad
            square = mask[max(top, 0) : max(top + pixels, 0), max(left, 0) : max(left + pixels, 0)]
            found[row, column] = square.max(initial=0)
    return found


@pytest.mark.parametrize("pixels", [0, 1, 2, 3, 6, 7, 64])
def test_a_mask_grows_by_its_square(pixels):
    mask = np.zeros((24, 40), np.float32)
    mask[10:13, 20:22] = 0.75
    mask[0, 0] = 1
    mask[23, 39] = 0.4
    found = grown_mask(torch.from_numpy(mask)[None, None], pixels)[0, 0].numpy()
    hard = mask.round()
    np.testing.assert_array_equal(found, by_counting(hard, pixels) if pixels else hard)


def test_a_mask_of_latents_is_taken_between_the_nearest_pixels(tmp_path):
    model = describe_model(BUILDERS["sd15"](tmp_path / "sd15"))
    mask = PillowImage.linear_gradient("L").resize((64, 64))
    values = torch.from_numpy(np.asarray(mask, np.float32) / 255)[None, None]
    expected = torch.nn.functional.interpolate(values, size=(32, 32), mode="bilinear")
    assert torch.equal(tool_mask(model, mask, 64, 64), expected)


def test_an_image_is_cropped_to_whole_latents_evenly_with_its_mask(tmp_path):
    ref = ModelRef.from_path(str(BUILDERS["sd15"](tmp_path / "sd15")))
    photo = PillowImage.effect_noise((65, 73), 90).convert("RGBA")
    photo.putalpha(PillowImage.linear_gradient("L").resize((65, 73)).point(lambda value: 255 * (value > 90)))
    with ModelCache(device="cpu").use(ref, "vae") as components:
        assert whole_latents(replace(components.model, vae_scale_factor=8), 67, 74) == (1, 1, 65, 73)
        assert whole_latents(components.model, 65, 73) == (0, 0, 64, 72)
        images = (photo, photo.crop((0, 0, 64, 72)))
        found, expected = (encode_for_inpainting(components, each, each.getchannel("A")) for each in images)
    assert torch.equal(found[0].tensor, expected[0].tensor)
    assert found[1].tobytes() == expected[1].tobytes()


def test_what_is_within_the_mask_is_grey_and_the_rest_is_as_it_was(tmp_path):
    BUILDERS["sd15"](tmp_path / "sd15")
    photo = PillowImage.effect_noise((64, 64), 90).convert("RGBA")
    photo.paste((0, 0, 0, 0), (16, 16, 48, 48))
    photo.save(tmp_path / "photo.png")
    grey = photo.convert("RGB")
    grey.paste((128, 128, 128), (16, 16, 48, 48))
    grey.save(tmp_path / "grey.png")
    model = ModelLoader(model=str(tmp_path / "sd15"))
    picture = LoadImage(path=tmp_path / "photo.png")
    mask = MaskFromAlpha(image=picture, invert=True)
    inside = ToolInpaint(id="inside", image=picture, mask=mask, vae=model, grow_mask_by=6)
    plain = ImageToLatents(id="plain", image=LoadImage(path=tmp_path / "grey.png"), vae=model)
    with nb.Studio(settings=nb.Settings(device="cpu")) as studio:
        run = studio.run([inside, plain], progress=False)
        outputs = [run.session.outputs_of(name)[()] for name in ("inside", "plain")]
        latents = [studio.services.latents.get(each.latents.latents_name)[0]["latents"] for each in outputs]
        grown = np.asarray(studio.images.get(outputs[0].denoise_mask.mask.image_name))
    # grey is exactly the middle there, which 8 bits do not have
    assert (latents[0] - latents[1]).abs().max() < 0.02
    rows = np.flatnonzero(grown.any(axis=1))
    assert (rows.min(), rows.max(), set(np.unique(grown))) == (14, 50, {0, 255})
