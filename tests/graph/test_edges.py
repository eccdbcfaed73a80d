"""Edges: which may be added, what a file may hold, and how all that is wrong is told at once."""

from typing import Any

import pytest

from nbgraph.errors import GraphError
from nbgraph.invocations import (
    Add,
    Collect,
    Float,
    FloatRange,
    Integer,
    IntegerCollection,
    Iterate,
    Multiply,
    Range,
    String,
    StringCollection,
)
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.outputs import FloatOutput
from nbgraph.services.shared.graph.edges import edge
from nbgraph.services.shared.graph.graph import Graph
from tests.graph.running import run


@invocation("test_polymorphic", category="test")
class Polymorphic(BaseInvocation):
    """Takes a number or a list of numbers."""

    scale: float | list[float] = 1.0

    def invoke(self, context: InvocationContext) -> FloatOutput:
        return FloatOutput(value=self.scale if isinstance(self.scale, float) else sum(self.scale))


def kinds(error: GraphError) -> list[str]:
    return [problem.kind for problem in error.problems]


def refused(graph: Graph, source: str, destination: str) -> GraphError:
    before = graph.to_json()
    with pytest.raises(GraphError) as raised:
        graph.add_edge(edge(source, destination))
    assert graph.to_json() == before, "a refused edge changes nothing"
    return raised.value


@pytest.fixture
def graph() -> Graph:
    """Three numbers and a sum."""
    return Graph([Integer(id="one", value=1), Integer(id="two", value=2), String(id="text"), Add(id="sum")])


def test_an_edge_is_seen_in_the_graph(graph: Graph) -> None:
    graph.add_edge(edge("one.value", "sum.a"))
    assert [str(found) for found in graph.edges] == ["one.value -> sum.a"]


def test_an_unknown_node_is_named_with_the_nearest_one(graph: Graph) -> None:
    assert "did you mean 'one'" in str(refused(graph, "oen.value", "sum.a"))
    assert "did you mean 'sum'" in str(refused(graph, "one.value", "smu.a"))


def test_an_unknown_field_is_named_with_those_there_are(graph: Graph) -> None:
    assert "has no input 'c' (possible: a, b)" in str(refused(graph, "one.value", "sum.c"))
    assert "has no output 'valeu'; did you mean 'value'?" in str(refused(graph, "one.valeu", "sum.a"))


def test_everything_wrong_with_an_edge_is_told_together(graph: Graph) -> None:
    assert kinds(refused(graph, "one.x", "sum.x")) == ["unknown_field", "unknown_output"]


def test_an_edge_of_the_wrong_type_tells_both_types(graph: Graph) -> None:
    assert "sum.a: takes int, and text.value is str" in str(refused(graph, "text.value", "sum.a"))


def test_outputs_that_would_fit_are_offered() -> None:
    graph = Graph([StringCollection(id="texts", collection=["a"]), Iterate(id="each"), Add(id="sum")])
    graph.add_edge(edge("texts.collection", "each.collection"))
    assert "each.index or each.total would fit" in str(refused(graph, "each.item", "sum.a"))


def test_a_second_edge_to_an_input_is_refused_and_names_the_first(graph: Graph) -> None:
    graph.add_edge(edge("one.value", "sum.a"))
    assert "takes one edge, and one.value arrives already" in str(refused(graph, "two.value", "sum.a"))


def test_the_same_edge_twice_is_refused(graph: Graph) -> None:
    graph.add_edge(edge("one.value", "sum.a"))
    assert kinds(refused(graph, "one.value", "sum.a")) == ["duplicate_edge"]


def test_a_node_is_not_wired_to_itself(graph: Graph) -> None:
    assert kinds(refused(graph, "sum.value", "sum.a")) == ["self_loop"]


def test_a_circle_is_refused_and_named(graph: Graph) -> None:
    graph.add_node(Multiply(id="product"))
    graph.add_node(Add(id="more"))
    graph.add_edges([edge("sum.value", "product.a"), edge("product.value", "more.a")])
    assert "sum -> product -> more -> sum" in str(refused(graph, "more.value", "sum.b"))


def test_edges_are_added_all_or_none(graph: Graph) -> None:
    with pytest.raises(GraphError):
        graph.add_edges([edge("one.value", "sum.a"), edge("text.value", "sum.b")])
    assert graph.edges == []


def test_edges_are_added_as_pairs_of_their_ends(graph: Graph) -> None:
    graph.add_edges([("one.value", "sum.a")])
    assert graph.edges == [edge("one.value", "sum.a")]


def test_an_edge_is_added_and_deleted_by_the_names_of_its_ends(graph: Graph) -> None:
    graph.add_edge("one.value", "sum.a")
    assert graph.edges == [edge("one.value", "sum.a")]
    graph.delete_edge("one.value", "sum.a")
    assert graph.edges == []


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        (("one", "sum.a"), r"edge source 'one' names no output; write 'one.<output>' \(outputs: value\)"),
        (("one.", "sum.a"), r"edge source 'one.' names no output; write 'one.<output>' \(outputs: value\)"),
        (("one.value", "sum"), r"edge destination 'sum' names no input; write 'sum.<input>' \(inputs: a, b\)"),
        (("one.value", "none"), r"edge destination 'none' names no input; write 'none.<input>'$"),
        (("one.value",), r"""an edge destination is "node.input", as in .*, not ''"""),
        ((".value", "sum.a"), """an edge source is "node.output", as in .*, not '.value'"""),
        ((1, "sum.a"), 'an edge source is "node.output", as in .*, not 1'),
    ],
)
def test_an_end_that_names_no_field_is_refused_with_the_form(graph: Graph, ends: tuple, said: str) -> None:
    with pytest.raises(GraphError, match=said):
        graph.add_edge(*ends)
    assert graph.edges == []


def test_of_two_edges_alike_one_is_deleted_and_the_other_stays() -> None:
    number = Integer(id="one")
    graph = Graph.of(Collect(id="all", item=[number, number]))
    graph.delete_edge("one.value", "all.item")
    assert graph.edges == [edge("one.value", "all.item")]


def test_edges_that_are_restored_in_vain_leave_those_that_are_like_them() -> None:
    one, two = Integer(id="one"), Integer(id="two")
    graph = Graph.of(Collect(id="all", item=[one, two]), Add(id="sum", a=one))
    before = graph.edges
    with pytest.raises(GraphError, match="cycle"):
        graph.add_edges([edge("one.value", "all.item"), edge("sum.value", "one.value")], restored=True)
    assert graph.edges == before


def test_an_edge_that_is_not_there_can_be_deleted(graph: Graph) -> None:
    graph.delete_edge(edge("one.value", "sum.a"))
    graph.delete_edge(edge("nobody.value", "none.a"))


def test_an_input_of_several_types_takes_each_of_them() -> None:
    graph = Graph([Polymorphic(id="p"), Polymorphic(id="q"), Integer(id="i"), FloatRange(id="r")])
    graph.add_edges([edge("i.value", "p.scale"), edge("r.collection", "q.scale")])
    assert len(graph.edges) == 2


def test_an_input_of_any_type_takes_a_list() -> None:
    graph = Graph([IntegerCollection(id="list"), Collect(id="all")])
    graph.add_edge(edge("list.collection", "all.item"))
    assert graph.problems() == []


def test_a_collect_may_be_iterated_over() -> None:
    graph = Graph([Integer(id="i"), Collect(id="all"), Iterate(id="each"), Add(id="sum")])
    graph.add_edges(
        [edge("all.collection", "each.collection"), edge("i.value", "all.item"), edge("each.item", "sum.a")]
    )
    assert graph.problems() == []


def test_an_iterated_item_has_the_type_of_the_list() -> None:
    graph = Graph([FloatRange(id="list"), Iterate(id="each"), Add(id="sum")])
    graph.add_edge(edge("list.collection", "each.collection"))
    assert "takes int, and each.item is float" in str(refused(graph, "each.item", "sum.a"))


def test_the_type_of_an_item_is_found_when_the_list_is_wired_later() -> None:
    graph = Graph([FloatRange(id="list"), Iterate(id="each"), Add(id="sum")])
    graph.add_edge(edge("each.item", "sum.a"))
    graph.add_edge(edge("list.collection", "each.collection"))
    assert "sum.a: takes int, and each.item is float; each.index" in str(graph.problems()[0])


def test_a_collect_of_things_without_a_common_type_is_refused() -> None:
    graph = Graph([String(id="text"), Iterate(id="each", collection=Range()), Collect(id="all")])
    graph.add_node(Polymorphic(id="p"))
    graph.add_edges([edge("p.value", "all.item"), edge("each.item", "all.item")])
    assert graph.problems() == []
    graph.add_node(IntegerCollection(id="list"))
    graph.add_edge(edge("list.collection", "all.item"))
    assert "no type in common" in str(graph.problems()[0])


def test_chained_collects_must_agree_also_when_the_upstream_edge_comes_later() -> None:
    graph = Graph(
        [String(id="text"), Collect(id="first"), Collect(id="second"), IntegerCollection(id="n"), Add(id="s")]
    )
    graph.add_edges([edge("first.collection", "second.collection"), edge("n.collection", "second.item")])
    graph.add_edge(edge("text.value", "first.item"))
    assert [problem.node for problem in graph.problems() if "no type in common" in problem.message] == ["second"]


def test_an_iterate_without_a_list_is_a_missing_input() -> None:
    assert [(p.kind, p.node, p.field) for p in Graph([Iterate(id="each")]).problems()] == [
        ("missing_input", "each", "collection")
    ]


def test_a_collect_of_nothing_is_a_problem() -> None:
    assert "nothing arrives" in str(Graph([Collect(id="all")]).problems()[0])


# files


def file(edges: list[tuple[str, str]], **nodes: Any) -> dict[str, Any]:
    found = [edge(*ends) for ends in edges]
    return {
        "nodes": {name: {"id": name, **values} for name, values in nodes.items()},
        "edges": [{"source": e.source._asdict(), "destination": e.destination._asdict()} for e in found],
    }


def problems_of(data: Any) -> list[tuple[str, str | None, str | None]]:
    with pytest.raises(GraphError) as raised:
        Graph.from_dict(data)
    return [(problem.kind, problem.node, problem.field) for problem in raised.value.problems]


ADD = {"type": "add"}


def test_a_file_with_two_edges_to_one_input_is_refused() -> None:
    data = file([("x.value", "z.a"), ("y.value", "z.a")], x=ADD, y=ADD, z=ADD)
    assert problems_of(data) == [("two_edges", "z", "a")]


def test_a_file_with_a_dangling_edge_is_refused() -> None:
    data = file([("gone.value", "z.a"), ("z.value", "lost.a")], z=ADD)
    assert problems_of(data) == [("unknown_node", None, None), ("unknown_node", "z", "a")]


def test_a_file_with_a_circle_is_refused_and_the_circle_named() -> None:
    with pytest.raises(GraphError, match="x <- y <- x|y <- x <- y"):
        Graph.from_dict(file([("x.value", "y.a"), ("y.value", "x.a")], x=ADD, y=ADD))


def test_a_long_circle_is_cut_short_in_the_message() -> None:
    names = [f"n{i}" for i in range(1000)]
    edges = [(f"{name}.value", f"{after}.a") for name, after in zip(names, [*names[1:], names[0]])]
    with pytest.raises(GraphError) as raised:
        Graph.from_dict(file(edges, **dict.fromkeys(names, ADD)))
    assert len(str(raised.value)) < 300


def test_a_self_loop_in_a_file_is_refused() -> None:
    assert ("self_loop", "x", "a") in problems_of(file([("x.value", "x.a")], x=ADD))


def test_an_unknown_type_is_named_with_the_nearest_one() -> None:
    with pytest.raises(GraphError, match="no node of type 'ad'; did you mean 'add'"):
        Graph.from_dict(file([], x={"type": "ad"}))


def test_all_problems_of_a_file_are_told_at_once() -> None:
    data = file([], x={"type": "nothing"}, y={"type": "add", "c": 1}, z={"type": "add", "a": "much"})
    assert problems_of(data) == [("unknown_type", "x", None), ("unknown_field", "y", "c"), ("bad_value", "z", "a")]


def test_open_inputs_are_no_error_in_a_file_but_before_a_run() -> None:
    graph = Graph.from_dict(file([], each={"type": "iterate"}))
    with pytest.raises(GraphError, match="each.collection: 'iterate' needs collection"):
        graph.validate()


def test_ids_are_always_strings() -> None:
    with pytest.raises(GraphError, match="string"):
        Add(id=7)


@pytest.mark.parametrize(
    ("number", "text"), [(Integer(value=3), "3"), (Float(value=1.5), "1.5"), (Add(a=1, b=2), "3")], ids=repr
)
def test_a_number_that_arrives_at_a_text_arrives_as_the_text_of_it(number: Any, text: str) -> None:
    assert run(String(id="text", value=number)).value("text", "value") == text


def test_a_list_of_numbers_that_arrives_at_a_list_of_texts_arrives_as_texts() -> None:
    assert run(StringCollection(id="texts", collection=Range(stop=3))).value("texts", "collection") == ["0", "1", "2"]


@pytest.mark.parametrize("node_id", ["each[0]", "each[12,3]"])
def test_an_id_that_an_execution_of_another_node_has_is_refused(node_id: str) -> None:
    graph = Graph.of(Iterate(id="each", collection=[1, 2]), Add(id=node_id, a=1, b=2))
    with pytest.raises(GraphError, match="has the id of an execution of the node 'each' in an iteration; rename one"):
        graph.validate()
    with pytest.raises(GraphError, match="has the id of an execution"):
        Graph.from_json(graph.to_json())


@pytest.mark.parametrize("node_id", ["each[]", "each[x]", "[0]", "other[0]", "each[0,]", "each[-1]", "each[0]x"])
def test_other_ids_with_brackets_are_allowed(node_id: str) -> None:
    graph = Graph.of(Iterate(id="each", collection=[1, 2]), Add(id=node_id, a=1, b=2))
    assert Graph.from_json(graph.validate().to_json()) == graph


def test_nodes_that_were_linked_in_a_circle_are_all_named() -> None:
    one = Add(id="one")
    three = Add(id="three", a=Add(id="two", a=one))
    one.a = three.output("value")  # type: ignore[assignment]
    for target, shown in ((three, "three <- two <- one <- three"), (one, "one <- three <- two <- one")):
        with pytest.raises(GraphError, match=f"the edges form a cycle: {shown}; delete one of them"):
            Graph.of(target)
    alone = Add(id="alone")
    alone.b = alone.output("value")  # type: ignore[assignment]
    with pytest.raises(GraphError, match="the edges form a cycle: alone <- alone;"):
        Graph.of(alone)
