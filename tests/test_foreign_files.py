"""Files of other programs are no graphs, and never empty ones: those with a recipe are opened, the others refused."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import nbgraph as nb
from nbgraph.cli.app import app
from nbgraph.errors import GraphError, NbgraphError
from nbgraph.invocations import Add
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.library import LibraryGraph
from nbgraph.widgets.graph_file import open_graph

API = {"3": {"class_type": "KSampler", "inputs": {"seed": 2**64 - 1, "model": ["4", 0]}, "_meta": {"title": "K"}}}
SUM = Graph.of(Add(id="sum"))
FOREIGN = {
    "comfy api": (API, "a ComfyUI API file"),
    "comfy request": ({"prompt": API, "client_id": "x"}, "a request to ComfyUI's API"),
    "comfy workflow": ({"last_node_id": 1, "nodes": [{"id": 1}], "links": [], "version": 0.4}, "ComfyUI's editor"),
    "invoke workflow": (
        {"nodes": [{"id": "a", "data": {"type": "noise"}}], "edges": [], "meta": {"version": "3.0.0"}},
        "InvokeAI's editor",
    ),
    "invoke metadata": ({"generation_mode": "txt2img", "positive_prompt": "a cat"}, "made by InvokeAI"),
    "model index": (
        {"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"]},
        "a model_index.json of diffusers",
    ),
    "model config": ({"_class_name": "AutoencoderKL", "in_channels": 3}, "a configuration of diffusers"),
    "transformers config": ({"architectures": ["CLIPTextModel"], "model_type": "clip"}, "of a transformers model"),
    "notebook": ({"cells": [], "nbformat": 4, "metadata": {}}, "a Jupyter notebook"),
    "saved session": (GraphExecutionState(SUM).to_dict(), "a saved session of nbgraph"),
    "library graph": (LibraryGraph("sums", SUM).to_dict(), "LibraryGraph.from_dict reads it"),
    "list of nodes": ({"nodes": [{"id": 1}]}, "another program: its nodes are a list"),
    "other": ({"name": "package", "scripts": {}}, "an object without nodes (its keys: 'name', 'scripts')"),
    "empty": ({}, "an object without nodes (its keys: none)"),
    "edges alone": ({"edges": []}, "an object without nodes (its keys: 'edges')"),
}
TEXTS = {
    "a1111": ("a cat\nNegative prompt: dog\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1", "A1111"),
    "web page": ("<!DOCTYPE html><html></html>", "a page of HTML"),
    "pointer": ("version https://git-lfs.github.com/spec/v1\noid sha256:0", "a Git LFS pointer"),
    "picture": (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "a PNG picture"),
    "archive": (b"PK\x03\x04\x14\x00\x00\x00\x08\x00\xff", "a zip archive"),
}
ALL = {name: (json.dumps(data).encode(), seems) for name, (data, seems) in FOREIGN.items()} | {
    name: (text.encode() if isinstance(text, str) else text, seems) for name, (text, seems) in TEXTS.items()
}

WITH_RECIPE = (
    "comfy api", "comfy request", "comfy workflow", "invoke workflow", "invoke metadata", "library graph", "a1111",
    "picture",
)  # fmt: skip


@pytest.fixture(params=ALL.values(), ids=list(ALL))
def foreign(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """A file of another program, and words of what it is."""
    data, seems = request.param
    path = tmp_path / "file.json"
    path.write_bytes(data)
    return path, seems


@pytest.fixture(params=[name for name in ALL if name not in WITH_RECIPE])
def unread(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """A file of another program that has no recipe, and words of what it is."""
    data, seems = ALL[request.param]
    path = tmp_path / "file.json"
    path.write_bytes(data)
    return path, seems


@pytest.mark.parametrize("name", WITH_RECIPE)
def test_one_with_a_recipe_is_opened_with_a_report_or_refused_and_never_an_empty_graph(name, studio):
    data, _ = ALL[name]
    try:
        opened = studio.open(data)
    except NbgraphError:
        return
    assert opened.graph.nodes or opened.graph.problems()


def test_a_graph_is_not_read_from_a_file_of_another_program(foreign):
    path, seems = foreign
    with pytest.raises(GraphError) as caught:
        Graph.from_json(path.read_bytes())
    assert seems in str(caught.value)
    assert len(str(caught.value)) < 400


def test_the_canvas_does_not_open_it_and_the_error_names_the_file(unread, studio):
    path, seems = unread
    with pytest.raises(GraphError) as caught:
        studio.edit(path)
    assert seems in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("command", ["validate", "run"])
def test_the_command_line_refuses_it_in_one_line_with_exit_two(unread, command):
    path, seems = unread
    done = CliRunner().invoke(app, [command, str(path)])
    assert (done.exit_code, done.stdout) == (2, "")
    assert seems in done.stderr
    assert str(path) in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", FOREIGN)
def test_values_read_from_json_are_refused_too(name):
    data, _ = FOREIGN[name]
    for read in (Graph.from_dict, open_graph):
        with pytest.raises(GraphError, match="no graph of nbgraph"):
            read(data)


def test_an_empty_graph_and_one_without_edges_are_graphs():
    assert len(Graph.from_dict({"nodes": {}})) == 0
    assert list(Graph.from_json('{"nodes": {"sum": {"type": "add"}}}')) == ["sum"]
    assert len(nb.Graph.from_json(nb.Graph().to_json())) == 0
