"""A picture of another studio is made anew and is equal, or what differs is named: model, code, package, setting."""

import json
from pathlib import Path

import pytest
from PIL import Image as PillowImage

import nbgraph as nb
from nbgraph.errors import GraphError, RecipeError
from nbgraph.invocations import BlankImage, BlurImage, Image, Iterate, ModelLoader, Range
from nbgraph.invocations.function import node
from nbgraph.recipes.recipe import Recipe, recipe_from_json
from tests.recipes.conftest import apple, saved


def changed(data: bytes, **fields: object) -> str:
    """The recipe in a picture as JSON, with some fields another."""
    recipe = recipe_from_json(nb.open(data).recipe.to_json(), "it")
    return recipe.model_copy(update=fields).to_json()


def kinds(replayed) -> set[tuple[str, str]]:
    return {(each.kind, each.name) for each in replayed.differences}


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_a_picture_of_another_studio_is_equal(drawn, studio, format):
    replayed = studio.replay(saved(drawn["image"].image, format))
    assert replayed.is_equal
    assert replayed.differences == []
    assert (replayed.max_difference == 0) == (format == "PNG")
    assert "equal" in repr(replayed)


def test_another_seed_steps_and_versions_are_seen(drawn, studio):
    data = saved(drawn["image"].image)
    graph = json.loads(json.dumps(nb.open(data).recipe.graph))
    graph["nodes"]["denoise"]["steps"] = 3
    replayed = studio.replay(changed(data, graph=graph, nbgraph="0.0.1", packages={"torch": "1.0"}))
    assert not replayed.is_equal
    assert kinds(replayed) == {("package", "nbgraph"), ("package", "torch")}


def test_another_code_of_a_node_is_named(studio):
    def made(strength: int) -> nb.BaseInvocation:
        @node(type="tint_of_replay")
        def tint(size: int = 8) -> nb.Image:
            return PillowImage.new("RGB", (size, size), (strength, 0, 0))

        return tint(id="tint")

    data = saved(studio.run(made(1), progress=False)["tint"].image)
    assert studio.replay(data).is_equal
    made(2)
    replayed = studio.replay(data)
    assert kinds(replayed) == {("code", "tint_of_replay")}
    assert (replayed.is_equal, replayed.max_difference) == (False, 1)
    assert replayed.ssim < 1


def test_a_model_is_found_by_its_content_under_another_name(drawn, tmp_path):
    shipped = Path(drawn["model"].unet.model.path)
    data = saved(drawn["image"].image)
    graph = json.loads(json.dumps(nb.open(data).recipe.graph))
    graph["nodes"]["model"]["model"] = "/elsewhere/fruit"
    facts = [{"name": "fruit", "fingerprint": drawn["model"].unet.model.fingerprint}]
    text = json.dumps({**json.loads(changed(data)), "graph": graph, "models": facts})
    with nb.Studio(settings=nb.Settings(device="cpu")) as studio:
        assert shipped.name == "emoji"
        assert studio.replay(text).is_equal


def test_a_model_of_the_same_name_and_other_content_is_named(drawn, studio):
    facts = [{"name": "emoji", "fingerprint": "0" * 32}]
    text = json.dumps({**json.loads(changed(saved(drawn["image"].image))), "models": facts})
    assert ("model", "emoji") in kinds(studio.replay(text))


def test_a_model_that_is_not_here_is_named_and_nothing_runs(drawn, studio):
    graph = nb.Graph.of(ModelLoader(id="model", model="gone"))
    recipe = Recipe(nbgraph="0", graph=graph.to_dict(), models=({"name": "gone", "fingerprint": "1" * 32},))
    with pytest.raises(GraphError, match="model.model: no model here has the content of 'gone'"):
        studio.replay(recipe.to_json())
    assert studio.images.count == 0


def test_a_picture_that_went_in_is_found_by_its_content(studio):
    photo = PillowImage.new("RGB", (16, 16), "teal")
    blurred = BlurImage(id="blurred", image=Image(image=studio.images.add(photo)), radius=2)
    data = saved(studio.run(blurred, progress=False)["blurred"].image)
    with nb.Studio() as other:
        with pytest.raises(GraphError, match="bring it in with studio.images.add"):
            other.replay(data)
        other.images.add(photo)
        assert other.replay(data).is_equal


def test_a_picture_under_an_iteration_is_made_alone(studio):
    blank = BlankImage(id="blank", width=Iterate(collection=Range(start=3, stop=6)), height=8)
    run = studio.run(blank, progress=False)
    assert studio.replay(saved(run.images[1])).picture.width == 4


def test_what_was_left_out_is_named(tmp_path):
    with nb.Studio(settings=nb.Settings(recipes="without prompts", device="cpu")) as studio:
        replayed = studio.replay(saved(studio.run(apple(seed=3), progress=False)["image"].image))
    assert ("setting", "prompts") in kinds(replayed)
    assert not replayed.is_equal


def test_a_recipe_of_another_program_is_no_replay(studio):
    with pytest.raises(RecipeError, match="a replay needs a picture of nbgraph"):
        studio.replay("a cat\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 64x64")
