"""A node may keep its context: what it reports later is still in its own name, and not in that of another node."""

import pytest
from PIL import Image

from nbgraph.errors import NbgraphWarning
from nbgraph.invocations import Add, Iterate, Range
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.outputs import IntegerOutput
from nbgraph.services.events.events_common import NodeProgress
from nbgraph.services.shared.graph.graph import Graph

KEPT: list[InvocationContext] = []


@invocation("test_keeper", category="test")
class Keeper(BaseInvocation):
    """Keeps its context, as a thread that draws previews does."""

    value: int = 0

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        KEPT.append(context)
        return IntegerOutput(value=self.value)


@invocation("test_looker_back", category="test")
class LookerBack(BaseInvocation):
    """Reports through the contexts that others have kept."""

    first: int = 0
    warns: bool = False

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        context.progress(1, 4)
        for kept in KEPT:
            kept.progress(9, 9)
            if self.warns:
                kept.warn("late")
        return IntegerOutput(value=0)


@pytest.fixture(autouse=True)
def nothing_kept():
    KEPT.clear()
    yield
    KEPT.clear()


def test_a_kept_context_reports_in_the_name_of_its_own_node(studio):
    told = []
    studio.services.events.subscribe(told.append)
    one, two = Keeper(id="one"), Keeper(id="two", value=9)
    studio.run(LookerBack(id="last", first=Keeper(id="three", value=Add(a=one, b=1))), progress=False)
    studio.run(two, progress=False)
    assert [context.prepared_id for context in KEPT] == ["one", "three", "two"]
    assert [event.node for event in told if isinstance(event, NodeProgress)] == ["last", "one", "three"]


def test_each_execution_of_a_node_has_a_context_of_its_own(studio):
    studio.run(Keeper(id="each", value=Iterate(collection=Range(stop=3))), progress=False)
    assert [context.prepared_id for context in KEPT] == ["each[0]", "each[1]", "each[2]"]


def test_a_picture_saved_through_a_kept_context_names_its_own_node(studio):
    studio.run(LookerBack(first=Keeper(id="painter")), progress=False)
    name = KEPT[0].images.output(Image.new("RGB", (8, 8))).image.image_name
    assert studio.services.images.record(name).node_id == "painter"


def test_a_late_report_is_not_shown_as_the_progress_of_the_node_that_runs(studio):
    run = studio.submit(Graph.of(LookerBack(id="last", first=Keeper(id="one"))))
    seen = []
    tracker = run.tracker
    studio.services.events.subscribe(lambda event: seen.append((tracker.step, tracker.steps)))
    run.wait()
    assert (9, 9) not in seen


def test_a_late_warning_is_shown_at_the_node_it_is_of(studio):
    with pytest.warns(NbgraphWarning, match="one: late"):
        run = studio.submit(Graph.of(LookerBack(id="last", first=Keeper(id="one"), warns=True))).wait()
    assert run.tracker.nodes["one"].warning == "late"
    assert run.tracker.nodes["last"].warning == ""
