"""Each prepared node is an object of its own, with values and a context of its own."""

import pytest

import nbgraph as nb
from nbgraph.invocations import Add, Collect, Iterate, Range
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.outputs import IntegerOutput
from nbgraph.services.shared.graph.graph import Graph

KEPT: list[BaseInvocation] = []
CONTEXTS: list[InvocationContext] = []


@invocation("test_keeps_itself", category="test", use_cache=False)
class KeepsItself(BaseInvocation):
    """Keeps a hold of itself, as a node written in a cell may."""

    number: int = 0

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        KEPT.append(self)
        CONTEXTS.append(context)
        return IntegerOutput(value=self.number)


@pytest.fixture
def studio():
    KEPT.clear()
    CONTEXTS.clear()
    with nb.Studio() as opened:
        yield opened


def test_a_node_of_a_person_that_keeps_itself_keeps_its_values(studio):
    numbers = Collect(item=KeepsItself(number=Iterate(collection=Range(stop=4))))
    assert studio.run(numbers, progress=False)[numbers].collection == [0, 1, 2, 3]
    assert [node.number for node in KEPT] == [0, 1, 2, 3]  # type: ignore[attr-defined]
    assert len({id(node) for node in KEPT}) == 4
    assert [context.prepared_id for context in CONTEXTS] == [f"{KEPT[0].id}[{number}]" for number in range(4)]


def test_nodes_of_one_type_at_many_paths_have_their_own_values_and_the_graph_its_own(studio):
    item = Iterate(collection=Range(stop=5))
    added = Add(a=Add(a=item, b=1), b=Add(a=item, b=100))
    sums = Collect(item=added)
    assert studio.run(sums, progress=False)[sums].collection == [101 + 2 * number for number in range(5)]
    assert [str(edge) for edge in Graph.of(sums).edges if edge.destination.node_id == "add_3"] == [
        "add.value -> add_3.a",
        "add_2.value -> add_3.b",
    ]
