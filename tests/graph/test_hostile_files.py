"""What a file may try: each is an error that says so, quickly, and nothing else happens."""

import json
import subprocess
import sys
from typing import Any

import pytest

from nbgraph.errors import GraphError
from nbgraph.services.shared.graph.graph import Graph


def refused(text: str | bytes) -> str:
    with pytest.raises(GraphError) as raised:
        Graph.from_json(text)
    message = str(raised.value)
    assert len(message) < 2000
    return message


@pytest.mark.parametrize(
    "text", ["", "x", "{", "[]", "3", "null", '"graph"', '{"nodes": [], "edges": {}}', b"\xff\xfe{"]
)
def test_what_is_no_graph_is_refused(text: str | bytes) -> None:
    refused(text)


def test_nesting_a_million_deep_is_refused() -> None:
    assert "nested too deeply" in refused("[" * 10**6)
    assert "nested too deeply" in refused('{"a":' * 10**6)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "-1e999"])
def test_numbers_that_are_not_finite_are_refused(number: str) -> None:
    refused('{"nodes": {"x": {"type": "float", "value": ' + number + '}}, "edges": []}')


def test_numbers_of_too_many_digits_are_refused() -> None:
    refused('{"nodes": {"x": {"type": "integer", "value": ' + "9" * 100_000 + '}}, "edges": []}')


def test_a_key_that_stands_twice_is_refused() -> None:
    assert "'x' occurs twice" in refused('{"nodes": {"x": {"type": "add"}, "x": {"type": "add"}}, "edges": []}')


@pytest.mark.parametrize("place", ["value", "key", "id"])
def test_half_of_a_surrogate_pair_is_refused_and_a_whole_one_is_read(place: str) -> None:
    def document(text: str) -> str:
        value = {"value": text, "key": {text: 1}, "id": 1}[place]
        node = {"type": "if", "condition": True, "true_input": value}
        return json.dumps({"id": text if place == "id" else "graph", "nodes": {"x": node}, "edges": []})

    assert "half of a surrogate pair" in refused(document("\ud83c"))
    assert "half of a surrogate pair" in refused(document("\ud83c").replace("\\ud83c", "\\uD83C"))
    assert "\U0001f34e" in Graph.from_json(document("\U0001f34e")).to_json()


@pytest.mark.parametrize(
    "name", ["os.system", "nbgraph.invocations.math:Add", "__class__", "../x", "<img src=x onerror=alert(1)>", "Add"]
)
def test_an_unknown_type_is_never_imported(name: str) -> None:
    before = set(sys.modules)
    assert "no node of type" in refused(json.dumps({"nodes": {"x": {"type": name}}, "edges": []}))
    assert set(sys.modules) == before


@pytest.mark.parametrize("node", [3, None, [], "add", {}, {"type": 3}, {"type": None}, {"type": "add", "id": "other"}])
def test_what_is_no_node_is_refused_by_name(node: Any) -> None:
    assert refused(json.dumps({"nodes": {"x": node}, "edges": []})).startswith("x")


TARGET = {"node_id": "x", "field": "a"}


@pytest.mark.parametrize("bad", [3, None, {}, [], {"source": 1, "destination": 2}, {"destination": TARGET},
                                 {"source": {"node_id": 1, "field": "a"}, "destination": TARGET},
                                 {"source": {"node_id": "x"}, "destination": TARGET}])  # fmt: skip
def test_what_is_no_edge_is_refused_by_its_number(bad: Any) -> None:
    assert "edge 0" in refused(json.dumps({"nodes": {"x": {"type": "add"}}, "edges": [bad]}))


def test_a_value_cannot_stand_for_an_edge() -> None:
    node = {"type": "add", "a": {"node": "x", "field": "value"}}
    assert "x.a" in refused(json.dumps({"nodes": {"x": node}, "edges": []}))


LIBRARY: dict[str, Any] = {
    "name": "library",
    "graph": {"nodes": {"sum": {"type": "add", "a": 1, "b": 2}}, "edges": []},
    "inputs": [{"alias": "number", "node": "sum", "field": "a"}],
    "outputs": [{"alias": "result", "node": "sum", "field": "value"}],
}


@pytest.mark.parametrize("part", ["alias", "node", "field"])
@pytest.mark.parametrize("exposed", ["inputs", "outputs"])
@pytest.mark.parametrize("junk", [None, 3, 1.5, True, [], ["x"], {}])
def test_what_a_library_graph_exposes_is_refused_unless_it_is_named_by_texts(
    part: str, exposed: str, junk: Any
) -> None:
    library = {**LIBRARY, exposed: [{**LIBRARY[exposed][0], part: junk}]}
    node = {"type": "graph", "library": library}
    assert "not a library graph" in refused(json.dumps({"nodes": {"x": node}, "edges": []}))


@pytest.mark.parametrize("part", ["name", "description", "id"])
def test_a_library_graph_with_text_that_no_file_can_hold_is_refused(part: str) -> None:
    node = {"type": "graph", "library": {**LIBRARY, part: "half of a pair: \ud800"}}
    with pytest.raises(GraphError, match="half of a surrogate pair"):
        Graph.from_dict({"nodes": {"x": node}, "edges": []})


GOOD_NOTE = {"kind": "comment", "text": "hello", "x": 1, "y": 2, "width": 30, "height": 40}
DAMAGED_LAYOUTS: list[Any] = [
    *[{"nodes": junk} for junk in (None, 3, [], "x", {"sum": None}, {"sum": []}, {"sum": 3})],
    *[{"nodes": {"sum": {"x": junk, "y": 1.0}}} for junk in (None, "", "1", [], {}, True, 1e300, 10**400)],
    *[{"notes": junk} for junk in (None, 3, [], {"n": None}, {"n": []}, {"n": {}})],
    *[{"notes": {"n": {**GOOD_NOTE, part: None}}} for part in ("text", "x", "y", "width", "height")],
    {"notes": {"n": {**GOOD_NOTE, "text": "\ud800"}}},
    {"nodes": {"\ud800": {"x": 1, "y": 2}}},
    *[{"unknown": junk} for junk in (None, 3, [], {"u": None}, {"u": {"data": 3, "edges": []}}, {"u": {"data": {}}})],
]


@pytest.mark.parametrize("layout", DAMAGED_LAYOUTS)
def test_a_damaged_layout_is_left_out_and_the_graph_is_drawn_without_it(layout: Any) -> None:
    nodes = {"sum": {"type": "add", "a": 1}}
    graph = Graph.from_dict({"id": "graph", "nodes": nodes, "edges": [], "layout": {**layout, "kept": {"zoom": 1}}})
    assert graph.layout in ({"kept": {"zoom": 1}}, {})
    assert graph.show().svg == Graph.from_dict({"id": "graph", "nodes": nodes, "edges": []}).show().svg
    assert Graph.from_json(graph.to_json()) == graph


def test_only_the_damaged_parts_of_a_layout_are_left_out() -> None:
    places = {"sum": {"x": 1.0, "y": 2.0, "collapsed": True}, "other": {"x": "left", "y": 2.0}}
    layout = {"nodes": places, "notes": {"good": GOOD_NOTE, "bad": {**GOOD_NOTE, "x": "left"}}}
    graph = Graph.from_dict({"nodes": {"sum": {"type": "add"}}, "edges": [], "layout": layout})
    assert graph.layout == {"nodes": {"sum": places["sum"]}, "notes": {"good": GOOD_NOTE}}


def test_thousands_of_problems_are_told_in_a_message_of_one_screen() -> None:
    nodes = {f"n{i}": {"type": "<b>nothing</b>" * 3} for i in range(5000)}
    with pytest.raises(GraphError) as raised:
        Graph.from_dict({"nodes": nodes, "edges": []})
    assert len(raised.value.problems) == 5000
    assert len(str(raised.value).splitlines()) < 30


def test_a_file_that_is_too_long_is_not_read() -> None:
    assert "a graph has at most" in refused(b" " * (64 * 2**20 + 1))


def test_graphs_are_checked_in_optimised_python_as_well() -> None:
    code = """
from nbgraph.errors import GraphError
from nbgraph.invocations import Add, Collect, Integer, Iterate, String
from nbgraph.services.shared.graph.edges import edge
from nbgraph.services.shared.graph.graph import Graph
graph = Graph([String(id="text"), Add(id="sum"), Add(id="next")])
graph.add_edge(edge("sum.value", "next.a"))
for source, target in [("text.value", "sum.a"), ("next.value", "sum.a"), ("sum.value", "next.a"), ("x.y", "z.a")]:
    try:
        graph.add_edge(edge(source, target))
    except GraphError:
        continue
    raise SystemExit(f"{source} -> {target} was accepted")
raise SystemExit(0 if Graph([Iterate(id="each")]).problems() else "an open input was accepted")
"""
    done = subprocess.run([sys.executable, "-O", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
