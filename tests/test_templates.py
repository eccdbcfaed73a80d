"""Graphs made by one call: they run as they are, and their nodes have names that can be guessed."""

import pytest
from PIL import Image

import nbgraph as nb
from nbgraph.errors import ChoiceError


def test_a_text_becomes_an_image_by_one_call(studio):
    run = studio.run(nb.text_to_image("a red apple", seed=7, steps=2), progress=False)
    assert run.status == "completed"
    assert run.images[0].tobytes() == run["image"].image.tobytes()


def test_its_inputs_are_those_that_were_given():
    graph = nb.Graph.of(nb.text_to_image("sun", negative="moon", model="emoji", seed=3, steps=9, cfg_scale=2))
    assert (graph["prompt"].text, graph["negative"].text, graph["model"].model) == ("sun", "moon", "emoji")
    assert (graph["noise"].seed, graph["denoise"].steps, graph["denoise"].cfg_scale) == (3, 9, 2)


def test_an_image_becomes_another_that_keeps_more_at_less_strength(studio):
    given = studio.images.add(Image.new("RGB", (128, 128), "green"))
    changed = {
        strength: studio.run(
            nb.image_to_image(given, "a red apple", strength=strength, seed=7, steps=10), progress=False
        )["image"].image
        for strength in (0.1, 1.0)
    }
    distance = {strength: _distance(image, (0, 128, 0)) for strength, image in changed.items()}
    assert distance[0.1] < distance[1.0]


def test_an_image_that_a_node_gives_is_taken_too(studio):
    first = nb.text_to_image("a red apple", seed=7, steps=2)
    second = nb.image_to_image(first, "a green apple", strength=0.5, seed=7, steps=2)
    third = nb.image_to_image(second, "a yellow apple", strength=0.5, seed=7, steps=2)
    run = studio.run(third, progress=False)
    assert [run[name].image.size for name in ("image", "image_2", "image_3")] == [run["image"].image.size] * 3


@pytest.mark.parametrize("strength", [0, -0.1, 1.5])
def test_a_strength_outside_its_range_is_refused(strength):
    with pytest.raises(ChoiceError, match="strength cannot be"):
        nb.image_to_image(nb.text_to_image("sun"), "moon", strength=strength)


def _distance(image: Image.Image, colour: tuple[int, int, int]) -> float:
    small = image.convert("RGB").resize((8, 8))
    values = list(small.getdata())
    return sum(abs(a - b) for pixel in values for a, b in zip(pixel, colour)) / len(values)
