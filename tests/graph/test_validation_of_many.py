"""Of many nodes of one shape the first is looked at; one that differs is found all the same, wherever it is."""

import pytest

from nbgraph.errors import Problem
from nbgraph.invocations import Add, Collect, Integer, Iterate, StringCollection
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.outputs import IntegerOutput, StringOutput
from nbgraph.services.shared.graph.edges import Link
from nbgraph.services.shared.graph.validation import graph_problems


@invocation("test_needs_text", category="test")
class NeedsText(BaseInvocation):
    """Has an input that must be given."""

    text: str
    count: int = 0

    def invoke(self, context: InvocationContext) -> StringOutput:
        return StringOutput(value=self.text * self.count)


@invocation("test_needs_two", category="test")
class NeedsTwo(BaseInvocation):
    """Refuses to have one edge alone."""

    a: int = 0
    b: int = 0

    @classmethod
    def arrival_problems(cls, linked: set[str]) -> list[str]:
        return ["give b an edge as well"] if linked == {"a"} else []

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        return IntegerOutput(value=self.a + self.b)


class Drawn:
    """Nodes and edges as a file may have them."""

    def __init__(self, nodes: dict[str, BaseInvocation], links: dict[str, list[Link]]) -> None:
        self.nodes, self._links = nodes, links

    def links(self, node_id: str) -> list[Link]:
        return self._links.get(node_id, [])


def problems(odd: BaseInvocation, *links: Link, name: str = "odd") -> list[Problem]:
    """What is wrong with a graph of a number, a list, good nodes of several shapes, the odd one and good ones again."""
    number = [Link("a", "number", "value")]
    nodes: dict[str, BaseInvocation] = {"number": Integer(value=1), "list": Iterate(collection=[1, 2])}
    nodes |= {"all": Collect(), "words": StringCollection(collection=["a"]), "word": Iterate()}
    arriving = {"all": [Link("item", "number", "value")], "word": [Link("collection", "words", "collection")]}
    for each in ("x", "y"):
        nodes[each], arriving[each] = Add(), number
        nodes[f"{each}s"] = NeedsText(text="t")
        nodes[f"{each}l"], arriving[f"{each}l"] = NeedsText(), [Link("text", f"{each}s", "value")]  # type: ignore[call-arg]
        nodes[f"{each}+"], arriving[f"{each}+"] = Add(), [Link("a", each, "value")]
        nodes[f"{each}i"], arriving[f"{each}i"] = Add(), [Link("a", "list", "item")]
        nodes[f"{each}2"], arriving[f"{each}2"] = NeedsTwo(), [*number, Link("b", "number", "value")]
        if each == "x":
            nodes[name], arriving[name] = odd, list(links)
    graph = Drawn(nodes, arriving)
    found = graph_problems(graph)
    assert found == graph_problems(graph, order=list(nodes)) or any(each.kind == "self_loop" for each in found)
    return found


@pytest.mark.parametrize(
    ("odd", "links", "kind"),
    [
        (NeedsText(), [], "missing_input"),  # type: ignore[call-arg]
        (NeedsText(), [Link("count", "number", "value")], "missing_input"),  # type: ignore[call-arg]
        (NeedsTwo(), [Link("a", "number", "value")], "missing_input"),
        (Add(), [Link("a", "xs", "value")], "wrong_type"),
        (Add(), [Link("a", "all", "collection")], "wrong_type"),
        (Add(), [Link("a", "word", "item")], "wrong_type"),
        (Add(), [Link("a", "number", "total")], "unknown_output"),
        (Add(), [Link("c", "number", "value")], "unknown_field"),
        (Add(), [Link("a", "nobody", "value")], "unknown_node"),
        (Add(), [Link("a", "number", "value"), Link("a", "x", "value")], "two_edges"),
        (Add(), [Link("a", "odd", "value")], "self_loop"),
    ],
)
def test_the_odd_one_among_many_is_found(odd: BaseInvocation, links: list[Link], kind: str) -> None:
    (problem,) = problems(odd, *links)
    assert (problem.kind, problem.node or "odd") == (kind, "odd")


def test_good_ones_have_no_problem() -> None:
    assert problems(Add(), Link("a", "number", "value")) == []
    assert problems(NeedsText(text="typed")) == []


def test_the_id_of_an_execution_is_found_at_a_node_of_a_known_shape() -> None:
    (problem,) = problems(Add(), Link("a", "number", "value"), name="x[3]")
    assert problem.kind == "bad_id"


def test_the_type_of_a_collected_list_is_followed_past_many_edges_of_one_kind() -> None:
    nodes: dict[str, BaseInvocation] = {f"n{number}": Integer(value=number) for number in range(5)}
    nodes |= {"all": Collect(), "sum": Add()}
    links = [Link("item", f"n{number}", "value") for number in range(5)]
    assert graph_problems(Drawn(nodes, {"all": links, "sum": [Link("a", "n0", "value")]})) == []
    (listed,) = graph_problems(Drawn(nodes, {"all": links, "sum": [Link("a", "all", "collection")]}))
    assert (listed.kind, listed.node) == ("wrong_type", "sum")
