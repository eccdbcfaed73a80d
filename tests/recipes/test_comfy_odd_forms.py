"""Workflows of ComfyUI in odd forms: nothing of them is left out without a word."""

import json
from pathlib import Path
from typing import Any

import pytest

from nbgraph.errors import RecipeError
from nbgraph.recipes.comfy_format import Link, read_workflow
from nbgraph.recipes.opened import Opened
from nbgraph.recipes.reading import read_recipe
from nbgraph.recipes.shelf import Shelf

SHELF = Shelf((("sd15", ""), ("sdxl", ""), ("flux", "")))


def workflow(name: str) -> dict[str, Any]:
    return json.loads((Path(__file__).parent / "workflows" / f"{name}.json").read_text())


def opened(data: dict[str, Any]) -> Opened:
    return read_recipe(json.dumps(data), SHELF)


def named(found: Opened) -> set[str]:
    """What a report does not call exact."""
    return {each.what for each in found.report if each.state != "exact"}


def sampler_of(data: dict[str, Any]) -> dict[str, Any]:
    """The inputs of the first KSampler."""
    return next(node["inputs"] for node in data.values() if node["class_type"] == "KSampler")


@pytest.mark.parametrize("name", ["seed", "steps", "cfg", "denoise"])
def test_a_link_from_nowhere_is_named(name):
    data = workflow("lora")
    sampler_of(data)[name] = ["gone", 0]
    assert f"KSampler.{name}" in named(opened(data))


def test_a_link_from_an_output_that_is_not_there_is_named():
    data = workflow("lora")
    text = next(node for node in data.values() if node["class_type"] == "CLIPTextEncode")
    text["inputs"]["text"] = ["n4", 7]
    assert "CLIPTextEncode.text" in named(opened(data))


def test_an_input_that_nothing_reads_is_named():
    data = workflow("lora")
    sampler_of(data)["noise_mode"] = "GPU(=A1111)"
    assert "KSampler.noise_mode" in named(opened(data))


@pytest.mark.parametrize("name", ["sampler_name", "scheduler"])
def test_a_choice_that_another_node_makes_leaves_the_sampler_out(name):
    data = workflow("lora")
    data["p"] = {"class_type": "SamplerSelector", "inputs": {}}
    sampler_of(data)[name] = ["p", 0]
    found = opened(data)
    assert "KSampler" in {kept["data"]["type"] for kept in found.graph.layout["unknown"].values()}
    assert any(f"{name} comes from a node" in each.why for each in found.report)


def test_more_nodes_than_are_read_are_refused():
    nodes = {str(number): {"class_type": "A", "inputs": {}} for number in range(20_001)}
    with pytest.raises(RecipeError, match="more than 20,000 nodes"):
        opened(nodes)


def test_a_controlnet_over_one_prompt_alone_is_named():
    data = workflow("controlnet")
    apply = next(node for node in data.values() if node["class_type"].startswith("ControlNetApply"))
    apply["class_type"] = "ControlNetApplyAdvanced"
    apply["inputs"]["positive"] = apply["inputs"].pop("conditioning", apply["inputs"].get("positive"))
    negative = sampler_of(data)["negative"]
    apply["inputs"]["negative"] = negative
    assert "ControlNet" in named(opened(data))
    place = next(name for name, node in data.items() if node is apply)
    sampler_of(data)["negative"] = [place, 1]
    assert "ControlNet" not in named(opened(data))


def test_values_of_unknown_nodes_are_kept_in_the_editors_form_too():
    data = {"nodes": [{"id": 1, "type": "FancyDetailer", "widgets_values": [0.3, "soft"]}], "links": []}
    kept = next(iter(opened(data).graph.layout["unknown"].values()))
    assert kept["data"]["inputs"] == {"widget 1": 0.3, "widget 2": "soft"}


def test_a_widget_that_a_later_version_added_is_named():
    data = {"nodes": [{"id": 1, "type": "EmptyLatentImage", "widgets_values": [64, 64, 1, "batch first"]}], "links": []}
    assert "EmptyLatentImage.widget 4" in named(opened(data))


def test_a_muted_node_leaves_a_link_that_its_reader_names():
    nodes = [
        {"id": 1, "type": "PrimitiveInt", "mode": 2, "outputs": [{"type": "INT"}]},
        {"id": 2, "type": "RandomNoise", "inputs": [{"name": "noise_seed", "link": 5}], "widgets_values": [3, "fixed"]},
    ]
    found = opened({"nodes": nodes, "links": [[5, 1, 0, 2, 0, "INT"]]})
    assert "RandomNoise.noise_seed" in named(found)


def subgraph(**wrapper: Any) -> dict[str, Any]:
    """A workflow of a prompt in a subgraph whose inputs are clip and text."""
    inner = {
        "id": "s1",
        "inputs": [{"name": "clip"}, {"name": "text"}],
        "nodes": [
            {"id": 7, "type": "CLIPTextEncode", "widgets_values": ["inside"],
             "inputs": [{"name": "clip", "link": 1}, {"name": "text", "link": 2}]},
            {"id": 8, "type": "EmptyLatentImage", "widgets_values": [64, 64, 1]},
        ],
        "links": [[1, -10, 0, 7, 0, "CLIP"], [2, -10, 1, 7, 1, "STRING"]],
    }  # fmt: skip
    slots = [{"name": "clip", "link": None}, {"name": "text", "link": None, "widget": {"name": "text"}}]
    return {
        "nodes": [{"id": 2, "type": "s1", "inputs": slots, **wrapper}],
        "links": [],
        "definitions": {"subgraphs": [inner]},
    }


@pytest.mark.parametrize(
    ("wrapper", "text", "width"),
    [
        ({"widgets_values": ["outside"]}, "outside", 64),
        ({"widgets_values": []}, "inside", 64),
        (
            {"widgets_values": ["outside", 128], "properties": {"proxyWidgets": [["-1", "text"], ["8", "width"]]}},
            "outside",
            128,
        ),
        ({"widgets_values": [], "properties": {"proxyWidgets": [["8", "width"]]}}, "inside", 64),
    ],
)
def test_values_that_the_node_of_a_subgraph_shows_count(wrapper, text, width):
    nodes = read_workflow(subgraph(**wrapper))
    assert (nodes["2:7"].inputs["text"], nodes["2:8"].inputs["width"]) == (text, width)


def test_what_arrives_at_a_subgraph_counts_more_than_its_own_values():
    data = subgraph(widgets_values=["outside"])
    data["nodes"][0]["inputs"][1]["link"] = 9
    data["nodes"].append({"id": 3, "type": "StringConstant", "widgets_values": ["given"]})
    data["links"].append([9, 3, 0, 2, 1, "STRING"])
    assert read_workflow(data)["2:7"].inputs["text"] == Link("3", 0)
