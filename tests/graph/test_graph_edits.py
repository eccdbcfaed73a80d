"""Building and editing a graph: in Python, by hand, and never half."""

import copy
import gc
import sys
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from nbgraph.errors import GraphError, NotFoundError
from nbgraph.invocations import Add, Collect, Integer, Iterate, Multiply, Range, String
from nbgraph.invocations.base import BaseInvocation, invocation
from nbgraph.services.shared.graph.edges import edge
from nbgraph.services.shared.graph.graph import Graph
from tests.graph.running import run


def linked() -> Graph:
    """one -> double -> sum"""
    one = Integer(id="one", value=1)
    return Graph.of(Add(id="sum", a=Multiply(id="double", a=one, b=2), b=one))


def test_a_graph_has_all_that_its_targets_need_in_the_order_in_which_it_can_run() -> None:
    assert list(linked()) == ["one", "double", "sum"]


def test_nodes_without_an_id_are_numbered_by_their_type() -> None:
    graph = Graph([Add(), Add(), Integer(), Add()])
    assert list(graph) == ["add", "add_2", "integer", "add_3"]


def test_the_same_id_for_two_nodes_is_refused_and_nothing_changes() -> None:
    graph = linked()
    with pytest.raises(GraphError, match="one: two different nodes have this id"):
        graph.add_node(Add(id="new", a=Add(id="other", a=Integer(id="one"))))
    assert list(graph) == ["one", "double", "sum"]


def test_an_id_made_from_the_type_leaves_the_one_that_a_later_node_was_given() -> None:
    first = Add()
    later = Multiply(id="add", a=first)
    graph = Graph.of(later)
    assert graph["add"] is later
    assert graph.id_of(first) == "add_2"


def test_nodes_linked_in_a_circle_in_python_are_named() -> None:
    first = Add(id="first")
    second = Add(id="second", a=first)
    first.a = second  # type: ignore[assignment]
    graph = Graph()
    with pytest.raises(GraphError, match="first <- second <- first|second <- first <- second"):
        graph.add_node(second)
    assert len(graph) == 0


def test_an_output_given_by_name_must_fit_the_input() -> None:
    text = String(id="text")
    with pytest.raises(GraphError, match="takes int, and text.value is str"):
        Graph.of(Add(id="sum", a=text.output("value"))).validate()


def test_updating_a_node_gives_it_values_and_takes_its_edges_there() -> None:
    graph = linked()
    graph.update_node("sum", a=5)
    assert [str(found) for found in graph.edges] == ["one.value -> double.a", "one.value -> sum.b"]
    assert run(graph).value("sum", "value") == 6


@pytest.mark.parametrize("given", ["one", "new", None])
def test_a_node_keeps_its_id_and_another_one_is_refused_in_every_way_of_giving_values(given: str | None) -> None:
    graph, before = linked(), linked().to_dict()["nodes"]
    graph.update_node("sum", id="sum")
    with pytest.raises(GraphError, match=f"sum.id: a node keeps its id, and {given!r} was given; add a node"):
        graph.update_node("sum", id=given, b=Integer(id="three", value=3))
    with pytest.raises(GraphError, match="sum.id: a node keeps its id"):
        graph.with_values({"sum.id": given})
    assert graph.to_dict()["nodes"] == before


def test_updating_a_node_can_link_it_to_new_nodes() -> None:
    graph = linked()
    graph.update_node("double", b=Integer(id="new", value=7))
    assert run(graph).value("sum", "value") == 8


def test_an_update_that_closes_a_circle_is_refused_and_nothing_changes() -> None:
    graph = linked()
    before = graph.to_json()
    with pytest.raises(GraphError, match="closes a cycle"):
        graph.update_node("double", b=Add(id="new", a=graph["sum"]))
    assert graph.to_json() == before
    assert "new" not in graph


def test_an_update_with_a_bad_value_changes_nothing() -> None:
    graph = linked()
    before = graph.to_json()
    with pytest.raises(GraphError, match="sum.b: input should be a valid integer"):
        graph.update_node("sum", a=1, b="much")
    assert graph.to_json() == before


def test_a_node_handed_in_stays_known_after_it_was_updated() -> None:
    node = Integer(value=1)
    graph = Graph([node])
    graph.update_node(node, value=2)
    assert graph.id_of(node) == "integer"
    assert run(graph).value("integer", "value") == 2


def test_deleting_a_node_takes_its_edges_and_what_needed_it_is_open_again() -> None:
    graph = Graph.of(Collect(id="all", item=Iterate(id="each", collection=Range(id="range"))))
    graph.delete_node("range")
    assert graph.edges == [edge("each.item", "all.item")]
    assert [(found.kind, found.node) for found in graph.problems()] == [("missing_input", "each")]


def test_an_input_whose_edge_was_deleted_has_its_default() -> None:
    graph = linked()
    graph.delete_edge(edge("one.value", "sum.b"))
    assert graph.problems() == []
    assert run(graph).value("sum", "value") == 2


def test_one_of_several_edges_into_a_collect_can_be_deleted() -> None:
    graph = Graph.of(Collect(id="all", item=[Integer(id="x", value=1), Integer(id="y", value=2)]))
    graph.delete_edge(edge("x.value", "all.item"))
    assert run(graph).value("all", "collection") == [2]


def test_a_node_that_is_not_there_is_named_with_the_nearest() -> None:
    with pytest.raises(NotFoundError, match="no node 'doubel'; did you mean 'double'"):
        linked().delete_node("doubel")


def test_other_values_make_another_graph() -> None:
    graph = linked()
    assert run(graph.with_values({"one.value": 10, "sum.b": 1})).value("sum", "value") == 21
    assert run(graph).value("sum", "value") == 3


def test_all_wrong_addresses_are_told_at_once() -> None:
    with pytest.raises(GraphError) as raised:
        linked().with_values({"noe.value": 1, "sum.c": 1, "sum": 2, "one.value": "x"})
    assert [found.kind for found in raised.value.problems] == [
        "unknown_node", "unknown_node", "bad_value", "unknown_field"
    ] or len(raised.value.problems) == 4  # fmt: skip


@pytest.mark.parametrize("copied", [Graph.copy, copy.copy, copy.deepcopy])
def test_a_copy_is_edited_apart(copied: Callable[[Graph], Graph]) -> None:
    graph = linked()
    other = copied(graph)
    assert other == graph
    other.delete_node("sum")
    other.add_node(Integer(id="new"))
    assert list(graph) == ["one", "double", "sum"]
    assert len(graph.edges) == 3


def test_a_deep_copy_has_nodes_of_its_own_that_are_linked_to_one_another() -> None:
    graph = linked()
    other = copy.deepcopy(graph)
    other["one"].value = 5  # type: ignore[attr-defined]
    assert [run(each).value("sum", "value") for each in (graph, other)] == [3, 15]
    assert other.id_of(other["double"].links()[0][1].node) == "one"


def test_a_graph_comes_back_from_json_and_from_its_python_code() -> None:
    graph = linked()
    assert Graph.from_json(graph.to_json()) == graph
    names: dict[str, Graph] = {}
    code = graph.to_python().replace("from nbgraph import Graph\n", "")
    exec(code, {"Graph": Graph}, names)  # noqa: S102
    assert names["graph"].to_dict()["nodes"] == graph.to_dict()["nodes"]
    assert set(names["graph"].edges) == set(graph.edges)


def test_the_python_code_tells_classes_of_one_name_from_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    classes = []
    for number, module in enumerate(["first_nodes", "second_nodes", "__main__"]):

        @invocation(f"same_name_{number}", title="Same", category="test", version="1.0.0")
        class Same(BaseInvocation):
            __module__ = module
            value: int = 0

        if module != "__main__":
            monkeypatch.setitem(sys.modules, module, ModuleType(module))
        monkeypatch.setattr(sys.modules[module], "Same", Same, raising=False)
        classes.append(Same)
    graph = Graph([cls(id=f"Same_{number}", value=number) for number, cls in enumerate(classes)])
    names: dict[str, Any] = {"Same": classes[2]}
    exec(graph.to_python(), names)  # noqa: S102
    assert [type(names["graph"][node_id]) for node_id in graph] == classes
    assert names["graph"].to_dict()["nodes"] == graph.to_dict()["nodes"]


LONG = 5_000


def test_a_chain_longer_than_any_stack_is_built_saved_loaded_run_printed_and_forgotten() -> None:
    assert sys.getrecursionlimit() < LONG
    node = Add(a=1)
    alive = weakref.ref(node)
    for _ in range(LONG):
        node = Add(a=node, b=1)
    graph = Graph.from_json(Graph.of(node).to_json())
    ran = run(graph)
    assert ran.value(ran.order[-1], "value") == LONG + 1
    assert "Ref" in repr(node)
    assert len(Graph.of(node).to_python()) > LONG
    Graph.of(node).copy().delete_node(ran.order[0])
    del node, graph, ran
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize("before", [[], [Integer(id="before")]])
def test_an_interrupt_while_nodes_are_added_leaves_the_graph_as_it_was(before, monkeypatch) -> None:
    def interrupted(*_: object) -> str:
        raise KeyboardInterrupt

    graph = Graph(before)
    unnamed = Add(a=Add(id="b", a=Add(id="a")))
    with monkeypatch.context() as patched:
        patched.setattr("nbgraph.services.shared.graph.nodes_and_edges.free_id", interrupted)
        with pytest.raises(KeyboardInterrupt):
            graph.add_node(unnamed)
    assert list(graph) == [node.id for node in before]
    graph.add_node(unnamed)
    assert list(graph) == [*[node.id for node in before], "a", "b", "add"]
    assert unnamed in graph
    assert len(graph.edges) == 2


def test_a_graph_ends_in_the_nodes_that_no_edge_leaves() -> None:
    graph = Graph.of(Add(id="last", a=Add(id="first")), Add(id="alone"))
    assert graph.ends == ["last", "alone"]
    graph.delete_edge("first.value", "last.a")
    assert graph.ends == ["first", "last", "alone"]
