"""The queue: its methods in Python, the table in a notebook, and messages that are not what they should be."""

import time
from typing import Any

import pytest
from waiting import comes_true

from nbgraph import Studio
from nbgraph.errors import NotFoundError
from nbgraph.invocations import Add, Integer, Prompt
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.widgets.queue_table import QueueTable, graph_label
from nbgraph.widgets.throttle import UPDATE_SECONDS


class Heard(QueueTable):
    """A table whose page is a list."""

    def __init__(self, services: Any) -> None:
        self.heard: list[Any] = []
        super().__init__(services)

    def send(self, content: Any, buffers: Any = None) -> None:
        self.heard.append(content)

    def tell(self, content: Any) -> Any:
        """Send a message as a page does; the answer."""
        self.heard.clear()
        self._handle_custom_msg(content, [])
        return self.heard[-1]


@pytest.fixture
def runs(studio: Studio):
    """Three runs that wait in a queue that is paused."""
    studio.queue.pause()
    yield [studio.submit(Add(id=f"sum{number}", a=Integer(value=number))) for number in (1, 2, 3)]
    studio.queue.resume()


@pytest.fixture
def table(studio: Studio, runs):
    made = Heard(studio.services)
    yield made
    made.close()


def order(studio: Studio) -> list[str]:
    frame = studio.queue.frame
    return list(frame[frame.status == "pending"].session)


def test_a_run_that_is_prepended_runs_first(studio, runs):
    assert studio.queue.prepend(runs[2])
    assert order(studio) == [runs[2].id, runs[0].id, runs[1].id]
    studio.queue.resume()
    for run in runs:
        run.wait(20)
    started = studio.queue.frame.sort_values("started").session
    assert list(started) == [runs[2].id, runs[0].id, runs[1].id]
    assert not studio.queue.prepend(runs[2])


def test_a_paused_queue_starts_nothing_and_goes_on(studio, runs):
    assert studio.queue.is_paused
    assert "paused" in repr(studio.queue)
    assert not runs[0].wait(0.2).is_done
    studio.queue.resume()
    assert all(run.wait(20).status == "completed" for run in runs)


def test_one_or_all_are_cancelled_and_the_ended_are_cleared(studio, runs):
    assert studio.queue.cancel(runs[1].id)
    assert runs[1].wait(20).status == "cancelled"
    assert studio.queue.cancel_all() == 2
    assert not studio.queue.cancel(runs[1])
    assert studio.queue.clear() == 3
    assert len(studio.queue) == 0


def test_an_unknown_run_is_an_error(studio):
    with pytest.raises(NotFoundError, match="no session 'nobody'"):
        studio.queue.cancel("nobody")


def test_the_table_lists_what_waits_first_and_then_the_newest_that_ended(table, studio, runs):
    studio.queue.cancel(runs[0])
    studio.queue.cancel(runs[1])
    told = table.tell({"type": "list"})
    assert [row["session"] for row in told["runs"]] == [runs[2].id, runs[1].id, runs[0].id]
    assert (told["waiting"], told["running"], told["ended"], told["paused"]) == (1, 0, 2, True)


def test_the_page_does_what_python_does(table, studio, runs):
    told = table.tell({"type": "prepend", "session": runs[1].id})
    assert [row["session"] for row in told["runs"]] == [runs[1].id, runs[0].id, runs[2].id]
    table.tell({"type": "cancel", "session": runs[0].id})
    assert runs[0].wait(20).status == "cancelled"
    assert not table.tell({"type": "resume"})["paused"]
    assert runs[2].wait(20).status == "completed"
    assert table.tell({"type": "clear"})["ended"] == 0


BAD = [
    None,
    "cancel",
    {},
    {"type": "drop"},
    {"type": "cancel"},
    {"type": "cancel", "session": 3},
    {"type": "cancel", "session": "nobody"},
    {"type": "prepend", "session": "x" * 1000},
    {"type": "pause", "session": "nobody"},
    {"type": "cancel_all", "more": 1},
]


@pytest.mark.parametrize("message", BAD, ids=lambda message: str(message)[:50])
def test_a_bad_message_is_refused_and_changes_nothing(table, studio, runs, message):
    before = order(studio)
    told = table.tell(message)
    assert told["type"] == "refused"
    assert told["message"]
    assert order(studio) == before


def test_a_run_that_has_ended_cannot_be_moved_or_cancelled(table, studio, runs):
    studio.queue.cancel(runs[0])
    for act in ("cancel", "prepend"):
        told = table.tell({"type": act, "session": runs[0].id})
        assert told["type"] == "refused"
        assert "it is cancelled" in told["message"]


def test_pages_are_told_of_changes_a_few_times_a_second(table, studio):
    table.tell({"type": "list"})
    table.heard.clear()
    began = time.monotonic()
    for number in range(40):
        studio.submit(Integer(value=number))
    assert comes_true(lambda: table.heard)
    assert len(table.heard) <= 2 + (time.monotonic() - began) / UPDATE_SECONDS
    assert {told["type"] for told in table.heard} == {"changed"}


def test_a_run_is_labelled_by_its_last_node_and_its_text():
    assert graph_label(Graph([Prompt(id="ask", text="a red apple")])) == "ask: a red apple"
    assert graph_label(Graph.of(Add(id="sum", a=Integer(value=1)))) == "sum"


def test_there_is_one_table_however_often_the_queue_is_shown(studio):
    assert studio.queue.widget is studio.queue.widget
    assert studio.queue is studio.queue
