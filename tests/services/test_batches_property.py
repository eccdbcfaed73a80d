"""Random graphs of iterators, collectors and diamonds mean the same when their additions run together."""

from collections.abc import Sequence
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, assume, given, note, settings
from hypothesis import strategies as st

from nbgraph.config import Settings
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.outputs import IntegerOutput
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.invoker import Invoker
from nbgraph.services.shared.graph.execution_state import GraphExecutionState, depth_first
from nbgraph.services.shared.graph.graph import Graph
from tests.graph.oracle import Program
from tests.graph.test_nested_loops_property import PROGRAMS, program_of, small

OUTPUTS = {"iterate": "item", "add": "value", "total": "value"}


@invocation("test_add_together", category="test")
class AddTogether(BaseInvocation):
    """Adds, several at once if their sums are alike modulo four; a multiple of four by itself."""

    sizes: ClassVar[list[int]] = []

    a: int = 0
    b: int = 0

    def batch_key(self, context: InvocationContext) -> int | None:
        return (None, 0, 0, 1)[(self.a + self.b) % 4]

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        return self.invoke_batch([self], [context])[0]

    @staticmethod
    def invoke_batch(nodes: Sequence["AddTogether"], contexts: Sequence[InvocationContext]) -> list[IntegerOutput]:
        AddTogether.sizes.append(len(nodes))
        return [IntegerOutput(value=node.a + node.b) for node in nodes]


def batched(program: Program) -> Graph:
    """The program's graph, its additions made such that they run together."""
    saved = program.graph.to_dict()
    for node in saved["nodes"].values():
        node["type"] = AddTogether.type if node["type"] == "add" else node["type"]
    return Graph.from_dict(saved)


def run(graph: Graph, size: int, cached: bool) -> GraphExecutionState:
    with Invoker(InvocationServices.memory(Settings(batch_size=size, cache_entries=1000 * cached))) as invoker:
        handle = invoker.invoke(GraphExecutionState(graph))
        assert handle.wait(60)
    return handle.session


@given(PROGRAMS, st.integers(2, 5), st.booleans())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_batches_mean_what_nested_loops_mean(choices: Any, size: int, cached: bool) -> None:
    program = program_of(*choices)
    assume(small(program) and any(step.kind == "add" for step in program.steps))
    note(program)
    AddTogether.sizes.clear()
    session = run(batched(program), size, cached)
    assert session.status == "completed"
    assert max(AddTogether.sizes, default=0) <= size
    one_by_one = [prepared.id for prepared, _ in run(batched(program), 1, cached).results()]
    assert [prepared.id for prepared, _ in depth_first(session)] == one_by_one
    finished: dict[str, list[tuple[int, ...]]] = {}
    for prepared, _ in session.results():
        finished.setdefault(prepared.planned.id, []).append(prepared.path)
    for number, step in enumerate(program.steps):
        name, expected = f"n{number}", program.results(number)
        found = session.outputs_of(name)
        assert {path: getattr(out, OUTPUTS.get(step.kind, "collection")) for path, out in found.items()} == expected
        assert sorted(finished.get(name, [])) == sorted(expected), "each runs once"
        if step.kind == "add":
            assert finished.get(name, []) == list(expected), "in the order of the loops"


@pytest.mark.parametrize("count", [3, 40])
def test_the_graphs_of_this_test_do_make_batches(count: int) -> None:
    program = program_of(tuple(range(1, 6)), (1,), [(0, [1, 0, 0]), (3, [0, 0, 0])])
    AddTogether.sizes.clear()
    run(batched(program), count, cached=False)
    assert max(AddTogether.sizes) > 1
