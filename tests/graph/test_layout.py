"""The layered layout that the canvas, the SVG and the figures share."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbgraph.invocations import Add
from nbgraph.services.shared.drawing.layout import (
    GAP_DOWN,
    layers_of,
    layers_with_passages,
    missing_positions,
    node_height,
)
from nbgraph.services.shared.graph.graph import Graph

LAYOUTS = [layers_of, layers_with_passages]


@st.composite
def parents(draw):
    """A graph of up to twelve nodes without a cycle, as sources by node."""
    names = [f"n{number}" for number in range(draw(st.integers(0, 12)))]
    return {
        name: draw(st.lists(st.sampled_from(names[:place]), unique=True, max_size=3)) if place else []
        for place, name in enumerate(names)
    }


def columns(layers):
    return {slot: number for number, layer in enumerate(layers) for slot in layer}


def crossings(layers, before):
    place = {slot: row for layer in layers for row, slot in enumerate(layer)}
    edges = [(place[source], place[slot]) for slot in layers[1] for source in before[slot]]
    return sum((a - c) * (b - d) < 0 for (a, b), (c, d) in combinations(edges, 2))


@pytest.mark.parametrize("layout", LAYOUTS)
@given(graph=parents())
def test_every_node_has_one_place_right_of_all_its_sources(layout, graph):
    layers = layout(graph)
    column = columns(layers)
    assert sorted(slot for layer in layers for slot in layer if isinstance(slot, str)) == sorted(graph)
    assert all(column[source] < column[node] for node, sources in graph.items() for source in sources)


@given(graph=parents())
def test_an_edge_has_a_passage_in_each_column_that_it_crosses_and_in_no_other(graph):
    layers = layers_with_passages(graph)
    column = columns(layers)
    crossed = {
        (source, node, between)
        for node, sources in graph.items()
        for source in sources
        for between in range(column[source] + 1, column[node])
    }
    assert {slot for layer in layers for slot in layer if not isinstance(slot, str)} == crossed
    assert all(column[slot] == slot[2] for slot in crossed)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layers_are_sorted_so_that_edges_do_not_cross_where_none_need_to(layout):
    graph = {"a": [], "b": [], "c": [], "x": ["c"], "y": ["b"], "z": ["a"]}
    assert crossings([["a", "b", "c"], ["x", "y", "z"]], graph) == 3
    assert crossings(layout(graph), graph) == 0


def test_the_canvas_makes_no_passages_for_a_source_that_a_long_chain_refers_to():
    chain = {"model": []} | {"n0": ["model"]} | {f"n{number}": [f"n{number - 1}", "model"] for number in range(1, 999)}
    assert sum(map(len, layers_of(chain))) == len(chain)


def test_a_node_without_a_position_is_placed_right_of_its_source_where_there_is_room():
    graph = Graph.of(Add(id="sum", a=Add(id="one", a=1)))
    graph.layout = {"nodes": {"one": {"x": 0.0, "y": 50.0}, "sum": {"x": 306.0, "y": 60.0}}}
    graph.add_node(Add(id="next", a=graph["one"], b=Add(id="other", a=1)))
    graph.add_node(Add(id="last", a=graph["next"]))
    places = missing_positions(graph)
    assert places["next"] == {"x": 306.0, "y": 60.0 + node_height(graph, "sum") + GAP_DOWN}
    assert places["last"] == {"x": 612.0, "y": places["next"]["y"]}
    assert places["other"]["y"] > places["next"]["y"]
