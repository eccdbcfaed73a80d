"""Python code of a graph is read without being run: what `to_python` writes comes back, and nothing else is done."""

from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from nbgraph.grammar.graph_from_python import CodeError, graph_from_python
from nbgraph.invocations import Add, Collect, Iterate, ModelLoader, Noise, String
from nbgraph.invocations.base import BaseInvocation, invocation
from nbgraph.invocations.outputs import IntegerOutput
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.templates import text_to_image
from tests.graph.test_nested_graphs_property import ODD_IDS, nested
from tests.graph.test_nested_loops_property import PROGRAMS, program_of, small

TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXTS)


def content(graph: Graph) -> tuple[Any, Any]:
    """The nodes of a graph, without the numbers that library graphs get when they are made, and its edges."""
    return graph.to_dict()["nodes"], set(graph.edges)


@given(PROGRAMS, st.lists(st.tuples(st.integers(1, 13), st.sampled_from(ODD_IDS)), max_size=3))
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_graph_comes_back_from_the_code_that_is_written_of_it(choices: Any, cuts: Any) -> None:
    program = program_of(*choices)
    assume(small(program))
    graph, _ = nested(program, cuts)
    again = graph_from_python(graph.to_python()).graph
    assert content(again) == content(graph)
    assert list(again) == list(graph)


@given(st.lists(st.tuples(TEXTS, st.integers(), st.floats(allow_nan=False, allow_infinity=False)), max_size=4))
@settings(max_examples=40, deadline=None)
def test_any_value_comes_back_as_it_was_typed(rows: list[tuple[str, int, float]]) -> None:
    nodes: list[BaseInvocation] = []
    for number, (text, whole, part) in enumerate(rows):
        nodes += [
            String(id=f"text {number}", value=text),
            Add(id=f"whole {number}", a=whole, use_cache=False),
            Collect(id=f"list {number}", item=[String(value=text), String(value=text)]),
            Noise(id=f"noise {number}", unet=ModelLoader(model=repr(part)), seed=abs(whole) % 2**64),
        ]
    graph = Graph(nodes)
    assert content(graph_from_python(graph.to_python()).graph) == content(graph)


def test_an_edge_is_written_as_people_write_it_unless_that_would_name_another_output() -> None:
    model = ModelLoader(id="model", model="emoji")
    items = Iterate(id="each", collection=Collect(id="all", item=[Add(id="one", a=1)]))
    code = Graph.of(Noise(id="noise", unet=model), Add(id="sum", a=items, b=items.output("index"))).to_python()
    assert "noise = Noise(id='noise', unet=model)" in code
    assert "sum = Add(id='sum', a=each, b=each.output('index'))" in code
    assert "from nbgraph.invocations import Add, Collect, Iterate, ModelLoader, Noise\n" in code


def test_code_as_people_type_it_is_read() -> None:
    code = """
# nothing but nodes
import nbgraph as nb
from nbgraph.invocations import *

model = ModelLoader(model="emoji")  # its id is the name
denoise = DenoiseLatents(
    unet=model, steps=-(-8), positive=Prompt(text="a " "red apple", clip=model), noise=nb.invocations.Noise(unet=model)
)
image = LatentsToImage(latents=denoise, vae=model.output("vae"), id="picture")
BlurImage(image=image)
"""
    read = graph_from_python(code)
    assert set(read.graph) == {"model", "denoise", "prompt", "noise", "picture", "img_blur"}
    assert read.graph["denoise"].literals()["steps"] == 8
    assert read.lines["picture"] == 10
    assert str(read.graph.edges[-1]) == "picture.image -> img_blur.image"


def test_a_function_is_called_only_if_the_caller_allows_it() -> None:
    code = 'import nbgraph as nb\nimage = nb.text_to_image("a red apple", seed=7)'
    read = graph_from_python(code, {"text_to_image": text_to_image}).graph
    assert content(read) == content(Graph.of(text_to_image("a red apple", seed=7)))
    with pytest.raises(CodeError, match="line 2: nbgraph has no node class 'text_to_image'"):
        graph_from_python(code)


def test_classes_of_a_notebook_need_no_import() -> None:
    @invocation("read_from_a_cell", title="Cell", category="test", version="1.0.0")
    class OfACell(BaseInvocation):
        __module__ = "__main__"
        value: int = 0

        def invoke(self, context: Any) -> IntegerOutput:
            return IntegerOutput(value=self.value)

    graph = Graph([OfACell(id="own", value=3)])
    assert content(graph_from_python(graph.to_python()).graph) == content(graph)


@pytest.mark.parametrize(
    ("code", "line", "message"),
    [
        ("noise = Noise(", 1, "was never closed"),
        ("\nfor n in range(3):\n    Noise()", 2, "`for n in range.3.:` is not read here"),
        ("import os\nos.system('true')", 2, "os has no node class 'system'"),
        ("__import__('os')", 1, "__import__ is not defined"),
        ("().__class__.__bases__", 1, "`.__class__` is not read here"),
        ("noise = Noise()\nnoise.invoke(None)", 2, r"`.invoke\(\)` is not read here"),
        ("Noise.outputs()", 1, "is not read here"),
        ("x = [n for n in 'ab']", 1, "is not read here"),
        ("x = f'{1}'", 1, "is not read here"),
        ("x = 10**9", 1, "is not read here"),
        ("Noise(**{'seed': 1})", 1, r"`\*\*` is not read here"),
        ("a, b = 1, 2", 1, "only names can be assigned to"),
        ("x = {[]: 1}", 1, "unhashable"),
        ("x = '\\ud800'", 1, "half of a surrogate pair"),
        ("x = '\0'", 1, "null"),
        (f"x = {'-' * 5000}1", 1, "nested too deeply"),
        (f"x = {'(' * 500}1{')' * 500}", 1, "nested"),
        (f"x = {'1+' * 8000}1", 1, "nested too deeply"),
        ("\nnoise = Nois(seed=3)", 2, "did you mean 'Noise'"),
        ("noise = Noise(sed=3)", 1, "did you mean 'seed'"),
        ("noise = Noise(3)", 1, "takes its inputs by name"),
        ("\nnoise = Noise(seed=-3)", 2, "noise.seed: a seed is a whole number"),
        ("a = Add(id='x')\nb = Add(id='x')", 2, "there is a node 'x' already, made in line 1"),
        ("x = GraphInvocation()", 1, "is not defined"),
        ("from nbgraph.invocations import Noize", 1, "did you mean 'Noise'"),
        ("x = LibraryGraph.from_dict({'name': 1})", 1, "this is not a library graph"),
        ("noise = Noise(unet=String(value='x'))", 1, "no output of 'string' fits"),
    ],
)
def test_anything_else_is_refused_with_its_line(code: str, line: int, message: str) -> None:
    with pytest.raises(CodeError, match=message) as raised:
        graph_from_python(code)
    assert raised.value.line == line
    assert str(raised.value).startswith(f"line {line}: ")
