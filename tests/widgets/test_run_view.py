"""The run view: states, what is left, previews, cancelling, and messages that are not what they should be."""

import time
from threading import Event
from typing import Annotated, Any

import pytest
from PIL import Image as PillowImage
from pydantic import Field

from nbgraph import Studio
from nbgraph.errors import NodeError
from nbgraph.invocations import Add, BlankImage, Collect, Integer, Iterate, String
from nbgraph.invocations import Image as Picture
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.fields import ImageField
from nbgraph.invocations.outputs import IntegerOutput
from nbgraph.run import Run
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.widgets.run_state import picture_names, run_state
from nbgraph.widgets.run_static import static_bundle
from nbgraph.widgets.run_view import RunView

GO_ON, IN_STEP = Event(), Event()
HOSTILE = "<img src=x onerror=planted=1><script>planted=1</script>"


@invocation("test_stepping", title="Stepping")
class Stepping(BaseInvocation):
    """Stands at the third of ten steps until it may go on."""

    steps: Annotated[int, Field(ge=1)] = 10

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        preview = PillowImage.new("RGB", (8, 8), "red")
        for step in range(1, self.steps + 1):
            context.progress(step, self.steps, preview, "warming")
            if step == 3:
                IN_STEP.set()
                while not GO_ON.wait(0.01):
                    context.progress(step, self.steps, preview)
            time.sleep(0.01)
        return IntegerOutput(value=self.steps)


@invocation("test_failing", title="Failing")
class Failing(BaseInvocation):
    """Raises what it is told."""

    text: str = ""
    after: int = 0

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        raise ValueError(self.text)


class Heard(RunView):
    """A run view whose page is a list."""

    def __init__(self, run: Run | None = None) -> None:
        self.heard: list[tuple[Any, list[bytes]]] = []
        super().__init__(run)

    def send(self, content: Any, buffers: Any = None) -> None:
        self.heard.append((content, buffers or []))

    def tell(self, content: Any) -> list[Any]:
        """Send a message as a page does; the answers."""
        self.heard.clear()
        self._handle_custom_msg(content, [])
        return [told for told, _ in self.heard]


@pytest.fixture
def held(studio: Studio):
    """A run that stands in the third of ten steps."""
    GO_ON.clear()
    IN_STEP.clear()
    run = studio.submit(Graph([Integer(id="one", value=1), Stepping(id="slow"), Add(id="last", a=1)]))
    assert IN_STEP.wait(20)
    yield run
    GO_ON.set()
    run.wait(20)


def statuses(run: Run) -> dict[str, str]:
    return {node.id: node.status for node in run_state(run).nodes}


def test_the_running_node_its_step_and_what_waits_are_seen(held):
    state = run_state(held)
    assert statuses(held) == {"one": "done", "slow": "running", "last": "waiting"}
    assert (state.node, state.step, state.steps) == ("slow", 3, 10)
    assert state.fraction == pytest.approx((1 + 3) / (1 + 10 + 1))


def test_what_is_left_goes_by_the_steps_that_were_taken(held):
    left = run_state(held).left
    each = held.tracker.step_seconds
    assert left == pytest.approx(7 * each, rel=0.2)


def test_a_page_that_comes_late_gets_everything_and_then_only_what_changed(held):
    view = Heard(held)
    told = view.tell({"type": "ready"})[0]
    assert told["whole"]
    assert [node["id"] for node in told["nodes"]] == ["one", "slow", "last"]
    assert told["preview"]
    GO_ON.set()
    held.wait(20)
    view.heard.clear()
    view.refresh()
    told, buffers = view.heard[0]
    assert not told["whole"]
    assert [(node["id"], node["status"]) for node in told["nodes"]] == [("slow", "done"), ("last", "done")]
    assert (told["hasPreview"], buffers) == (False, [])
    view.close()


def test_a_preview_comes_as_a_small_file(held):
    view = Heard(held)
    view.tell({"type": "ready"})
    told, buffers = view.heard[0]
    assert told["hasPreview"]
    assert len(buffers) == 1
    assert buffers[0].startswith(b"\xff\xd8")
    view.close()


def test_cancel_from_the_page_stops_the_run_within_a_step(held):
    view = Heard(held)
    view.tell({"type": "ready"})
    assert view.tell({"type": "cancel"})[0]["type"] == "done"
    held.wait(20)
    assert not GO_ON.is_set()
    assert held.status == "cancelled"
    assert statuses(held) == {"one": "done", "slow": "cancelled", "last": "skipped"}
    assert view.tell({"type": "cancel"})[0]["type"] == "refused"
    view.close()


BAD = [
    None,
    3,
    "cancel",
    [],
    {},
    {"type": "run"},
    {"type": ["cancel"]},
    {"type": "cancel", "session": "other"},
    {"type": "cancel", "request": "1"},
]


@pytest.mark.parametrize("message", BAD, ids=str)
def test_a_bad_message_is_refused_and_cancels_nothing(held, message):
    view = Heard(held)
    told = view.tell(message)
    assert [answer["type"] for answer in told] == ["refused"]
    assert told[0]["message"]
    assert not held._handle.cancel.requested
    view.close()


def test_cached_nodes_are_marked(studio):
    graph = Graph.of(Add(id="sum", a=Integer(id="one", value=1), b=2))
    studio.run(graph, progress=False)
    again = studio.run(graph, progress=False)
    assert statuses(again) == {"one": "cached", "sum": "cached"}


def test_an_error_stands_on_its_node(studio):
    graph = Graph([Failing(id="bad", text=HOSTILE)])
    with pytest.raises(NodeError):
        studio.run(graph, progress=False)
    run = studio.run(graph, progress=False, on_error="continue")
    (node,) = run_state(run).nodes
    assert node.status == "failed"
    assert node.error.splitlines() == [f"ValueError: {HOSTILE}", f"  at: {run.errors[0].place}"]
    assert run_state(run).error == ""


def test_repeated_nodes_count_up_to_how_often_they_run(studio):
    item = Iterate(id="each", collection=[1, 2, 3])
    run = studio.run(Collect(id="all", item=Add(id="sum", a=item.output("item"), b=1)), progress=False)
    found = {node.id: (node.runs, node.of) for node in run_state(run).nodes}
    assert found["sum"] == (3, 3)
    assert found["all"] == (1, 1)


@pytest.fixture
def pictured(studio):
    made = [studio.services.images.save(PillowImage.new("RGB", (90, 60), shade)) for shade in ("teal", "gold")]
    nodes = [Picture(id=f"n{place}", image=ImageField(image_name=one.image_name)) for place, one in enumerate(made)]
    return studio.run(nodes, progress=False), [one.image_name for one in made]


def test_pictures_come_in_order_and_a_deleted_one_is_left_out(pictured, studio):
    run, names = pictured
    assert picture_names(run) == names
    studio.images.delete(names[0])
    assert picture_names(run) == names[1:]


def test_what_is_saved_holds_pictures_text_and_one_png(pictured):
    bundle = static_bundle(pictured[0])
    assert bundle["text/html"].count("<img ") == 2
    assert bundle["text/plain"].startswith("Run(completed, 2 nodes")
    assert len(bundle["image/png"]) > 50


def test_no_text_of_a_person_becomes_markup_in_what_is_saved(studio):
    run = studio.run(Graph([Failing(id=HOSTILE, text=HOSTILE)]), progress=False, on_error="continue")
    html = static_bundle(run)["text/html"]
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;" in html


def test_what_a_run_gave_is_not_told_before_it_has_ended(held):
    assert run_state(held).results == []
    GO_ON.set()
    held.wait(20)
    assert run_state(held).results == ["one.value = 1", "slow.value = 10", "last.value = 1"]


def test_what_a_run_gave_that_is_no_picture_is_told(studio):
    items = Iterate(id="each", collection=[1, 2])
    ends = Collect(id="all", item=Add(id="sum", a=items, b=1)), String(id="said", value=HOSTILE), BlankImage(id="red")
    run = studio.run(Graph(ends), progress=False)
    assert run_state(run).results == ["all.collection = [2, 3]", f"said.value = {HOSTILE!r}"]
    html = static_bundle(run)["text/html"]
    assert "all.collection = [2, 3]" in html
    assert "said.value = &#x27;&lt;img" in html


def test_of_many_results_the_first_ten_are_told(studio):
    run = studio.run(Add(id="sum", a=Iterate(collection=list(range(20))), b=1), progress=False)
    assert run_state(run).results == [*(f"sum[{number}].value = {number + 1}" for number in range(10)), "..."]


def test_of_a_large_run_what_failed_is_saved(studio):
    nodes = [Add(id=f"n{number}", a=number) for number in range(100)]
    run = studio.run(Graph([*nodes, Failing(id="bad", text="here")]), progress=False, on_error="continue")
    html = static_bundle(run)["text/html"]
    assert "bad: ValueError: here" in html
    assert "101 nodes" in html


def test_a_large_run_is_saved_small(studio):
    run = studio.run(Graph([Add(id=f"n{number}", a=number) for number in range(500)]), progress=False)
    html = static_bundle(run)["text/html"]
    assert "and 460 more in run.stats" in html
    assert len(html) < 30_000
