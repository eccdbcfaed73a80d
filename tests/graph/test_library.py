"""Graphs as nodes: exposed names are fields, inner nodes run in their place, at any depth that is allowed."""

import json
import subprocess
import sys
from typing import Any

import pytest

from nbgraph.errors import GraphError
from nbgraph.invocations import Add, BooleanCollection, Collect, Divide, If, Integer, Iterate, Multiply, Range
from nbgraph.services.shared.default_graphs import default_graphs
from nbgraph.services.shared.graph.edges import edge
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.expand import MAX_DEPTH
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.library import Exposed, LibraryGraph
from tests.graph.running import run


def double_and_add() -> LibraryGraph:
    """number * 2 + more"""
    inner = Graph.of(Add(id="sum", a=Multiply(id="double", a=1, b=2), b=0))
    inputs = [Exposed("number", "double", "a"), Exposed("more", "sum", "b")]
    return LibraryGraph("double and add", inner, inputs, [Exposed("result", "sum", "value")], "Doubles.")


DoubleAndAdd = double_and_add().node_class()


def nested(depth: int) -> LibraryGraph:
    """That many graphs in one another around a sum."""
    library = LibraryGraph(
        "level", Graph.of(Add(id="sum", a=1)), [Exposed("a", "sum", "a")], [Exposed("value", "sum", "value")]
    )
    for _ in range(depth - 1):
        inner = Graph([library.node_class()(id="inner")])
        library = LibraryGraph("level", inner, [Exposed("a", "inner", "a")], [Exposed("value", "inner", "value")])
    return library


def test_what_is_exposed_can_be_given_as_names_and_addresses() -> None:
    library, inner = double_and_add(), double_and_add().graph
    short = LibraryGraph("short", inner, {"number": "double.a", "more": "sum.b"}, {"result": "sum.value"})
    assert (short.inputs, short.outputs) == (library.inputs, library.outputs)
    for inputs, outputs in [({"number": "double"}, {}), ({}, {"result": "sum"}), ({"number": 3}, {})]:
        with pytest.raises(GraphError, match="edge (source|destination)"):
            LibraryGraph("bad", inner, inputs, outputs)


def test_exposed_names_are_the_fields_of_the_node() -> None:
    assert list(DoubleAndAdd.inputs()) == ["number", "more"]
    assert DoubleAndAdd.outputs() == {"result": int}
    assert DoubleAndAdd.inputs()["number"].default == 1


def test_the_inner_nodes_run_under_the_name_of_the_outer() -> None:
    ran = run(Add(id="end", a=DoubleAndAdd(id="graph", number=Integer(id="n", value=5), more=1), b=1))
    assert ran.order == ["n", "graph.double", "graph.sum", "end"]
    assert ran.value("graph", "result") == 11
    assert ran.value("end", "value") == 12
    assert ran.session.status == "completed"


def test_defaults_are_those_of_the_inner_nodes() -> None:
    assert run(DoubleAndAdd(id="graph")).value("graph", "result") == 2


def test_a_graph_can_be_used_twice_and_iterated() -> None:
    item = Iterate(collection=Range(stop=3))
    twice = DoubleAndAdd(id="second", number=DoubleAndAdd(id="first", number=item), more=1)
    ran = run(Collect(item=twice))
    assert ran.value("collect", "collection") == [1, 5, 9]
    assert ran.values("first", "result") == [0, 2, 4]


def test_a_graph_is_a_target_by_its_outputs() -> None:
    ran = run(Graph([DoubleAndAdd(id="graph"), Integer(id="other")]), targets=["graph"])
    assert ran.order == ["graph.double", "graph.sum"]


def test_graphs_are_nested() -> None:
    ran = run(nested(3).node_class()(id="top", a=41))
    assert ran.order == ["top.inner.inner.sum"]
    assert ran.value("top", "value") == 41
    assert ran.value("top.inner", "value") == 41


def test_a_graph_with_graphs_comes_back_from_json() -> None:
    graph = Graph.of(Add(id="end", a=nested(3).node_class()(id="top", a=4)))
    again = Graph.from_json(graph.to_json())
    assert again == graph
    assert run(again).value("end", "value") == 4


def ten_times() -> LibraryGraph:
    """(1 + 2) * 10, with the sum, which is linked inside, exposed as `over`."""
    inner = Graph.of(Multiply(id="product", a=Add(id="sum", a=1, b=2), b=10))
    return LibraryGraph("ten times", inner, [Exposed("over", "product", "a")], [Exposed("out", "product", "value")])


def around(library: LibraryGraph) -> LibraryGraph:
    """A library graph that holds another one with these names, and exposes the same."""
    inner = Graph([library.node_class()(id="inner")])
    return LibraryGraph("around", inner, [Exposed("over", "inner", "over")], [Exposed("out", "inner", "out")])


LINKED_INSIDE = [ten_times(), around(ten_times()), around(around(ten_times()))]


@pytest.mark.parametrize("library", LINKED_INSIDE)
def test_an_exposed_input_that_is_linked_inside_stays_linked_in_files(library: LibraryGraph) -> None:
    graph = Graph([library.node_class()(id="graph")])
    again = Graph.from_json(graph.to_json())
    assert again == graph
    assert run(again).value("graph", "out") == 30
    assert run(GraphExecutionState.from_dict(GraphExecutionState(again).to_dict()).graph).value("graph", "out") == 30
    assert run(LibraryGraph.from_dict(library.to_dict()).node_class()(id="graph")).value("graph", "out") == 30


@pytest.mark.parametrize("library", LINKED_INSIDE)
def test_a_value_takes_the_place_of_an_edge_inside_and_none_gives_it_back(library: LibraryGraph) -> None:
    graph = Graph([library.node_class()(id="graph", over=4)])
    assert run(Graph.from_json(graph.to_json())).value("graph", "out") == 40
    graph.update_node("graph", over=None)
    assert run(Graph.from_json(graph.to_json())).value("graph", "out") == 30
    graph.update_node("graph", over=Integer(id="n", value=5))
    assert run(Graph.from_json(graph.to_json())).value("graph", "out") == 50


def test_an_exposed_input_that_takes_many_edges_does_so_also_if_it_is_linked_inside() -> None:
    inner = Graph.of(Collect(id="all", item=Integer(id="one", value=1)))
    library = LibraryGraph("all", inner, [Exposed("items", "all", "item")], [Exposed("found", "all", "collection")])
    assert run(library.node_class()(id="graph")).value("graph", "found") == [1]
    two = library.node_class()(id="graph", items=[Integer(id="two", value=2), Integer(id="three", value=3)])
    assert run(Graph.from_json(Graph.of(two).to_json())).value("graph", "found") == [2, 3]


def built(graph: Graph) -> Graph:
    """What the code that a graph is written as gives, run by itself, with the id of that graph."""
    scope: dict[str, Any] = {}
    exec(graph.to_python(), scope)  # noqa: S102
    scope["graph"].id = graph.id
    return scope["graph"]


@pytest.mark.parametrize("library", [double_and_add(), nested(3), *LINKED_INSIDE, *default_graphs()])
def test_the_python_of_a_graph_node_builds_it(library: LibraryGraph) -> None:
    graph = Graph([library.node_class()(id="graph", is_intermediate=True)])
    assert built(graph).to_dict() == graph.to_dict()


def test_the_python_of_linked_graph_nodes_makes_each_library_graph_once() -> None:
    first = DoubleAndAdd(id="first", number=Integer(id="DoubleAndAdd", value=3))
    graph = Graph.of(Add(id="end", a=DoubleAndAdd(id="second", number=first, more=4), b=1))
    assert graph.to_python().count("from_dict") == 1
    assert built(graph).to_dict() == graph.to_dict()
    assert run(built(graph)).value("end", "value") == 17


@pytest.mark.parametrize("name", ["add", "graph", "LibraryGraph", "2nd", "none", "日本", "!", "², a\n'\"\\"])
def test_the_python_of_a_library_graph_with_any_name_builds_it(name: str) -> None:
    library = LibraryGraph(name, Graph([Add(id="sum")]), [Exposed("number", "sum", "a")], description=name * 100)
    graph = Graph.of(library.node_class()(id="graph", number=Add(id="add", a=1, b=1)))
    assert built(graph).to_dict() == graph.to_dict()


def test_a_library_graph_comes_back_from_json() -> None:
    again = LibraryGraph.from_dict(json.loads(json.dumps(double_and_add().to_dict())))
    assert run(again.node_class()(id="graph", number=3)).value("graph", "result") == 6


def test_inner_fields_are_reached_by_their_path() -> None:
    graph = Graph([DoubleAndAdd(id="graph", number=3)])
    changed = graph.with_values({"graph.double.b": 10, "graph.number": 2, "graph.sum.b": 1})
    assert run(changed).value("graph", "result") == 21
    assert run(graph).value("graph", "result") == 6


def test_fields_of_nested_graphs_are_reached_by_their_path() -> None:
    graph = Graph([nested(3).node_class()(id="top")])
    assert run(graph.with_values({"top.inner.inner.sum.b": 6})).value("top", "value") == 7


def test_a_wrong_inner_address_tells_the_whole_path() -> None:
    graph = Graph([DoubleAndAdd(id="graph")])
    with pytest.raises(GraphError, match="graph.double.c: 'mul' has no input 'c'"):
        graph.with_values({"graph.double.c": 10})
    with pytest.raises(GraphError, match="no node 'duoble'"):
        graph.with_values({"graph.duoble.b": 10})


def test_a_problem_inside_is_told_with_its_path() -> None:
    inner = Graph([Iterate(id="each")])
    node = LibraryGraph("open", inner, [], [Exposed("item", "each", "item")]).node_class()(id="outer")
    assert [str(found) for found in Graph([node]).problems()][0].startswith("outer.each.collection: 'iterate' needs")


def test_an_exposed_input_that_must_be_given_is_missing_on_the_outer_node() -> None:
    library = LibraryGraph("open", Graph([Iterate(id="each")]), [Exposed("items", "each", "collection")])
    assert [(found.node, found.field) for found in Graph([library.node_class()(id="outer")]).problems()] == [
        ("outer", "items")
    ]


@pytest.mark.parametrize("alias", ["id", "type", "use_cache", "library", "invoke", "model_dump"])
def test_a_name_that_a_node_uses_itself_cannot_be_exposed(alias: str) -> None:
    with pytest.raises(GraphError, match=f"bad.{alias}: '{alias}' cannot be the name.*uses it itself; choose another"):
        LibraryGraph("bad", Graph([Add(id="sum")]), [Exposed(alias, "sum", "a")])


@pytest.mark.parametrize("alias", ["class", "None", "not a name", "2nd", "_hidden", ""])
def test_what_is_no_name_in_python_cannot_be_exposed(alias: str) -> None:
    for inputs, outputs in (([Exposed(alias, "sum", "a")], []), ([], [Exposed(alias, "sum", "value")])):
        with pytest.raises(GraphError, match=f"'{alias}' cannot be the name.*no keyword.*choose another"):
            LibraryGraph("bad", Graph([Add(id="sum")]), inputs, outputs)


@pytest.mark.parametrize("alias", ["main_field", "model_dump"])
def test_a_name_that_an_output_uses_itself_cannot_be_exposed(alias: str) -> None:
    with pytest.raises(GraphError, match="uses it itself"):
        LibraryGraph("bad", Graph([Add(id="sum")]), [], [Exposed(alias, "sum", "value")])


def test_all_that_is_wrong_with_what_is_exposed_is_told_at_once() -> None:
    exposed = [Exposed("a", "sum", "a"), Exposed("a", "sum", "b"), Exposed("c", "smu", "a"), Exposed("d", "sum", "x")]
    with pytest.raises(GraphError) as raised:
        LibraryGraph("bad", Graph([Add(id="sum")]), exposed)
    assert [found.kind for found in raised.value.problems] == ["bad_alias", "unknown_node", "unknown_field"]


def test_an_inner_input_has_one_name() -> None:
    with pytest.raises(GraphError, match="sum.a has another name already"):
        LibraryGraph("bad", Graph([Add(id="sum")]), [Exposed("x", "sum", "a"), Exposed("y", "sum", "a")])


def either() -> LibraryGraph:
    """An `if`, the nodes of its two branches, and a quotient."""
    inner = Graph.of(
        If(id="if", true_input=Add(id="yes", a=1, b=1), false_input=Add(id="no", a=2, b=2), condition=True),
        Divide(id="quotient", a=1),
    )
    ends = {"taken": "if", "yes": "yes", "no": "no", "quotient": "quotient"}
    outputs = [Exposed(alias, node, "value") for alias, node in ends.items()]
    return LibraryGraph("either", inner, [Exposed("way", "if", "condition"), Exposed("by", "quotient", "b")], outputs)


def test_a_graph_gives_what_there_is_when_a_branch_is_skipped_or_a_node_fails() -> None:
    ran = run(Graph([around_either().node_class()(id="graph", by=0)]), on_error="continue")
    assert ran.session.outputs_of("graph")[()].model_dump() == {"taken": 2, "yes": 2}
    with pytest.raises(AttributeError, match=r"no 'no' here: graph\.inner\.no: its branch was not taken"):
        ran.value("graph", "no")
    with pytest.raises(AttributeError, match=r"no 'quotient' here: graph\.inner\.quotient: .*zero"):
        ran.value("graph", "quotient")


def around_either() -> LibraryGraph:
    """`either` in a library graph that exposes the same."""
    library = either()
    inner = Graph([library.node_class()(id="inner")])
    inputs = [Exposed(one.alias, "inner", one.alias) for one in library.inputs]
    return LibraryGraph("around", inner, inputs, [Exposed(one.alias, "inner", one.alias) for one in library.outputs])


def test_what_a_graph_computes_once_stands_beside_each_of_what_it_iterates() -> None:
    ways = Iterate(collection=BooleanCollection(collection=[True, False]))
    ran = run(either().node_class()(id="graph", way=ways, by=2))
    assert [found.model_dump() for found in ran.session.outputs_of("graph").values()] == [
        {"taken": 2, "yes": 2, "no": 4, "quotient": 0},
        {"taken": 4, "yes": 2, "no": 4, "quotient": 0},
    ]


def test_what_a_graph_computes_once_is_there_when_all_iterations_fail() -> None:
    ran = run(either().node_class()(id="graph", by=Iterate(collection=Range(stop=1))), on_error="continue")
    assert {path: found.model_dump() for path, found in ran.session.outputs_of("graph").items()} == {
        (): {"taken": 2, "yes": 2}
    }


def test_an_inner_node_does_not_hide_a_node_of_the_same_name() -> None:
    graph = Graph([DoubleAndAdd(id="graph"), Integer(id="graph.sum")])
    assert [found.kind for found in graph.problems()] == ["duplicate_id"]


def test_graphs_nested_too_deep_are_refused() -> None:
    node = nested(MAX_DEPTH + 1).node_class()(id="top")
    assert [found.kind for found in Graph([node]).problems()] == ["too_deep"]


def test_a_file_with_graphs_nested_too_deep_is_refused_before_it_is_read() -> None:
    data: dict[str, object] = {"nodes": {}, "edges": []}
    for _ in range(300):
        data = {"nodes": {"g": {"type": "graph", "library": {"name": "x", "graph": data}}}, "edges": []}
    with pytest.raises(GraphError, match="nested more than 32 deep"):
        Graph.from_dict(data)


@pytest.mark.parametrize("library", [None, 3, {}, {"name": "x"}, {"name": "x", "graph": 3}, {"name": "x", "graph": {},
                                     "inputs": [{"alias": "a"}]}])  # fmt: skip
def test_a_graph_node_without_a_graph_is_refused(library: object) -> None:
    with pytest.raises(GraphError):
        Graph.from_dict({"nodes": {"g": {"type": "graph", "library": library}}, "edges": []})


def test_edges_reach_exposed_inputs_from_files_too() -> None:
    graph = Graph([DoubleAndAdd(id="graph"), Integer(id="n", value=4)])
    graph.add_edge(edge("n.value", "graph.number"))
    assert run(Graph.from_json(graph.to_json())).value("graph", "result") == 8


def test_an_exposed_name_that_python_reads_as_another_one_is_refused() -> None:
    inner = Graph.of(Add(id="sum", a=1, b=2))
    with pytest.raises(GraphError, match="'\ufb01rst' cannot be the name.*Python reads it as 'first'; choose another"):
        LibraryGraph("bad", inner, {"\ufb01rst": "sum.a"})


def test_a_file_with_a_graph_node_is_read_before_anything_else_was_imported() -> None:
    text = Graph([DoubleAndAdd(id="graph")]).to_json()
    code = "import sys; from nbgraph import Graph; print(*Graph.from_json(sys.stdin.read()))"
    done = subprocess.run([sys.executable, "-c", code], input=text, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("graph\n", "")
