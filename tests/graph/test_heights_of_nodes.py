"""How high a node is on the canvas, as Python lays it out: what the canvas folds away takes no room."""

import pytest

import nbgraph as nb
from nbgraph.services.shared.drawing.layout import GAP_DOWN, layered_positions, node_height

DRAWN = {"prompt": 137, "denoise": 251, "noise": 119, "model": 164, "image": 113}
"""Heights in pixels as a browser draws them."""


@pytest.mark.parametrize("node", DRAWN)
def test_the_height_of_a_node_is_about_what_the_browser_draws(node):
    graph = nb.Graph.of(nb.text_to_image("a red apple", seed=7))
    assert node_height(graph, node) == pytest.approx(DRAWN[node], abs=30)


def test_nodes_of_a_layer_are_near_each_other():
    graph = nb.Graph.of(nb.text_to_image("a red apple", seed=7))
    places = layered_positions(graph, list(graph.nodes))
    column = sorted(places[node]["y"] for node in ("prompt", "negative", "noise"))
    assert [lower - upper for upper, lower in zip(column, column[1:])] == [node_height(graph, "prompt") + GAP_DOWN] * 2
