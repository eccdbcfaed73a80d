"""A picture of another studio is made anew and is equal, or what differs is named: model, code, package, setting."""

import json
from pathlib import Path

import pytest
from PIL import Image as PillowImage

import nbgraph as nb
from nbgraph.diffusion.fingerprints import fingerprint_path
from nbgraph.errors import GraphError, RecipeError
from nbgraph.invocations import (
    BlankImage,
    BlurImage,
    ControlLora,
    Image,
    IpAdapter,
    Iterate,
    LoadImage,
    LoraLoader,
    ModelLoader,
    Range,
)
from nbgraph.invocations.function import node
from nbgraph.recipes.local import shelf_of
from nbgraph.recipes.recipe import Recipe, recipe_from_json
from nbgraph.recipes.replay import plan_replay
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


def test_whatever_of_a_model_is_another_is_named_once_it_was_made_anew(drawn, studio):
    data = saved(drawn["image"].image)
    facts = json.loads(changed(data))["models"] + [
        {"name": "e.pt", "fingerprint": "1" * 32, "kind": "textual_inversion"}
    ]
    replayed = studio.replay(json.dumps({**json.loads(changed(data, device="cuda", dtype="float16")), "models": facts}))
    assert kinds(replayed) == {("model", "e.pt"), ("setting", "device"), ("setting", "dtype")}
    assert replayed.is_equal


def test_a_file_of_a_picture_that_is_another_is_named(studio, tmp_path):
    file = tmp_path / "photo.png"
    PillowImage.new("RGB", (8, 8), "red").save(file)
    run = studio.run(LoadImage(id="photo", path=file), progress=False)
    data = saved(run["photo"].image)
    assert studio.replay(data).differences == []
    PillowImage.new("RGB", (8, 8), "blue").save(file)
    assert {kind for kind, _ in kinds(studio.replay(data))} == {"picture"}


def test_a_model_inside_a_library_graph_is_looked_for_too(studio):
    inner = nb.LibraryGraph("part", nb.Graph.of(ModelLoader(id="model", model="gone")))
    graph = nb.Graph.of(inner.node_class()(id="outer"))
    recipe = Recipe(nbgraph="0", graph=graph.to_dict(), models=({"name": "gone", "fingerprint": "1" * 32},))
    with pytest.raises(GraphError, match="outer.model.model: no model here has the content of 'gone'"):
        studio.replay(recipe.to_json())


def loras(folder: Path, **contents: bytes) -> dict[str, str]:
    """Write LoRA files into a folder of models; their fingerprints by name."""
    for name, content in contents.items():
        (folder / "Lora").mkdir(exist_ok=True)
        (folder / "Lora" / f"{name}.safetensors").write_bytes(content)
    return {name: fingerprint_path(folder / "Lora" / f"{name}.safetensors") for name in contents}


@pytest.mark.parametrize(
    ("given", "field", "node_type", "kind"),
    [
        ("ink", "lora", LoraLoader, "lora"),
        ("/elsewhere/ink.safetensors", "lora", LoraLoader, "lora"),
        ("Lora/ink.safetensors", "lora", LoraLoader, "lora"),
        ("ink", "lora", ControlLora, "model"),
        ("ink", "ip_adapter_model", IpAdapter, "model"),
    ],
)
def test_a_file_over_a_model_is_looked_for_by_the_name_it_has_in_the_studio(tmp_path, given, field, node_type, kind):
    found = loras(tmp_path, ink=b"ink", paint=b"paint")
    graph = nb.Graph()
    graph.add_node(node_type(id="node", **{field: given}))
    folder = tmp_path / "Lora"

    def planned(fingerprint: str) -> tuple[Path, list[str]]:
        fact = {"name": "ink.safetensors", "fingerprint": fingerprint, "kind": kind}
        recipe = Recipe(nbgraph=nb.__version__, graph=graph.to_dict(), models=(fact,))
        with nb.Studio(settings=nb.Settings(device="cpu", model_folders=[tmp_path])) as studio:
            plan = plan_replay(recipe, studio.services, shelf_of(studio.services.model_manager))
        used = Path(studio.services.model_manager.file_of(str(getattr(plan.graph["node"], field))))
        return used, [each.name for each in plan.differences if each.kind == "model"]

    assert planned(found["ink"]) == (folder / "ink.safetensors", [])
    assert planned(found["paint"]) == (folder / "paint.safetensors", [])
    assert planned("1" * 32) == (folder / "ink.safetensors", ["ink.safetensors"])


def test_a_lora_that_is_not_here_is_named(studio):
    graph = nb.Graph()
    graph.add_node(LoraLoader(id="lora", lora="gone.safetensors"))
    with pytest.raises(GraphError, match="lora.lora: there is no lora 'gone.safetensors' here"):
        studio.replay(Recipe(nbgraph="0", graph=graph.to_dict()).to_json())
