"""How high a node is on the canvas, as Python lays it out: what the canvas folds away takes no room."""

import pytest

import nbgraph as nb
from nbgraph.invocations import LatentsToImage
from nbgraph.invocations.base import invocation
from nbgraph.services.shared.default_graphs import inpaint
from nbgraph.services.shared.drawing.layout import FIELD_HEIGHT, GAP_DOWN, layered_positions, node_height
from nbgraph.widgets.schema import node_type

DRAWN = {"prompt": 137, "denoise": 251, "noise": 119, "model": 164, "image": 113}
"""Heights in pixels as a browser draws them."""


@invocation("test_openly_tiled", title="Openly tiled")
class OpenlyTiled(LatentsToImage):
    """Decodes; its `tiled` is an input like any other."""

    tiled: bool = False


@pytest.mark.parametrize("node", DRAWN)
def test_the_height_of_a_node_is_about_what_the_browser_draws(node):
    graph = nb.Graph.of(nb.text_to_image("a red apple", seed=7))
    assert node_height(graph, node) == pytest.approx(DRAWN[node], abs=30)


def test_an_input_that_is_rare_takes_no_room_and_the_page_knows_it():
    shown = {each["name"]: each.get("rare", False) for each in node_type(LatentsToImage)["inputs"]}
    assert shown == {"latents": False, "vae": False, "tiled": True}
    graph = nb.Graph([LatentsToImage(id="shown"), OpenlyTiled(id="open")])
    assert node_height(graph, "open") == node_height(graph, "shown") + FIELD_HEIGHT


def test_an_image_that_is_chosen_on_the_canvas_covers_no_node_below_it():
    graph = inpaint().graph
    assert node_height(graph, "source") == pytest.approx(123, abs=30)
    places = layered_positions(graph, list(graph.nodes))
    assert abs(places["source"]["y"] - places["mask"]["y"]) >= 123


def test_nodes_of_a_layer_are_near_each_other():
    graph = nb.Graph.of(nb.text_to_image("a red apple", seed=7))
    places = layered_positions(graph, list(graph.nodes))
    column = sorted(places[node]["y"] for node in ("prompt", "negative", "noise"))
    assert [lower - upper for upper, lower in zip(column, column[1:])] == [node_height(graph, "prompt") + GAP_DOWN] * 2
