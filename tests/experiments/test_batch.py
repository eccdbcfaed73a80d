"""A batch: zipped inside, multiplied outside, repeated; made one at a time, and checked as a whole before."""

from itertools import islice
from typing import Any

import pytest

from nbgraph.errors import GraphError
from nbgraph.experiments.batch import Batch, BatchDatum
from nbgraph.invocations import Add, Integer, RandomRange, String
from nbgraph.services.shared.graph.graph import Graph
from tests.graph.running import run


@pytest.fixture
def graph() -> Graph:
    return Graph([Add(id="sum", a=0, b=0), String(id="text"), RandomRange(id="random")])


def rows(batch: Batch) -> list[tuple[Any, ...]]:
    return [tuple(values.values()) for values, _ in batch]


def test_inner_lists_are_zipped_and_outer_lists_multiplied(graph: Graph) -> None:
    pairs = [BatchDatum("sum.a", [1, 2]), BatchDatum("text.value", ["x", "y"])]
    batch = Batch(graph, [pairs, [BatchDatum("sum.b", [10, 20])]], runs=2)
    once = [(1, "x", 10), (1, "x", 20), (2, "y", 10), (2, "y", 20)]
    assert rows(batch) == once * 2
    assert len(batch) == 8


def test_each_graph_has_its_values_and_the_batch_s_graph_keeps_its_own(graph: Graph) -> None:
    batch = Batch(graph, [[BatchDatum("sum.a", range(3))]])
    assert [run(each).value("sum", "value") for _, each in batch] == [0, 1, 2]
    assert run(graph).value("sum", "value") == 0


def test_an_edge_at_an_input_gives_way_to_its_values() -> None:
    graph = Graph.of(Add(id="sum", a=Integer(id="one", value=1)))
    assert [run(each).value("sum", "value") for _, each in Batch(graph, [[BatchDatum("sum.a", [5])]])] == [5]


def test_a_batch_without_data_is_the_graph_itself_so_many_times(graph: Graph) -> None:
    assert [values for values, _ in Batch(graph, runs=3)] == [{}, {}, {}]


def test_sessions_are_made_one_at_a_time(graph: Graph) -> None:
    data = [[BatchDatum("sum.a", range(1000))], [BatchDatum("sum.b", range(1000))]]
    batch = Batch(graph, data, max_sessions=10**6)
    assert len(batch) == 10**6
    assert [values["sum.b"] for values, _ in islice(batch, 3)] == [0, 1, 2]


def test_a_generator_of_values_can_be_gone_through_again(graph: Graph) -> None:
    batch = Batch(graph, [[BatchDatum("sum.a", (n for n in range(2)))]])
    assert rows(batch) == rows(batch) == [(0,), (1,)]


def test_too_many_sessions_are_an_error_and_no_value_is_looked_at(graph: Graph) -> None:
    data = [[BatchDatum("sum.a", range(10**12))], [BatchDatum("sum.b", range(10**12))]]
    with pytest.raises(GraphError, match="1,000,000,000,000,000,000,000,000 sessions, over the limit of 10,000"):
        Batch(graph, data)


def test_everything_wrong_with_a_batch_is_told_at_once(graph: Graph) -> None:
    data = [
        [BatchDatum("sum.a", [1, 2]), BatchDatum("sum.b", [1])],
        [BatchDatum("sum.a", ["much", 3])],
        [BatchDatum("smu.a", [1, 2]), BatchDatum("sum.c", [1, 2])],
        [BatchDatum("text.value", [])],
    ]
    with pytest.raises(GraphError) as raised:
        Batch(graph, data)
    assert [problem.kind for problem in raised.value.problems] == [
        "unequal_lengths", "duplicate_field", "bad_value", "mixed_types", "bad_value", "unknown_node", "unknown_field"
    ]  # fmt: skip
    assert "did you mean 'sum'" in str(raised.value)


def test_whole_and_broken_numbers_go_together_and_truth_values_do_not(graph: Graph) -> None:
    with pytest.raises(GraphError, match="different types: bool, number"):
        Batch(graph, [[BatchDatum("sum.a", [True, 2])]])
    assert len(Batch(graph, [[BatchDatum("sum.a", [1, 2.0])]])) == 2


@pytest.mark.parametrize("runs", [0, -1])
def test_a_batch_runs_at_least_once(graph: Graph, runs: int) -> None:
    with pytest.raises(GraphError, match="once or more often"):
        Batch(graph, runs=runs)
