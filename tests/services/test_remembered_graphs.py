"""Graphs that are run again are not worked out again, and give what a fresh studio gives, whatever was changed."""

from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nbgraph as nb
from nbgraph.errors import GraphError, NodeError
from nbgraph.invocations import Add, Collect, If, Integer, IntegerCollection, Iterate, Multiply
from nbgraph.invocations.base import BaseInvocation, InvocationContext, Ref, invocation
from nbgraph.invocations.outputs import IntegerOutput, StringOutput
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.library import Exposed, LibraryGraph

SETTINGS = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture
def studio() -> Iterator[nb.Studio]:
    with nb.Studio() as opened:
        yield opened


@invocation("test_total_of_list", category="test", version="1.0.0")
class TotalOfList(BaseInvocation):
    """Adds a list, and what a dict has."""

    numbers: list[int] = []
    named: dict[str, int] = {}
    more: int = 0

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        return IntegerOutput(value=sum(self.numbers) + sum(self.named.values()) + self.more)


def outcome(studio: nb.Studio, targets: list[BaseInvocation]) -> tuple[str, Any]:
    """The status, and what each target gave at each path, or what was wrong."""
    try:
        run = studio.run(targets, progress=False, on_error="continue")
    except GraphError as error:
        return "refused", [str(problem) for problem in error.problems]
    found = run.session.outputs_of
    given = [{path: output.model_dump() for path, output in found(node.id or "").items()} for node in targets]
    return run.status, (given, sorted(error.message for error in run.errors))


class Shop:
    """A few nodes, and edits of them."""

    def __init__(self) -> None:
        self.a, self.b, self.flag = Integer(id="a", value=2), Integer(id="b", value=3), Integer(id="flag", value=1)
        self.listed = TotalOfList(id="listed", numbers=[1, 2], named={"x": 4}, more=self.a)
        self.added = Add(id="added", a=self.listed, b=self.b)
        self.each = Iterate(id="each", collection=[1, 2, 3])
        self.body = Multiply(id="body", a=self.each.output("item"), b=self.added)
        self.all = Collect(id="all", item=[self.body, self.added])
        self.chosen = If(id="chosen", condition=True, true_input=self.added, false_input=self.b)
        self.spare = Add(id="spare", a=self.b, b=10)
        self.targets: list[BaseInvocation] = [self.all, self.chosen]

    def edit(self, number: int, value: int) -> None:
        """Change something: a value, an edge, or what is in a list, a dict, a list of edges."""
        edits: list[Callable[[], Any]] = [
            lambda: setattr(self.a, "value", value),
            lambda: self.listed.numbers.append(value),
            lambda: self.listed.named.update(x=value),
            lambda: setattr(self.listed, "numbers", [value, value]),
            lambda: setattr(self.added, "b", value),
            lambda: setattr(self.added, "b", self.spare.output("value")),
            lambda: setattr(self.chosen, "condition", value % 2 == 0),
            lambda: self.each.collection.append(value % 5) if isinstance(self.each.collection, list) else None,
            lambda: setattr(self.each, "collection", list(range(value % 4))),
            lambda: setattr(self.each, "collection", IntegerCollection(collection=[value, 1]).output("collection")),
            lambda: vars(self.all)["item"].append(self.spare.output("value")),
            lambda: vars(self.all)["item"].pop() if len(vars(self.all)["item"]) > 1 else None,
            lambda: setattr(self.body, "a", Ref(self.each, "index")),
            lambda: setattr(self.b, "use_cache", value % 2 == 0),
            lambda: self.targets.reverse(),
        ]
        edits[number % len(edits)]()


@SETTINGS
@given(st.lists(st.tuples(st.integers(0, 14), st.integers(0, 6)), min_size=1, max_size=12))
def test_after_any_edits_a_graph_gives_what_it_gives_in_a_fresh_studio(edits: list[tuple[int, int]]) -> None:
    shop = Shop()
    with nb.Studio() as studio:
        outcome(studio, shop.targets)
        for number, value in edits:
            shop.edit(number, value)
            again = outcome(studio, shop.targets)
            with nb.Studio() as fresh:
                assert again == outcome(fresh, shop.targets)
            assert again == outcome(studio, shop.targets)


def test_a_graph_that_did_not_change_has_the_same_plan(studio: nb.Studio) -> None:
    shop = Shop()
    plans = [studio.run(shop.targets, progress=False).session.plan for _ in range(2)]
    assert plans[0] is plans[1]
    shop.a.value = 7
    assert studio.run(shop.targets, progress=False).session.plan is not plans[0]


def test_so_it_is_for_a_graph_that_is_edited_itself(studio: nb.Studio) -> None:
    graph = Graph.of(*Shop().targets)
    first, again = (studio.run(graph, progress=False).session.plan for _ in range(2))
    assert first is again
    graph.update_node("added", b=100)
    run = studio.run(graph, progress=False)
    assert run.session.plan is not first
    assert run["added"].value == 109
    graph.delete_edge("a.value", "listed.more")
    assert studio.run(graph, progress=False)["added"].value == 107


def test_a_stale_edge_is_refused_though_the_graph_was_found_valid_before(studio: nb.Studio) -> None:
    shop = Shop()
    graph = Graph.of(*shop.targets)
    studio.run(graph, progress=False)
    shop.added.b = 5
    for _ in range(2):
        with pytest.raises(GraphError, match="update_node"):
            studio.run(graph, progress=False)


def test_an_open_input_is_refused_each_time(studio: nb.Studio) -> None:
    @invocation("test_needs_a_number", category="test")
    class Needs(BaseInvocation):
        number: int

        def invoke(self, context: InvocationContext) -> IntegerOutput:
            return IntegerOutput(value=self.number)

    node = Needs(id="needs")  # type: ignore[call-arg]
    for _ in range(2):
        with pytest.raises(GraphError, match="needs number"):
            studio.run(node, progress=False)
    node.number = 3
    assert studio.run(node, progress=False)[node].value == 3


def test_a_class_that_is_changed_is_looked_at_again(studio: nb.Studio) -> None:
    @invocation("test_changes_its_mind", category="test")
    class Changes(BaseInvocation):
        number: int = 1

        def invoke(self, context: InvocationContext) -> IntegerOutput:
            return IntegerOutput(value=self.number)

    node = Changes(id="changes")
    total = Add(id="total", a=node, b=1)
    assert studio.run(total, progress=False)[total].value == 2

    def invoke(self: Changes, context: InvocationContext) -> StringOutput:
        return StringOutput(value="text")

    Changes.invoke = invoke  # type: ignore[method-assign, assignment]
    invocation("test_changes_its_mind", version="1.1.0", category="test")(Changes)
    with pytest.raises(GraphError, match="takes int"):
        studio.run(total, progress=False)


def test_a_library_graph_whose_inside_is_edited_is_worked_out_again(studio: nb.Studio) -> None:
    inner = Add(id="inner", a=1, b=2)
    library = LibraryGraph("sum", Graph.of(inner), outputs=[Exposed("value", "inner", "value")])
    outer = Multiply(id="outer", a=library.node_class()(id="sum").output("value"), b=10)
    assert studio.run(outer, progress=False)[outer].value == 30
    inner.b = 4
    with nb.Studio() as fresh:
        expected = fresh.run(outer, progress=False)[outer].value
    assert studio.run(outer, progress=False)[outer].value == expected == 50


def test_runs_in_several_threads_share_a_plan_and_nothing_else(studio: nb.Studio) -> None:
    shop = Shop()
    found: list[Any] = []
    threads = [Thread(target=lambda: found.append(outcome(studio, shop.targets))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(each == found[0] for each in found)


def test_a_run_goes_on_with_what_it_began_with_while_nodes_are_assigned_to(studio: nb.Studio) -> None:
    shop = Shop()
    session = GraphExecutionState(Graph.of(*shop.targets))
    shop.a.value = 50
    studio.invoker.invoke(session).wait()
    assert session.outputs_of("listed")[()].model_dump() == {"value": 9}
    assert studio.run(shop.targets, progress=False)["listed"].value == 57


def test_a_failure_is_not_remembered(studio: nb.Studio) -> None:
    shop = Shop()
    vars(shop.a)["value"] = "seven"
    for _ in range(2):
        with pytest.raises((GraphError, NodeError), match="valid integer"):
            studio.run(shop.targets, progress=False)


def test_only_the_last_graphs_are_kept(studio: nb.Studio) -> None:
    nodes = [Add(id=f"n{number}", a=number, b=1) for number in range(9)]
    plans = [studio.run(node, progress=False).session.plan for node in nodes]
    again = [studio.run(node, progress=False).session.plan for node in reversed(nodes)]
    kept = [plan is before for plan, before in zip(again, reversed(plans))]
    assert kept == [True] * 4 + [False] * 5
