"""`studio.cache.forget(node)` forgets what a run of that node would find, and no other node's result."""

from typing import Any

from nbgraph import Graph, node
from nbgraph.invocations import Add, Iterate, Multiply, Range


def cached(studio, target):
    """Which nodes a run of the target would take from the cache."""
    reasons = studio.explain(target)
    return [source for source, will_run in zip(reasons.source, reasons.will_run) if not will_run]


def test_a_node_whose_result_an_equal_node_made_is_forgotten(studio):
    first, equal = Add(id="first", a=1, b=2), Add(id="equal", a=1, b=2)
    studio.run([first, equal], progress=False)
    assert studio.cache.forget(equal) == 1
    assert cached(studio, [first, equal]) == []


def test_forgetting_a_node_without_a_name_leaves_another_without_one(studio):
    one, other = Add(a=1, b=2), Add(a=3, b=4)
    studio.run(one, progress=False)
    studio.run(other, progress=False)
    assert studio.cache.forget(one) == 1
    assert studio.cache.forget(one) == 0
    assert cached(studio, other) == ["add"]


def test_all_runs_of_a_node_under_an_iteration_are_forgotten_and_what_was_computed_from_them(studio):
    each = Multiply(a=Iterate(collection=Range(stop=3)), b=10)
    target = Add(a=each, b=1)
    studio.run(target, progress=False)
    assert studio.cache.forget(each) == 6
    assert cached(studio, target) == ["range"]


def test_a_named_node_loses_what_it_made_with_other_values_too(studio):
    for number in (1, 2):
        studio.run(Add(id="sum", a=number), progress=False)
    assert studio.cache.forget(Add(id="sum", a=3)) == 2


def test_a_node_behind_one_that_is_never_cached_is_forgotten_by_its_id(studio):
    @node(type="test_never_cached", use_cache=False)
    def never_cached() -> int:
        return 4

    target = Add(a=never_cached(), b=1)
    studio.run(target, progress=False)
    assert studio.cache.forget(target) == 1


def test_a_node_that_is_linked_in_its_graph_only_is_forgotten_by_its_id(studio):
    each = Iterate(id="each")
    graph = Graph([Range(id="range", stop=3), each, Add(id="sum", a=each, b=1)])
    graph.add_edge("range.collection", "each.collection")
    studio.run(graph, progress=False)
    assert studio.cache.forget(graph["sum"]) == 3


def test_why_a_node_will_run_is_told_of_one_that_cannot_be_cached_as_well(studio):
    @node(type="test_takes_anything")
    def takes_anything(a: Any) -> int:
        return 1

    target = takes_anything(a=object(), id="node")
    assert (
        studio.explain(target).because[0] == "a object cannot be part of a cache key; set use_cache=False on the node"
    )
    assert studio.cache.forget(target) == 0
