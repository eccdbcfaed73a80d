"""Ids are any text: a node is edited, addressed, saved, written as Python, drawn and run under each of them."""

from typing import Any

import pytest

from nbgraph.errors import GraphError
from nbgraph.invocations import Add, Integer, Iterate
from nbgraph.services.shared.graph.edges import edge
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.library import LibraryGraph
from tests.graph.running import run

ODD_IDS = [
    "a.b", "a..b", ".", "..", "a.", "end.a", "sum[0]", "sum[0].a", "[", "]", "[0]", "a b", " ", "\n", "\t", "\0", "-1",
    "3", "None", "class", "graph", "Graph", "Add", "__class__", "nodes", "é", "日本", "\U0001f34e", "\u202e", "'", '"',
    "\\", "{0}", "%s", "<b>&amp;</b>", "]]>", "x" * 5000, "../../etc", "a->b", "a,b", "#", "self",
]  # fmt: skip


@pytest.mark.parametrize("odd", ODD_IDS, ids=lambda odd: ascii(odd)[:20])
def test_a_node_of_any_id_is_edited_saved_written_drawn_and_run(odd: str) -> None:
    graph = Graph([Integer(id=odd, value=1), Add(id="end", a=1, b=10)])
    graph.add_edge(f"{odd}.value", "end.a")
    graph = graph.with_values({f"{odd}.value": 2, "end.b": 20})
    assert [str(found) for found in graph.edges] == [f"{odd}.value -> end.a"]
    assert Graph.from_json(graph.to_json()) == graph
    scope: dict[str, Any] = {}
    exec(graph.to_python(), scope)  # noqa: S102
    assert scope["graph"].to_dict()["nodes"] == graph.to_dict()["nodes"]
    assert graph.show().svg.count("<g>") == 2
    session = run(graph).session
    again = GraphExecutionState.from_dict(session.to_dict())
    assert [each.outputs_of("end")[()].value for each in (session, again)] == [22, 22]  # type: ignore[attr-defined]
    assert list(again.outputs_of(odd)) == [()]
    graph.delete_edge(edge(f"{odd}.value", "end.a"))
    graph.delete_node(odd)
    assert list(graph) == ["end"]


@pytest.mark.parametrize("odd", ODD_IDS, ids=lambda odd: ascii(odd)[:20])
def test_a_node_of_any_id_is_reached_inside_a_graph_node_of_any_id(odd: str) -> None:
    inner = Graph([Add(id=odd, a=1, b=2)])
    library = LibraryGraph("library", inner, {"number": f"{odd}.a"}, {"result": f"{odd}.value"})
    graph = Graph([library.node_class()(id=odd, number=Iterate(id="each", collection=[10, 20]))])
    graph = Graph.from_json(graph.with_values({f"{odd}.{odd}.b": 5}).to_json())
    outputs = run(graph).session.outputs_of(odd)
    assert {path: output.result for path, output in outputs.items()} == {(0,): 15, (1,): 25}  # type: ignore[attr-defined]


def test_an_empty_id_is_refused() -> None:
    with pytest.raises(GraphError, match="an id has at least one character"):
        Graph([Integer(id="", value=1)]).validate()
    with pytest.raises(GraphError, match="give the 'integer' with an empty one another"):
        Graph.from_json('{"nodes": {"": {"type": "integer"}}, "edges": []}')
