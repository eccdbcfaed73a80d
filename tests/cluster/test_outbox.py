"""What happens in a session on a worker reaches the head once and in order, whoever asks while it runs."""

from threading import Thread

from nbgraph import Graph, GraphExecutionState
from nbgraph.invocations import Add
from nbgraph.invocations.outputs import IntegerOutput
from nbgraph.services.events.events_common import NodeCompleted
from nbgraph.services.invocation_processor.cluster_messages import MailBatch
from nbgraph.services.invocation_processor.cluster_outbox import Outbox

COUNT = 4_000


def outbox() -> tuple[Outbox, str]:
    session = GraphExecutionState(Graph.of(Add(id="sum")))
    return Outbox(session, 0.0, lambda: None), session.id


def completed(session: str, number: int) -> NodeCompleted:
    return NodeCompleted(session, f"sum[{number}]", "sum", "add", IntegerOutput(value=number), False, 0.0)


def numbers(batches: list[MailBatch]) -> list[int]:
    return [row[2]["value"] for batch in batches for row in batch["outputs"]]


def test_no_result_is_lost_between_the_thread_that_adds_and_the_one_that_takes():
    box, session = outbox()
    adding = Thread(target=lambda: [box(completed(session, number)) for number in range(COUNT)])
    adding.start()
    while adding.is_alive():
        box.mark_sent(box.unsent()[:1])
    adding.join()
    box.rest()
    assert numbers(box.take(0)) == list(range(COUNT))


def test_what_was_sent_unasked_is_kept_until_it_is_asked_beyond():
    box, session = outbox()
    box(completed(session, 1))
    first = box.unsent()
    box.mark_sent(first)
    box(completed(session, 2))
    assert numbers(box.rest()) == [2]
    assert numbers(box.take(0)) == [1, 2]
    assert numbers(box.take(first[0]["number"])) == [2]
    assert numbers(box.take(0)) == [2]


def test_events_of_other_sessions_of_the_worker_are_not_taken():
    box, _ = outbox()
    box(completed("another", 1))
    assert box.rest() == []
