"""Runs on the canvas: states, pictures, reasons, muting and cancelling, on real services in memory."""

import time
from io import BytesIO
from threading import Event

import pytest
from PIL import Image as PillowImage
from widgets.conftest import Heard

from nbgraph.errors import GraphError
from nbgraph.invocations import Add, Divide, Image, Integer, Iterate, Range, SaveImage
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.fields import ImageField
from nbgraph.invocations.outputs import IntegerOutput
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.library import Exposed, LibraryGraph
from nbgraph.widgets.run_feed import RunFeed
from nbgraph.widgets.run_state import run_state
from nbgraph.widgets.subgraph import running_graph


@invocation("test_editor_slow", title="Slow")
class Slow(BaseInvocation):
    """Takes ten milliseconds a step."""

    steps: int = 500

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        for step in range(self.steps):
            context.progress(step + 1, self.steps)
            time.sleep(0.01)
        return IntegerOutput(value=self.steps)


IN_STEP, GO_ON = Event(), Event()


@invocation("test_held", title="Held")
class Held(BaseInvocation):
    """Stands in its first step until it may go on."""

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        context.progress(1, 2)
        IN_STEP.set()
        GO_ON.wait(20)
        context.progress(2, 2)
        return IntegerOutput(value=2)


def until(editor: Heard, status: str, seconds: float = 60) -> dict:
    """The last told run message with that status."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = [told for told in list(editor.heard) if told["type"] == "run" and told["status"] == status]
        if found:
            return found[-1]
        time.sleep(0.01)
    raise AssertionError(f"no run was {status}: {editor.heard[-3:]}")


def test_an_empty_canvas_says_nothing_of_a_run(invoker):
    assert Heard(Graph([]), invoker).tell({"type": "explain"})[-1]["expected"] == ""


def test_what_a_run_will_cost_is_said_as_soon_as_enough_is_known(running):
    assert running.tell({"type": "explain"})[-1]["expected"] == ""
    running.tell({"type": "run"})
    until(running, "completed")
    assert running.tell({"type": "explain"})[-1]["expected"] == "everything is cached"
    running._reasons._learnt_at = -float("inf")  # it is not read again at once
    running.graph.update_node("one", value=12)
    assert running.tell({"type": "explain"})[-1]["expected"].endswith("1 node cached")


def test_marked_nodes_are_told_to_pages_that_open_before_and_after(running):
    def told():
        return [each["marks"] for each in running.heard if each["type"] == "document"][-1]

    running.mark({"one": "added"}, "1 added")
    assert told() == {"nodes": {"one": "added"}, "text": "1 added"}
    running.tell({"type": "ready"})
    assert told()["text"] == "1 added"
    running.mark({})
    assert told() == {"nodes": {}, "text": ""}


@pytest.fixture
def running(graph, invoker):
    made = Heard(graph, invoker)
    made.tell({"type": "ready"})
    yield made
    made.close()


def test_a_run_ends_with_the_state_of_every_node(running):
    running.tell({"type": "run", "request": 1})
    last = until(running, "completed")
    assert {node: state["status"] for node, state in last["nodes"].items()} == dict.fromkeys(running.graph, "done")


def test_a_run_from_a_cell_shows_on_the_canvas_too(running, invoker):
    running.heard.clear()
    invoker.invoke(GraphExecutionState(running.graph)).wait(20)
    assert until(running, "completed")["nodes"]["total"]["runs"] == 1


def test_what_did_not_change_is_told_to_be_cached_before_and_after_the_run(running):
    running.tell({"type": "run"})
    until(running, "completed")
    running.graph.update_node("one", value=10)
    reasons = running.tell({"type": "explain"})[-1]["reasons"]
    assert reasons["two"] == {"run": 0, "cached": 1, "because": "cached"}
    assert reasons["one"]["run"] == 1
    assert "value 1 -> 10" in reasons["one"]["because"]
    assert running.tell({"type": "explain"})[-1]["reasons"] == {}
    running.graph.update_node("one", value=11)
    assert list(running.tell({"type": "explain"})[-1]["reasons"]) == ["one"]
    running.tell({"type": "ready"})
    assert set(running.tell({"type": "explain"})[-1]["reasons"]) == {"one", "two", "total"}
    running.tell({"type": "run"})
    states = until(running, "completed")["nodes"]
    assert [states[node]["status"] for node in ("one", "two", "total")] == ["done", "cached", "done"]


def test_cancel_stops_a_running_node_within_a_step(invoker):
    editor = Heard(Graph([Held(id="held")]), invoker)
    editor.tell({"type": "ready"})
    editor.tell({"type": "run"})
    assert IN_STEP.wait(20)
    editor._handle_custom_msg({"type": "cancel"}, [])  # does not wait for the node, which could not go on
    GO_ON.set()
    assert until(editor, "cancelled")["nodes"]["held"]["status"] == "cancelled"
    editor.close()


def test_progress_comes_in_at_most_twenty_batches_a_second(invoker):
    editor = Heard(Graph([Slow(id="slow", steps=100)]), invoker)
    editor.tell({"type": "ready"})
    editor.tell({"type": "run"})
    until(editor, "completed")
    batches = [told for told in editor.heard if told["type"] == "run"]
    assert 3 <= len(batches) <= 30
    editor.close()


def test_a_graph_that_cannot_run_is_refused_on_the_node_and_field(open_graph, invoker):
    editor = Heard(open_graph, invoker)
    editor.tell({"type": "ready"})
    told = editor.tell({"type": "run"})[0]
    assert told["type"] == "refused"
    assert {(one["node"], one["field"]) for one in told["problems"]} == {("prompt", "clip"), ("noise", "unet")}
    editor.close()


def test_an_upload_is_kept_and_shown_and_what_is_no_picture_is_refused(running):
    data = BytesIO()
    PillowImage.new("RGB", (40, 30), "red").save(data, "PNG")
    told = running.tell({"type": "upload", "request": 3}, [data.getvalue()])
    assert told[0]["type"] == "uploaded"
    assert running.tell({"type": "pictures"})[0]["names"] == [told[0]["name"]]
    assert running.tell({"type": "upload"}, [b"<svg onload=alert(1)>"])[0]["type"] == "refused"
    assert running.tell({"type": "upload"}, [b"x" * (33 * 2**20)])[0]["type"] == "refused"


def test_a_result_that_is_a_picture_comes_as_a_small_file(invoker):
    record = invoker.services.images.save(PillowImage.new("RGB", (900, 600), "blue"))
    picture = Image(id="in", image=ImageField(image_name=record.image_name))
    editor = Heard(Graph.of(SaveImage(id="out", image=picture)), invoker)
    editor.tell({"type": "ready"})
    editor.tell({"type": "run"})
    until(editor, "completed")
    with PillowImage.open(BytesIO(editor._feed.pictures["out"])) as shown:
        assert shown.size == (256, 171)
    editor.close()


def test_the_canvas_counts_as_the_run_view_does_and_a_library_graph_is_one_node(studio):
    inner = Graph.of(Add(id="second", a=3, b=Add(id="first", a=1, b=2)))
    library = LibraryGraph("Sum", inner, [Exposed("start", "first", "a")], [Exposed("end", "second", "value")])
    each = Add(id="each", a=Iterate(id="item", collection=Range(id="range", stop=3)), b=1)
    graph = Graph.of(library.node_class()(id="sums", start=each))
    feed = RunFeed(studio.services, graph.id, lambda content, pictures: None, lambda: None)
    run = studio.submit(graph).wait()
    feed.close()
    states = feed.states
    assert {node: state.runs for node, state in states.items()} == {"range": 1, "item": 3, "each": 3, "sums": 6}
    by_id = {node.id: node for node in run_state(run).nodes}
    assert all(states[node].runs == by_id[node].runs for node in ("range", "item", "each"))
    assert states["sums"].seconds == by_id["sums.first"].seconds + by_id["sums.second"].seconds
    assert {state.status for state in states.values()} == {"done"}
    assert run.progress.done == sum(state.runs for state in states.values())


def test_a_node_that_failed_at_one_path_stays_failed_when_the_next_one_succeeds(studio):
    third = Divide(id="third", a=6, b=Iterate(id="item", collection=[0, 1, 2]))
    graph = Graph.of(third)
    feed = RunFeed(studio.services, graph.id, lambda content, pictures: None, lambda: None)
    run = studio.submit(graph, on_error="continue").wait()
    feed.close()
    assert (feed.states["third"].status, feed.states["third"].runs) == ("failed", 2)
    assert [node.status for node in run_state(run).nodes if node.id == "third"] == ["failed"]


def modes(graph: Graph, **by_node: str) -> Graph:
    graph.layout = {"nodes": {node: {"mode": mode} for node, mode in by_node.items()}}
    return graph


def test_a_muted_node_takes_what_needs_it_with_it(graph):
    assert list(running_graph(modes(graph, one="mute")).nodes) == ["two"]
    assert len(graph) == 3


def test_a_bypassed_node_hands_on_what_arrives():
    last = Add(id="last", a=Add(id="middle", a=Integer(id="one", value=1), b=5), b=2)
    ran = running_graph(modes(Graph.of(last), middle="bypass"))
    assert [str(edge) for edge in ran.edges] == ["one.value -> last.a"]


def test_everything_muted_is_an_error_that_says_so(graph):
    with pytest.raises(GraphError, match="nothing to run"):
        running_graph(modes(graph, one="mute", two="mute"))
