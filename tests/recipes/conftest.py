"""A studio, and a run of the shipped model, which the tests of recipes share."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image as PillowImage

import nbgraph as nb
from nbgraph.invocations import DenoiseLatents, LatentsToImage, ModelLoader, Noise, Prompt
from nbgraph.recipes.chunks import PictureTexts, read_texts


def apple(seed: int | None = 7, steps: int = 2, text: str = "a red apple") -> LatentsToImage:
    """The shipped model's picture, in few steps."""
    model = ModelLoader(id="model", model="emoji")
    denoise = DenoiseLatents(
        id="denoise",
        unet=model,
        positive=Prompt(id="positive", text=text, clip=model),
        negative=Prompt(id="negative", text="a pear", clip=model),
        noise=Noise(id="noise", unet=model, seed=seed),
        steps=steps,
        scheduler="euler_k",
    )
    return LatentsToImage(id="image", latents=denoise, vae=model)


def saved(picture: PillowImage.Image, format: str = "PNG", **options: object) -> bytes:
    """The bytes of a picture as its `save` writes them."""
    target = BytesIO()
    picture.save(target, format, **options)
    return target.getvalue()


def texts_of(picture: PillowImage.Image, format: str = "PNG") -> PictureTexts:
    """What a picture carries when it is saved."""
    return read_texts(saved(picture, format), "the picture")


@pytest.fixture(scope="session")
def drawn() -> Iterator[nb.Run]:
    """A run that drew an apple with a drawn seed; nothing changes it."""
    with nb.Studio(settings=nb.Settings(device="cpu")) as studio:
        yield studio.run(apple(seed=None), progress=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A place for a picture file."""
    return tmp_path / "picture.png"
