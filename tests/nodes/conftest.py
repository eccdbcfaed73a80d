"""What the tests of the nodes share: a studio in memory, and pictures in it."""

from collections.abc import Callable, Iterator

import pytest
from PIL import Image as PillowImage

import nbgraph as nb
from nbgraph.invocations import Image
from nbgraph.invocations.fields import ImageField

Put = Callable[[PillowImage.Image], Image]


@pytest.fixture
def studio() -> Iterator[nb.Studio]:
    """A studio in memory, empty."""
    with nb.Studio() as made:
        yield made


@pytest.fixture
def put(studio: nb.Studio) -> Put:
    """Keeps a PIL image in the studio, and gives the node that stands for it."""

    def keep(picture: PillowImage.Image) -> Image:
        return Image(image=ImageField(image_name=studio.services.images.save(picture).image_name))

    return keep


@pytest.fixture
def result(studio: nb.Studio) -> Callable[..., object]:
    """Runs a node and what it needs, and gives its result."""

    def run(node: nb.BaseInvocation, **values: object) -> object:
        return studio.run(node, values, progress=False)[node]

    return run
