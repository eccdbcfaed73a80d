"""Two graphs are equal if they have the same JSON, which need not be written to find out."""

from collections.abc import Callable
from typing import Any

import pytest

from nbgraph.invocations import Add, Collect, Float, If, Integer, Multiply, String
from nbgraph.invocations.base import BaseInvocation, invocation
from nbgraph.services.shared.graph.edges import Link
from nbgraph.services.shared.graph.graph import Graph


def example() -> Graph:
    one = Integer(id="one", value=1)
    graph = Graph.of(
        Collect(id="all", item=[Add(id="sum", a=one, b=2), Multiply(id="product", a=one, b=3)]),
        If(id="if", condition=True, true_input=1, false_input={"deep": [1, 2]}),
        Float(id="float", value=0.0),
        String(id="text", value="é"),
        If(id="numbers", condition=True, true_input=[1, 1], false_input=[]),
    )
    graph.id = "example"
    graph.layout = {"nodes": {"one": {"x": 1.0, "y": 2.0}}}
    return graph


def test_graphs_that_were_built_alike_are_equal() -> None:
    assert example() == example()
    assert example() == Graph.from_json(example().to_json())
    assert example() != example().to_json()


CHANGES: dict[str, Callable[[Graph], Any]] = {
    "value": lambda graph: graph.update_node("sum", b=3),
    "default made explicit elsewhere": lambda graph: graph.update_node("product", b=4),
    "value of another type": lambda graph: graph.update_node("if", true_input=1.0),
    "truth for a number": lambda graph: graph.update_node("if", true_input=True),
    "sign of zero": lambda graph: graph.update_node("float", value=-0.0),
    "item of a list": lambda graph: graph.update_node("numbers", true_input=[1, True]),
    "length of a list": lambda graph: graph.update_node("numbers", true_input=[1]),
    "value inside": lambda graph: graph.update_node("if", false_input={"deep": [1, 3]}),
    "option": lambda graph: graph.update_node("sum", use_cache=False),
    "option that is the default": lambda graph: graph.update_node("sum", is_intermediate=False),
    "edge deleted": lambda graph: graph.delete_edge("one.value", "sum.a"),
    "edge added": lambda graph: graph.add_edge("one.value", "all.item"),
    "order of edges": lambda graph: graph.load(graph.nodes, {**graph._links, "all": graph.links("all")[::-1]}),
    "node deleted": lambda graph: graph.delete_node("text"),
    "node added": lambda graph: graph.add_node(Integer(id="new")),
    "order of nodes": lambda graph: graph.load(dict(reversed(graph.nodes.items())), graph._links),
    "layout": lambda graph: graph.layout["nodes"]["one"].update(x=1.5),
    "id": lambda graph: setattr(graph, "id", "other"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_graphs_that_differ_are_equal_exactly_if_their_json_is(change: str) -> None:
    graph, other = example(), example()
    CHANGES[change](other)
    assert graph.to_json() != other.to_json()
    assert graph != other
    assert other != graph
    assert other == Graph.from_json(other.to_json())


class CountedId(str):
    """An id that counts how often it is compared."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        CountedId.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def chain(length: int) -> Graph:
    ids = [CountedId(f"n{number}") for number in range(length)]
    graph = Graph(id="chain")
    links = {node_id: [Link("a", CountedId(source), "value")] for source, node_id in zip(ids, ids[1:])}
    graph.load({node_id: Add(id=str(node_id), a=1, b=2) for node_id in ids}, links)
    return graph


def comparisons(length: int) -> int:
    graph, other = chain(length), chain(length)
    CountedId.compared = 0
    assert graph == other
    return CountedId.compared


def test_the_comparisons_of_ids_grow_with_the_nodes_and_no_faster() -> None:
    few, many = comparisons(100), comparisons(400)
    assert 0 < few <= 6 * 100
    assert many <= 4 * few + 20


looked_at: list[str | None] = []


@invocation("test_looked_at", category="test")
class LookedAt(BaseInvocation):
    """A node that records when its values are looked up, as writing it does."""

    number: int = 0
    numbers: list[int] = []
    text: str = ""

    def literals(self) -> dict[str, Any]:
        looked_at.append(self.id)
        return super().literals()


def test_nodes_with_plain_values_are_compared_without_writing_them() -> None:
    graph, other = [Graph([LookedAt(id="a", numbers=list(range(3)), text="x" * n)], id="g") for n in (2, 2)]
    looked_at.clear()
    assert graph == other
    assert looked_at == []
    other.update_node("a", numbers=[0, 1, 4])
    assert graph != other
    assert "a" in looked_at
