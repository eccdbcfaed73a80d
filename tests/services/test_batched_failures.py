"""Nodes that run together and fail, run out of memory or are cancelled: all else is as if they had run one by one."""

import gc
import weakref

import pytest
import torch

import nbgraph as nb
from nbgraph.errors import NodeError
from nbgraph.invocations import Iterate
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.outputs import IntegerOutput
from nbgraph.services.events.events_common import Event, NodeCompleted
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from tests.services.batched_nodes import (
    Square,
    cancel_at,
    fail_at,
    forget,
    record,
    run_out_above,
    sizes,
    squares,
    values,
)

pytestmark = pytest.mark.usefixtures("no_calls")

# errors


def test_the_one_that_fails_is_named_and_those_before_it_are_kept(small):
    record().before = fail_at(3)
    with pytest.raises(NodeError, match=r"square\[2\].*3 has no square"):
        small.run(squares(range(4)), progress=False)
    assert record().calls == [[1, 2, 3, 4], [1], [2], [3]]
    assert small.services.invocation_cache.entries("square[1]")


def test_with_continue_all_others_have_their_results(small):
    record().before = fail_at(3)
    run = small.run(squares(range(6)), progress=False, on_error="continue")
    assert [error.node for error in run.errors] == ["square[2]"]
    assert values(run) == [1, 4, 16, 25, 36]
    rows = run.stats[run.stats.source == "square"]
    assert dict(zip(rows.node, rows.status))["square[2]"] == "failed"
    assert run.status == "failed"


def test_a_batch_that_fails_where_each_succeeds_is_told(small, caplog):
    record().before = lambda values: fail_at(values[0])(values) if len(values) > 1 else None
    assert values(small.run(squares(range(3)), progress=False)) == [1, 4, 9]
    assert "square: 3 nodes in one call failed, each is run by itself: ValueError: 1 has no square" in caplog.text


def test_a_batch_that_gives_too_few_outputs_is_told_and_never_trusted(small, caplog, monkeypatch):
    whole = Square.invoke_batch
    monkeypatch.setattr(Square, "invoke_batch", staticmethod(lambda n, c: whole(n, c)[: max(1, len(n) - 1)]))
    assert values(small.run(squares(range(3)), progress=False)) == [1, 4, 9]
    assert "must return one IntegerOutput for each of 3 nodes" in caplog.text


def test_wrong_inputs_of_one_member_fail_that_one_alone(small):
    item = Iterate(id="each", collection=[1, 2, 3])
    run = small.run(squares([], value=item, kind=Text(value=item)), progress=False, on_error="continue")
    assert [error.node for error in run.errors] == ["square[1]"]
    assert values(run) == [1, 9]


def test_an_error_while_others_wait_stops_the_session_and_nothing_is_lost(small):
    run = small.submit(squares([], value=FailOnce(value=Iterate(id="each", collection=range(1, 5))))).wait()
    assert run.status == "failed"
    assert record().calls == []
    resumed = small.resume(run.id).wait()
    assert values(resumed) == [1, 4, 9, 16]


# memory


def test_a_batch_is_halved_when_memory_runs_out_and_stays_so(small):
    record().before = run_out_above(2)
    assert values(small.run(squares(range(8)), progress=False)) == [(n + 1) ** 2 for n in range(8)]
    assert sizes() == [4, 2, 2, 2, 2]


def test_halving_goes_down_to_single_nodes(small):
    record().before = run_out_above(1)
    assert values(small.run(squares(range(4)), progress=False)) == [1, 4, 9, 16]
    assert sizes() == [4, 2, 1, 1, 1, 1]


def test_a_node_that_does_not_fit_alone_says_what_to_do_and_the_next_run_works(small):
    record().before = run_out_above(0)
    with pytest.raises(NodeError) as raised:
        small.run(squares(range(2)), progress=False)
    for part in ("out of memory in Square", "asked for 2.00 GiB", "no models are loaded", "smaller picture", "unload"):
        assert part in str(raised.value)
    forget()
    assert values(small.run(squares(range(2)), progress=False)) == [1, 4]


# cancelling and going on


def test_a_cancel_in_a_batch_finishes_none_of_it_and_it_goes_on_later(small):
    record().before = cancel_at(6)
    run = small.submit(squares(range(8))).wait()
    assert run.status == "cancelled"
    assert values(run) == [1, 4, 9, 16]
    rows = run.stats[run.stats.source == "square"]
    assert list(rows.status) == ["completed"] * 4 + ["cancelled"] * 4
    forget()
    resumed = small.resume(run.id).wait()
    assert values(resumed) == [(n + 1) ** 2 for n in range(8)]
    assert record().calls == [[5, 6, 7, 8]]


def test_a_cancel_while_some_wait_is_heard_before_they_run(small):
    def cancel_then(event: Event) -> None:
        if isinstance(event, NodeCompleted) and event.node == "more[2]":
            small.services.processor.cancel(event.session_id)

    small.services.events.subscribe(cancel_then)
    run = small.submit(squares(range(8))).wait()
    assert (run.status, record().calls) == ("cancelled", [])


def test_a_saved_session_goes_on_in_another_kernel_with_what_is_left(small):
    record().before = cancel_at(6)
    run = small.submit(squares(range(8))).wait()
    saved = run.session.to_dict()
    forget()
    with nb.Studio(settings=nb.Settings(batch_size=3)) as other:
        session = GraphExecutionState.from_dict(saved)
        session.resume()
        other.invoker.invoke(session).wait()
        assert session.status == "completed"
    assert record().calls == [[5, 6, 7], [8]]


def test_a_run_in_a_folder_goes_on_after_the_last_batch_that_finished(tmp_path):
    settings = nb.Settings(batch_size=4, cache_entries=0)
    record().before = cancel_at(6)
    with nb.Studio(tmp_path / "studio", settings) as studio:
        run = studio.submit(squares(range(8))).wait()
    forget()
    with nb.Studio(tmp_path / "studio", settings) as studio:
        assert values(studio.resume(run.id).wait()) == [(n + 1) ** 2 for n in range(8)]
    assert record().calls == [[5, 6, 7, 8]]


def test_nothing_a_batch_made_is_kept_alive(small):
    """A failed call's frames would hold its tensors."""
    made: list[weakref.ref] = []

    def run_out(values: list[int]) -> None:
        tensor = torch.zeros(10)
        made.append(weakref.ref(tensor))
        run_out_above(0)(values)

    record().before = run_out
    small.run(squares(range(4)), progress=False, on_error="continue")
    gc.collect()
    assert len(made) == 6
    assert not any(ref() is not None for ref in made)


@invocation("test_text_at_two", category="test")
class Text(BaseInvocation):
    """The number, but for 2 one that is too large for what takes it."""

    value: int

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        return IntegerOutput.model_construct(value="none" if self.value == 2 else 0)


@invocation("test_fails_once", category="test", use_cache=False)
class FailOnce(BaseInvocation):
    """Passes numbers on; of 3 only the second time."""

    value: int

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        if self.value == 3 and not getattr(FailOnce, "failed", False):
            FailOnce.failed = True
            raise ValueError("not yet")
        return IntegerOutput(value=self.value)
