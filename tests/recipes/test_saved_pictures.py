"""Saved pictures carry how they were made, in the places where other programs look for it."""

import json
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image as PillowImage
from PIL import PngImagePlugin
from sd_parsers import ParserManager
from typer.testing import CliRunner

import nbgraph as nb
from nbgraph.cli.app import app
from nbgraph.config import Settings
from nbgraph.errors import NbgraphWarning
from nbgraph.invocations import (
    Add,
    BlankImage,
    BlurImage,
    Collect,
    ImageGrid,
    ImageToLatents,
    Iterate,
    LoadImage,
    Range,
    SaveImage,
    TextOnImage,
)
from nbgraph.invocations.function import node
from nbgraph.recipes.chunks import read_texts
from nbgraph.recipes.recipe import Recipe, recipe_from_json
from tests.recipes.conftest import apple, saved, texts_of

FORMATS = ("PNG", "JPEG", "WEBP")


def recipe_in(picture: PillowImage.Image, format: str = "PNG") -> Recipe:
    return recipe_from_json(texts_of(picture, format).texts["nbgraph"], "the picture")


@pytest.mark.parametrize("format", FORMATS)
def test_a_picture_of_a_run_carries_the_graph_that_made_it_with_the_seed_that_was_drawn(drawn, format):
    recipe = recipe_in(drawn["image"].image, format)
    seed = drawn["noise"].seed
    assert recipe.to_graph() == drawn.graph.with_values({"noise.seed": seed})
    assert [fact.name for fact in recipe.models] == ["emoji"]
    assert set(recipe.code) == {"model_loader", "prompt", "noise", "denoise_latents", "l2i"}
    assert (recipe.device, recipe.dtype) == ("cpu", "float32")
    assert {"torch", "diffusers"} <= set(recipe.packages)


@pytest.mark.parametrize("format", FORMATS)
def test_the_pixels_are_what_they_would_be_without_a_recipe(drawn, format):
    picture = drawn["image"].image
    (with_it, without) = (saved(each, format, quality=90) for each in (picture, picture.copy()))
    assert _pixels(with_it) == _pixels(without)


@pytest.mark.parametrize("format", FORMATS)
def test_the_parameters_are_read_by_another_program(drawn, format, tmp_path):
    path = tmp_path / f"picture.{format.lower()}"
    drawn["image"].image.save(path)
    found = ParserManager().parse(path)
    assert found is not None
    (sampler,) = found.samplers
    assert sampler.name == "Euler"
    assert sampler.parameters["steps"] == "2"
    assert sampler.parameters["scheduler"] == "Karras"
    assert sampler.parameters["seed"] == str(drawn["noise"].seed)
    assert sampler.model.name == "emoji"
    assert [prompt.value for prompt in sampler.prompts] == ["a red apple"]
    assert [prompt.value for prompt in sampler.negative_prompts] == ["a pear"]


@pytest.mark.parametrize("format", FORMATS)
def test_a_drawn_picture_says_that_a_model_made_it(drawn, format, tmp_path):
    path = tmp_path / f"picture.{format.lower()}"
    drawn["image"].image.save(path)
    assert b"digitalsourcetype/trainedAlgorithmicMedia" in path.read_bytes()


def test_a_picture_made_of_another_says_that_it_is_a_composite(studio, tmp_path):
    PillowImage.new("RGB", (128, 128), "teal").save(tmp_path / "photo.png")
    image = apple()
    image.latents.node.latents = ImageToLatents(image=LoadImage(path=tmp_path / "photo.png"), vae=image.vae)
    image.latents.node.denoising_start = 0.5
    run = studio.run(image, progress=False)
    recipe = recipe_in(run[image].image)
    assert recipe.source == "composite"
    assert len(recipe.pictures) == 1
    assert "Denoising strength: 0.5" in texts_of(run[image].image).texts["parameters"]


def test_a_picture_that_no_model_made_says_nothing_of_models(studio):
    blank = BlankImage(width=8, height=8)
    texts = saved(studio.run(blank, progress=False)[blank].image)
    assert b"digitalsourcetype" not in texts
    assert b"parameters" not in texts


def test_only_what_the_picture_needs_is_in_its_recipe(studio):
    left, right = BlankImage(id="left", width=8, height=8), BlankImage(id="right", width=4, height=4)
    blurred = BlurImage(id="blurred", image=left, radius=1)
    run = studio.run([blurred, right, Add(id="sum", a=1, b=2)], progress=False)
    assert list(recipe_in(run["blurred"].image).to_graph().nodes) == ["left", "blurred"]
    assert [list(recipe_in(each).to_graph().nodes) for each in run.images] == [["left"], ["left", "blurred"], ["right"]]


def test_a_picture_under_an_iteration_carries_the_graph_of_itself_alone(studio):
    width = Iterate(id="each", collection=Range(start=3, stop=6))
    blank = BlankImage(id="blank", width=width, height=8)
    run = studio.run(blank, progress=False)
    for picture, size in zip(run.images, (3, 4, 5), strict=True):
        recipe = recipe_in(picture)
        assert recipe.path == ()
        graph = recipe.to_graph()
        assert (list(graph.nodes), graph["blank"].width) == (["blank"], size)
        assert studio.run(graph, progress=False)["blank"].image == picture


def test_a_picture_put_together_of_several_keeps_the_iteration(studio):
    width = Iterate(collection=Range(start=3, stop=6))
    sheet = ImageGrid(id="sheet", images=Collect(item=BlankImage(id="blank", width=width, height=8)))
    run = studio.run(sheet, progress=False)
    graph = recipe_in(run["sheet"].image).to_graph()
    assert graph == run.graph
    assert studio.run(graph, progress=False)["sheet"].image == run["sheet"].image


def test_a_copy_for_the_gallery_carries_the_recipe_and_its_download_does(studio):
    kept = SaveImage(id="kept", image=BlankImage(id="blank", width=8, height=8))
    studio.run(kept, progress=False)
    name = studio.images.search("kept").image_name.iloc[0]
    assert list(recipe_in(studio.images.get(name)).to_graph().nodes) == ["blank", "kept"]


def test_a_setting_leaves_prompts_out_and_keeps_the_rest(tmp_path):
    with nb.Studio(settings=Settings(recipes="without prompts", device="cpu")) as studio:
        picture = studio.run(apple(text="a blue heart"), progress=False)["image"].image
        for format in FORMATS:
            recipe = recipe_in(picture, format)
            text = recipe.to_json() + texts_of(picture, format).texts["parameters"]
            assert "heart" not in text
            assert "pear" not in text
            assert recipe.without == "prompts"
            graph = recipe.to_graph()
            assert graph["denoise"].scheduler == "euler_k"
            assert graph["model"].model == "emoji"
            assert b"heart" not in saved(picture, format)


def test_a_setting_leaves_all_of_it_out():
    with nb.Studio(settings=Settings(recipes="none", device="cpu")) as studio:
        picture = studio.run(TextOnImage(id="t", image=BlankImage(width=64, height=64), text="x"), progress=False)
        for format in FORMATS:
            assert saved(picture["t"].image, format) == saved(picture["t"].image.copy(), format)


def test_what_the_caller_gives_holds(drawn):
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "mine")
    assert saved(drawn["image"].image, pnginfo=info).count(b"mine") == 1
    assert texts_of_bytes(saved(drawn["image"].image, pnginfo=info)) == {"parameters": "mine"}


def texts_of_bytes(data: bytes) -> dict[str, str]:
    return read_texts(data, "the picture").texts


def test_pictures_made_of_a_picture_carry_nothing(drawn):
    assert b"nbgraph" not in saved(drawn["image"].image.resize((8, 8)))


def test_the_command_line_writes_recipes(tmp_path):
    graph = nb.Graph.of(BlankImage(id="blank", width=8, height=8))
    (tmp_path / "graph.json").write_text(graph.to_json())
    done = CliRunner().invoke(app, ["run", str(tmp_path / "graph.json"), "--out", str(tmp_path / "out.webp")])
    assert done.exit_code == 0
    texts = texts_of_bytes((tmp_path / "out.webp").read_bytes())
    assert recipe_from_json(texts["nbgraph"], "out.webp").to_graph() == graph


def test_a_picture_that_is_brought_in_keeps_what_it_says(studio, tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add_text("prompt", '{"3": {"class_type": "KSampler", "inputs": {}}}')
    info.add_text("parameters", "a fox\nSteps: 20, Sampler: Euler, Seed: 1")
    path = tmp_path / "theirs.png"
    PillowImage.new("RGB", (8, 8)).save(path, pnginfo=info)
    for given in (path, PillowImage.open(path)):
        name = studio.images.add(given, metadata={"from": "a friend"}).image_name
        texts = texts_of(studio.images.get(name)).texts
        assert texts == {"prompt": '{"3": {"class_type": "KSampler", "inputs": {}}}', "parameters": info_text(path)}
    assert len(studio.images.search("a fox")) == 2


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
def test_a_workflow_of_comfyui_that_was_brought_in_goes_into_every_format(studio, format):
    info = PngImagePlugin.PngInfo()
    written = {"3": {"class_type": "CLIPTextEncode", "inputs": {"text": "café 狐"}}}
    info.add_itxt("prompt", json.dumps(written, ensure_ascii=False))
    info.add_text("workflow", '{"nodes": [], "links": []}')
    info.add_text("Software", "a camera")
    brought = PillowImage.open(BytesIO(saved(PillowImage.new("RGB", (8, 8)), pnginfo=info)))
    texts = texts_of(studio.images.get(studio.images.add(brought).image_name), format).texts
    assert json.loads(texts["prompt"]) == written
    assert texts["workflow"] == '{"nodes": [], "links": []}'


def test_what_a_format_does_not_hold_of_a_brought_picture_is_named(studio):
    info = PngImagePlugin.PngInfo()
    info.add_text("invokeai_graph", "{}")
    brought = PillowImage.open(BytesIO(saved(PillowImage.new("RGB", (8, 8)), pnginfo=info)))
    picture = studio.images.get(studio.images.add(brought).image_name)
    with pytest.warns(NbgraphWarning, match="'invokeai_graph' does not go into this format"):
        saved(picture, "JPEG")


def info_text(path: Path) -> str:
    return PillowImage.open(path).info["parameters"]


def test_a_node_made_in_a_cell_has_a_code_fingerprint_that_follows_its_code(studio):
    def fingerprint(strength: int) -> str:
        @node(type="tint_of_recipes")
        def tint(size: int = 8) -> nb.Image:
            return PillowImage.new("RGB", (size, size), (strength, 0, 0))

        made = tint(id="tint")
        return recipe_in(studio.run(made, progress=False)["tint"].image).code["tint_of_recipes"]

    assert fingerprint(1) == fingerprint(1)
    assert fingerprint(1) != fingerprint(2)


def _pixels(data: bytes) -> bytes:
    return PillowImage.open(BytesIO(data)).tobytes()
