"""Graphs printed as JSON, as Python and as lines, and read back."""

from pathlib import Path

import cli_nodes  # noqa: F401
from cli_nodes import Inputs
from hypothesis import given, settings
from hypothesis import strategies as st

from nbgraph.cli.commands import COMMANDS
from nbgraph.grammar.catalogue import COMMAND_NAMES, Catalogue
from nbgraph.grammar.compiler import plan_line
from nbgraph.grammar.parser import parse_line
from nbgraph.grammar.writer import graph_lines
from nbgraph.invocations import Add, Collect, Integer, Multiply
from nbgraph.invocations.fields import ImageField
from nbgraph.services.shared.graph.edges import Connection, Edge
from nbgraph.services.shared.graph.graph import Graph

words = st.text(max_size=15)
ids = st.text(min_size=1, max_size=8) | st.sampled_from(["Add", "Inputs", "-1", "if", "--a", "2"])
whole = st.integers(-(10**9), 10**9)
numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)
anything = st.recursive(
    st.none() | st.booleans() | whole | words, lambda inner: st.lists(inner, max_size=3), max_leaves=5
)
values = st.fixed_dictionaries(
    {},
    optional={
        "text": words,
        "maybe_text": st.none() | words,
        "number": whole,
        "share": st.floats(0, 1),
        "flag": st.booleans(),
        "maybe_flag": st.none() | st.booleans(),
        "mode": st.sampled_from(["box", "bicubic"]),
        "level": st.sampled_from([1, 2]),
        "cfg_scale": numbers | st.lists(numbers, max_size=3),
        "numbers": st.lists(whole, max_size=3),
        "texts": st.lists(words, max_size=3),
        "number_or_text": whole | words,
        "table": st.dictionaries(words, whole, max_size=2),
        "rows": st.lists(st.lists(numbers, max_size=2), max_size=2),
        "anything": anything,
        "picture": st.none() | st.builds(ImageField, image_name=words),
        "path": st.none() | st.builds(Path, words.filter(lambda text: "\0" not in text)),
        "use_cache": st.none() | st.booleans(),
        "is_intermediate": st.booleans(),
    },
)


@st.composite
def graphs(draw):
    graph = Graph()
    for node_id in draw(st.lists(ids, min_size=1, max_size=5, unique=True)):
        earlier = [name for name in graph.nodes if "value" in graph.nodes[name].outputs()]
        kind = draw(st.sampled_from([Inputs, Add, Multiply, Integer, Collect]))
        graph.add_node(kind(id=node_id, **(draw(values) if kind is Inputs else {})))
        if kind is Integer or not earlier:
            continue
        inputs = {"cli_inputs": ["many", "text"], "collect": ["item"]}.get(kind.type, ["a", "b"])
        for field in draw(st.lists(st.sampled_from(inputs), unique=True)):
            fitting = [name for name in earlier if field not in "ab" or graph.nodes[name].type != "cli_inputs"]
            if fitting:
                source = draw(st.sampled_from(fitting))
                graph.add_edge(Edge(Connection(source, "value"), Connection(node_id, field)))
    return graph


def content(graph):
    """Nodes by id and the set of edges: what makes two graphs the same, whatever the order and the graph's own id."""
    data = graph.to_dict()
    return data["nodes"], {
        (tuple(edge["source"].values()), tuple(edge["destination"].values())) for edge in data["edges"]
    }


@settings(max_examples=80, deadline=None)
@given(graphs())
def test_a_graph_written_as_lines_is_read_back_the_same(graph):
    catalogue, again = Catalogue(commands=COMMAND_NAMES), Graph()
    for line in graph_lines(graph, catalogue):
        assert len(line.splitlines()) == 1
        again = plan_line(parse_line(line), again, catalogue).graph
    assert content(again) == content(graph)


@settings(max_examples=80, deadline=None)
@given(graphs())
def test_a_graph_written_as_json_is_read_back_the_same(graph):
    assert Graph.from_json(graph.to_json()) == graph


@settings(max_examples=80, deadline=None)
@given(graphs())
def test_a_graph_written_as_python_is_read_back_the_same(graph):
    namespace: dict = {}
    exec(compile(graph.to_python(), "graph.py", "exec"), namespace)
    assert content(namespace["graph"]) == content(graph)


def test_the_names_of_commands_are_those_there_are():
    assert set(COMMANDS.first_words) == COMMAND_NAMES
