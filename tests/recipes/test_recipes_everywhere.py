"""A saved image opens wherever a graph does: on the canvas, on the command line, and again from the gallery."""

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image as PillowImage
from typer.testing import CliRunner
from widgets.panel_page import PanelPage

import nbgraph as nb
from nbgraph.cli.app import app
from nbgraph.invocations import BlankImage, BlurImage
from nbgraph.recipes.chunks import read_texts
from nbgraph.recipes.recipe import recipe_from_json
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.widgets.gallery import Gallery
from tests.recipes.conftest import saved


@pytest.fixture
def graph() -> Graph:
    return nb.Graph.of(BlurImage(id="blurred", image=BlankImage(id="blank", width=8, height=4), radius=1))


@pytest.fixture(params=["PNG", "JPEG", "WEBP"])
def picture(request, studio, graph, tmp_path) -> Path:
    path = tmp_path / f"picture.{request.param.lower()}"
    path.write_bytes(saved(studio.run(graph, progress=False)["blurred"].image, request.param))
    return path


def graph_in(data: bytes) -> Graph:
    return recipe_from_json(read_texts(data, "the image").texts["nbgraph"], "the image").to_graph()


def described(graph: Graph) -> tuple[object, object]:
    """The nodes and edges of a graph as a file has them."""
    values = graph.to_dict()
    return values["nodes"], values["edges"]


def test_the_canvas_opens_it(studio, picture, graph):
    assert described(studio.edit(picture).graph) == described(graph)


def test_the_program_validates_it_and_runs_it(picture, graph, tmp_path):
    done = CliRunner().invoke(app, ["validate", str(picture)])
    assert (done.exit_code, done.stdout.split(": ")[1].strip()) == (0, "valid, 2 nodes, 1 edges")
    done = CliRunner().invoke(
        app, ["run", str(picture), "--set", "blank.width=16", "--out", str(tmp_path / "again.png")]
    )
    assert done.exit_code == 0, done.output
    found = [path.read_bytes() for path in sorted(tmp_path.glob("again*"))]
    assert {PillowImage.open(BytesIO(data)).size for data in found} == {(16, 4)}
    assert described(graph.with_values({"blank.width": 16})) in [described(graph_in(data)) for data in found]


def test_the_program_exports_it(picture, graph):
    done = CliRunner().invoke(app, ["export", str(picture), "--python"])
    names: dict[str, object] = {}
    exec(done.stdout, names)
    assert described(names["graph"]) == described(graph)


def test_an_image_without_a_recipe_is_refused_by_each(studio, tmp_path):
    plain = tmp_path / "plain.png"
    PillowImage.new("RGB", (4, 4)).save(plain)
    for command in ("validate", "run"):
        done = CliRunner().invoke(app, [command, str(plain)])
        assert done.exit_code == 2
        assert "plain.png carries no recipe" in done.output.replace("\n", " ")
    with pytest.raises(nb.NbgraphError, match="carries no recipe"):
        studio.edit(plain)


def test_the_gallery_gives_it_for_saving(studio, graph):
    name = studio.run(graph, progress=False)["blurred"].image_name
    gallery = Gallery(studio.services)
    answer, buffers = PanelPage(gallery).ask({"type": "open", "name": name})
    gallery.close()
    assert answer["type"] == "picture"
    assert described(graph_in(buffers[0])) == described(graph)
