"""The library graphs every studio starts with."""

import json
from typing import Any

import pytest

from nbgraph.invocations.fields import ImageField
from nbgraph.services.shared.default_graphs import default_graphs, image_to_image, text_to_image
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.library import LibraryGraph

COMMON = ["prompt", "negative_prompt", "width", "height", "seed", "steps", "cfg_scale", "scheduler", "model"]


def test_they_have_names_and_ids_that_stay() -> None:
    names = ["text to image", "image to image", "inpaint", "outpaint", "edit by instruction", "hires fix", "ControlNet"]
    assert [graph.name for graph in default_graphs()] == [*names, "upscale"]
    assert [graph.id for graph in default_graphs()] == [graph.id for graph in default_graphs()]


def test_a_picture_from_text_shows_what_a_person_sets() -> None:
    node = text_to_image().node_class()
    assert list(node.inputs()) == COMMON
    assert node.outputs() == {"image": ImageField}


def test_a_picture_from_a_picture_takes_its_size() -> None:
    node = image_to_image().node_class()
    assert set(COMMON) - {"width", "height"} < set(node.inputs())
    assert node.inputs()["image"].required


@pytest.mark.parametrize("values", [{}, {"prompt": "a red apple", "seed": 3, "width": 64, "model": "other"}])
def test_text_to_image_can_run_as_it_is(values: dict[str, Any]) -> None:
    graph = Graph([text_to_image().node_class()(id="picture", **values)])
    assert graph.problems() == []
    assert GraphExecutionState(graph, targets=["picture"]).plan.ranks.keys() == {
        f"picture.{name}" for name in ("model", "positive", "negative", "noise", "denoise", "image")
    }


def test_image_to_image_can_run_with_a_picture() -> None:
    cls = image_to_image().node_class()
    graph = Graph([cls(id="again", image=ImageField(image_name="0" * 32))])
    assert graph.problems() == []
    assert [problem.field for problem in Graph([cls(id="again")]).problems()] == ["image"]


REQUIRED = {
    "inpaint": {"image", "mask"},
    "outpaint": {"image"},
    "edit by instruction": {"image", "model"},
    "hires fix": set(),
    "ControlNet": {"image", "model", "control_model"},
    "upscale": {"image"},
}


@pytest.mark.parametrize("graph", default_graphs()[2:], ids=lambda graph: graph.name)
def test_a_graph_needs_what_it_cannot_know_and_nothing_else(graph: LibraryGraph) -> None:
    cls = graph.node_class()
    required = {name for name, spec in cls.inputs().items() if spec.required}
    assert required == REQUIRED[graph.name]
    image = ImageField(image_name="0" * 32)
    given = {name: image if name in ("image", "mask") else "a-name" for name in required}
    assert Graph([cls(id="again", **given)]).problems() == []
    assert cls.outputs() == {"image": ImageField}


def test_a_seed_that_is_not_given_is_drawn() -> None:
    graph = Graph([text_to_image().node_class()(id="picture")])
    plan = GraphExecutionState(graph).plan
    assert plan.nodes[plan.ranks["picture.noise"]].node_type.seeds == ("seed",)
    assert graph["picture"].literals()["seed"] is None


@pytest.mark.parametrize("graph", default_graphs(), ids=lambda graph: graph.name)
def test_they_come_back_from_json(graph: LibraryGraph) -> None:
    assert LibraryGraph.from_dict(json.loads(json.dumps(graph.to_dict()))).to_dict() == graph.to_dict()
