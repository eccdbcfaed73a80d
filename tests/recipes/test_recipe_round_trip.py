"""Any graph that is written into a picture is the same graph when it is read back."""

import json
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage

from nbgraph.errors import NbgraphWarning
from nbgraph.invocations import (
    Add,
    BlankImage,
    Collect,
    Iterate,
    JoinStrings,
    MetadataItem,
    Noise,
    Range,
    String,
    StringCollection,
)
from nbgraph.recipes.made import Carried
from nbgraph.recipes.recipe import FORMAT, Recipe, recipe_from_json
from nbgraph.recipes.saved_pictures import with_recipe
from nbgraph.services.shared.default_graphs import default_graphs
from nbgraph.services.shared.graph.graph import Graph
from tests.recipes.conftest import texts_of

TEXT = st.text(st.characters(codec="utf-8"), max_size=60)
SCALAR = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    SCALAR | TEXT, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=8
)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Graphs of texts, numbers, lists, iterations, library graphs and values that only JSON limits."""
    sources = draw(st.lists(st.sampled_from(("text", "number", "item", "library", "loop")), min_size=1, max_size=5))
    nodes = []
    for kind in sources:
        if kind == "text":
            nodes.append(JoinStrings(string_left=String(value=draw(TEXT)), string_right=draw(TEXT)))
        elif kind == "number":
            nodes.append(Add(a=draw(st.integers(-(2**62), 2**62)), b=Add(a=1, b=draw(st.integers(0, 9)))))
        elif kind == "item":
            nodes.append(MetadataItem(label=draw(TEXT.filter(len)), value=draw(JSON)))
        elif kind == "loop":
            each = Iterate(collection=Range(stop=draw(st.integers(1, 9))))
            nodes.append(
                Collect(item=BlankImage(width=each, height=8, color=draw(st.sampled_from(("red", "#12345678")))))
            )
        else:
            library = draw(st.sampled_from(default_graphs())).node_class()
            values = {"prompt": draw(TEXT), "seed": draw(st.integers(0, 2**64 - 1))}
            nodes.append(library(**{name: value for name, value in values.items() if name in library.inputs()}))
    nodes.append(StringCollection(collection=draw(st.lists(TEXT, max_size=3)), use_cache=draw(st.booleans())))
    return Graph.of(*nodes)


def through_a_picture(graph: Graph, format: str) -> Graph:
    carried = Carried(Recipe(nbgraph="0.1.0", graph=graph.to_dict()).to_json(), "a\nSteps: 1", "generated")
    picture = with_recipe(PillowImage.new("RGB", (4, 4)), lambda _: carried)
    return recipe_from_json(texts_of(picture, format).texts["nbgraph"], "the picture").to_graph()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(graphs(), st.sampled_from(("PNG", "JPEG", "WEBP")))
def test_any_graph_in_a_picture_is_the_same_graph_when_it_is_read(graph, format):
    assert through_a_picture(graph, format) == graph


@settings(max_examples=60, deadline=None)
@given(
    st.builds(
        Recipe,
        nbgraph=TEXT,
        format=st.just(FORMAT),
        graph=st.just({"nodes": {}, "edges": []}),
        node=TEXT,
        path=st.lists(st.integers(0, 99), max_size=3).map(tuple),
        source=st.sampled_from(("", "generated", "composite")),
        code=st.dictionaries(TEXT, TEXT, max_size=3),
        random_seeds=st.lists(TEXT, max_size=2).map(tuple),
    )
)
def test_any_recipe_is_the_same_recipe_when_it_is_read(recipe):
    assert recipe_from_json(recipe.to_json(), "the text") == recipe


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_a_recipe_of_several_megabytes_is_carried(format):
    graph = Graph.of(String(value="".join(chr(33 + (n * 7919) % 90) for n in range(2_000_000))))
    assert through_a_picture(graph, format) == graph


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_a_picture_with_a_long_recipe_is_opened_by_pillow(format, tmp_path):
    picture = with_recipe(PillowImage.new("RGB", (4, 4)), lambda _: Carried(json.dumps({"a": "b" * 1_500_000})))
    picture.save(tmp_path / f"long.{format.lower()}")
    PillowImage.open(tmp_path / f"long.{format.lower()}").load()


def test_a_recipe_that_does_not_fit_into_a_jpeg_is_left_out_with_a_warning():
    noise = json.dumps({"a": random.Random(0).randbytes(50_000).hex()})
    picture = with_recipe(PillowImage.new("RGB", (4, 4)), lambda _: Carried(noise, "a\nSteps: 1", "generated"))
    with pytest.warns(NbgraphWarning, match="left out; save as PNG"):
        assert texts_of(picture, "JPEG").texts == {"parameters": "a\nSteps: 1"}


def test_numbers_of_seeds_are_exact_up_to_the_largest():
    graph = Graph([Noise(seed=2**64 - 1)])
    assert through_a_picture(graph, "JPEG")["noise"].seed == 2**64 - 1
