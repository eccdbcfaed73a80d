"""Circles are found as edges come, whatever was added, linked in Python, updated and deleted before."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbgraph.errors import GraphError
from nbgraph.invocations import Add
from nbgraph.services.shared.graph.edges import Connection, Edge, edge
from nbgraph.services.shared.graph.graph import Graph

IDS = [f"n{number}" for number in range(8)]
KINDS = ["link", "link", "link", "add", "update", "cut", "delete", "copy"]
ids = st.sampled_from(IDS)
steps = st.lists(
    st.tuples(st.sampled_from(KINDS), ids, ids),
    max_size=40,
)


def needs(graph: Graph, start: str) -> set[str]:
    """The plain answer: a node and everything it needs."""
    found = {start}
    waiting = [start]
    while waiting:
        for link in graph.links(waiting.pop()):
            if link.source not in found:
                found.add(link.source)
                waiting.append(link.source)
    return found


@settings(max_examples=300, deadline=None)
@given(steps)
def test_an_edge_is_refused_as_a_circle_exactly_if_its_source_needs_its_target(steps):
    graph = Graph([Add(id=node_id) for node_id in IDS])
    for what, one, other in steps:
        if what == "add" and one not in graph:
            graph.add_node(Add(id=one, a=graph[other]) if other in graph else Add(id=one))
        elif what == "delete" and one in graph:
            graph.delete_node(one)
        elif what == "copy":
            graph = graph.copy()
        elif one in graph and other in graph and one != other:
            closes = other in needs(graph, one)
            filled = {link.field for link in graph.links(other)}
            free = next((field for field in ("a", "b") if field not in filled), None)
            if what == "update":
                assert closes == is_refused(graph.update_node, other, a=graph[one])
            elif what == "cut":
                graph.delete_edge(Edge(Connection(one, "value"), Connection(other, "a")))
            elif free is not None:
                new = Edge(Connection(one, "value"), Connection(other, free))
                assert closes == is_refused(graph.add_edge, new)
        assert not [problem for problem in graph.problems() if problem.kind == "cycle"]


def is_refused(change: Callable, *arguments: Any, **values: Any) -> bool:
    try:
        change(*arguments, **values)
    except GraphError:
        return True
    return False


def test_a_circle_through_nodes_linked_in_python_is_refused():
    graph = Graph([Add(id="x"), Add(id="y")], [edge("x.value", "y.a")])
    first = Add(id="first")
    graph.add_node(Add(id="second", a=first))
    graph.add_edge(edge("x.value", "second.b"))
    with pytest.raises(GraphError, match="closes a cycle: first -> second -> first"):
        graph.add_edge(edge("second.value", "first.a"))


def test_many_edges_that_lead_backward_leave_room_for_more():
    graph = Graph([Add(id=str(number)) for number in range(400)])
    for number in range(399):
        graph.add_edge(edge(f"{number + 1}.value", f"{number}.a"))
    with pytest.raises(GraphError, match="cycle"):
        graph.add_edge(edge("0.value", "399.a"))
