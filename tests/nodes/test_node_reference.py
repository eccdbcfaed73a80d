"""The node reference: every node is in it as it is, with an example that works."""

import ast
import inspect
from pathlib import Path

import pytest
from PIL import Image as PillowImage

import nbgraph as nb
import nbgraph.invocations
from nbgraph.cli.node_reference import built_in_nodes, example_of, reference

PAGE = Path(__file__).parents[2] / "docs" / "nodes.md"
NODES = built_in_nodes()
NEED_MODELS = {name for name, cls in NODES.items() if "model" in example_of(cls)}


def built(code: str) -> nb.BaseInvocation:
    names = dict(vars(nbgraph.invocations))
    exec(code, names)
    return names["node"]


def test_the_page_is_what_the_registry_says():
    text = "the page is old; make it anew with `python -m nbgraph.cli.node_reference`"
    assert PAGE.read_text(encoding="utf-8") == reference(), text


@pytest.mark.parametrize("name", sorted(NODES))
def test_every_node_is_documented_exported_and_has_a_valid_example(name):
    cls = NODES[name]
    first = (inspect.getdoc(cls) or "").splitlines()[0]
    assert first
    assert len(first) <= 120
    assert getattr(nbgraph.invocations, cls.__name__) is cls
    assert cls.__name__ in nbgraph.invocations.__all__
    assert cls.title
    assert cls.category
    node = built(example_of(cls))
    assert type(node) is cls
    graph = nb.Graph.of(node).validate()
    assert nb.Graph.from_json(graph.to_json()) == graph


def test_every_variable_of_an_example_is_used_in_it():
    for name, cls in NODES.items():
        names = [node for node in ast.walk(ast.parse(example_of(cls))) if isinstance(node, ast.Name)]
        made = {node.id for node in names if isinstance(node.ctx, ast.Store)}
        assert made - {node.id for node in names if isinstance(node.ctx, ast.Load)} == {"node"}, name


@pytest.mark.parametrize("name", sorted(set(NODES) - NEED_MODELS))
def test_every_example_that_needs_no_model_runs(studio, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    PillowImage.effect_noise((96, 64), 80).convert("RGB").save("picture.png")
    Path("prompts.txt").write_text("a red apple\na green pear\n")
    run = studio.run(built(example_of(NODES[name])), progress=False)
    assert run.status == "completed"
