"""Nodes that can be batched run together, and what is cached, told and measured is as if they had run one by one."""

import pytest

import nbgraph as nb
from nbgraph.errors import NbgraphError
from nbgraph.invocations import Add, Collect, Iterate, Multiply, Range
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.outputs import IntegerOutput
from nbgraph.services.events.events_common import Event, NodeCompleted, NodeStarted
from nbgraph.services.invocation_processor.node_batches import BYTES_PER_PIXEL
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph
from tests.services.batched_nodes import Square, forget, record, sizes, squares, values

pytestmark = pytest.mark.usefixtures("no_calls")

# what runs together


def test_siblings_run_in_calls_of_the_batch_size(small):
    run = small.run(squares(range(10)), progress=False)
    assert record().calls == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10]]
    assert values(run) == [(n + 1) ** 2 for n in range(10)]


def test_strict_runs_each_by_itself(small):
    run = small.run(squares(range(6)), progress=False, strict=True)
    assert record().calls == [[n + 1] for n in range(6)]
    assert values(run) == [(n + 1) ** 2 for n in range(6)]


@pytest.mark.parametrize("strict", [False, True])
def test_a_saved_session_keeps_whether_it_is_strict(strict):
    session = GraphExecutionState(Graph.of(squares([1])), strict=strict)
    assert GraphExecutionState.from_dict(session.to_dict()).strict is strict


def test_a_sweep_may_be_strict(small):
    item = Iterate(id="each", collection=[1, 2])
    small.sweep(Collect(item=squares([], value=item)), {"square.kind": [1, 2]}, progress=False, strict=True)
    assert sizes() == [1, 1, 1, 1]


def test_a_batch_size_of_one_runs_each_by_itself():
    with nb.Studio(settings=nb.Settings(batch_size=1)) as studio:
        studio.run(squares(range(3)), progress=False)
    assert sizes() == [1, 1, 1]


def test_pixels_limit_a_batch():
    with nb.Studio(settings=nb.Settings(batch_size=8, batch_pixels=3 * 512 * 512)) as studio:
        studio.run(squares(range(7)), progress=False)
    assert sizes() == [3, 3, 1]


def test_free_memory_limits_a_batch(small, monkeypatch):
    models = type(small.services.model_manager)
    monkeypatch.setattr(models, "free_bytes", property(lambda self: 2 * 512 * 512 * BYTES_PER_PIXEL))
    small.run(squares(range(4)), progress=False)
    assert sizes() == [2, 2]


def test_a_node_outside_any_iteration_runs_at_once(small):
    assert small.run(Square(id="square", value=3), progress=False)["square"].value == 9
    assert record().calls == [[3]]


def test_only_equal_keys_run_in_one_call_and_paths_finish_in_order(small):
    item = Iterate(id="each", collection=[0, 1, 0, 1])
    run = small.run(squares([], value=Add(a=item.output("index"), b=1), kind=item.output("item")), progress=False)
    assert record().calls == [[1, 3], [2, 4]]
    finished = [prepared.id for prepared, _ in run.session.results() if prepared.planned.id == "square"]
    assert finished == ["square[0]", "square[1]", "square[2]", "square[3]"]


def test_what_is_further_along_is_finished_before_the_next_batch_begins(small):
    small.run(Square(id="again", kind=1, value=squares(range(8))), progress=False)
    assert record().calls == [[1, 2, 3, 4], [1, 4, 9, 16], [5, 6, 7, 8], [25, 36, 49, 64]]


def test_a_shorter_batch_further_along_does_not_wait_for_more(small):
    """One of four is cached, so the batch of `again` is not full; it runs before the next squares do."""
    small.run(Square(value=4, kind=1), progress=False)
    forget()
    small.run(Square(id="again", kind=1, value=squares(range(8))), progress=False)
    assert record().calls[1] == [1, 9, 16]


def test_independent_iterations_make_full_batches_of_their_product(small):
    rows, columns = Iterate(id="row", collection=[1, 2]), Iterate(id="column", collection=[10, 20, 30])
    run = small.run(squares([], value=Add(a=rows, b=columns)), progress=False)
    assert record().calls == [[11, 21, 31, 12], [22, 32]]
    assert values(run) == [121, 441, 961, 144, 484, 1024]


def test_two_nodes_beside_each_other_both_run_together(small):
    item = Iterate(id="each", collection=[1, 2, 3])
    small.run([Square(id="left", value=item), Square(id="right", value=item, kind=1)], progress=False)
    assert sorted(record().calls) == [[1, 2, 3], [1, 2, 3]]


def test_batches_are_collected_like_any_other_results(small):
    total = Collect(id="total", item=squares(range(6)))
    assert small.run(total, progress=False)["total"].collection == [1, 4, 9, 16, 25, 36]


def test_lists_that_become_known_late_are_batched_within_each(small):
    outer = Iterate(id="outer", collection=[2, 3])
    inner = Iterate(id="inner", collection=Range(stop=outer))
    run = small.run(squares([], value=Add(a=inner, b=Multiply(a=outer, b=10))), progress=False)
    assert values(run) == [400, 441, 900, 961, 1024]
    assert sum(sizes()) == 5
    assert len(sizes()) < 5


def test_work_beside_a_batch_does_not_hold_it_up(small):
    """The siblings come only after inner loops that no square needs: the batch is run before they are through."""
    each = Iterate(id="each", collection=[1, 2])
    beside = Add(id="beside", a=Iterate(id="inner", collection=Range(stop=Multiply(a=each, b=100))), b=1)
    run = small.run([squares([], value=each, kind=Add(a=0, b=0)), beside], progress=False)
    order = [prepared.id for prepared, _ in run.session.results()]
    assert order.index("square[0]") < order.index("beside[0,50]")


def test_the_last_of_the_siblings_is_not_waited_beyond(small):
    others = Add(id="other", a=Iterate(id="number", collection=list(range(20))), b=1)
    run = small.run([squares([1, 2]), others], progress=False)
    order = [prepared.id for prepared, _ in run.session.results()]
    assert order.index("square[0]") == order.index("more[1]") + 1


# the cache


def test_what_ran_together_is_cached_one_by_one(small):
    small.run(squares(range(6)), progress=False)
    again = small.run(squares(range(6)), progress=False, strict=True)
    assert again.stats.cached[again.stats.type != "iterate"].all()
    assert len(record().calls) == 2


def test_what_ran_one_by_one_is_found_by_a_batch(small):
    small.run(squares(range(6)), progress=False, strict=True)
    before = len(record().calls)
    again = small.run(squares(range(6)), progress=False)
    assert again.stats.cached[again.stats.type != "iterate"].all()
    assert len(record().calls) == before


def test_only_what_is_not_cached_runs_and_all_finish_in_order(small):
    small.run(squares([1, 3]), progress=False)
    forget()
    run = small.run(squares(range(5)), progress=False)
    assert record().calls == [[1, 3, 5]]
    finished = [prepared.path[0] for prepared, _ in run.session.results() if prepared.planned.id == "square"]
    assert finished == [0, 1, 2, 3, 4]


def test_equal_members_are_computed_once(small):
    run = small.run(squares([7, 7, 8, 7]), progress=False)
    assert record().calls == [[8, 9]]
    rows = run.stats[run.stats.source == "square"]
    assert list(rows.sort_values("path").cached) == [False, True, False, True]


def test_equal_members_run_again_where_nothing_is_cached(small):
    with small.cache.off():
        run = small.run(squares([7, 7]), progress=False)
    assert record().calls == [[8, 8]]
    assert values(run) == [64, 64]


def test_hits_and_misses_are_counted_as_one_by_one(small):
    with nb.Studio() as other:
        for studio, strict in ((small, False), (other, True)):
            for _ in range(2):
                studio.run(squares(range(6)), progress=False, strict=strict)
        first, second = (studio.services.invocation_cache.status() for studio in (small, other))
    assert (first.hits, first.misses, first.size) == (second.hits, second.misses, second.size)


def test_forgetting_what_went_in_forgets_what_came_of_a_batch(small):
    small.run(squares(range(4)), progress=False)
    assert small.cache.forget("more", downstream=True) == 8


def test_forgetting_a_batch_forgets_what_came_of_it(small):
    small.run(Add(id="after", a=squares(range(4)), b=100), progress=False)
    assert small.cache.forget("square", downstream=True) == 8


def test_changing_the_code_of_a_batch_runs_it_again(small):
    def define(added: int) -> type[BaseInvocation]:
        @invocation("test_shift_together", category="test")
        class Shift(BaseInvocation):
            value: int

            def batch_key(self, context: InvocationContext) -> int:
                return 0

            def invoke(self, context: InvocationContext) -> IntegerOutput:
                return self.invoke_batch([self], [context])[0]

            @staticmethod
            def invoke_batch(nodes, contexts) -> list[IntegerOutput]:
                return [IntegerOutput(value=node.value + added) for node in nodes]

        return Shift

    found = [
        values(small.run(define(added)(id="shift", value=Iterate(collection=[1, 2])), progress=False), "shift")
        for added in (10, 20)
    ]
    assert found == [[11, 12], [21, 22]]


# stats and events


def test_every_member_has_its_row_and_an_equal_share_of_the_seconds(small):
    rows = small.run(squares(range(6)), progress=False).stats
    mine = rows[rows.source == "square"]
    assert list(mine.batch) == [4, 4, 4, 4, 2, 2]
    assert list(mine.node) == [f"square[{n}]" for n in range(6)]
    assert mine.seconds.iloc[:4].nunique() == 1
    assert mine.started.is_monotonic_increasing
    assert set(rows.batch[rows.source == "more"]) == {1}


def test_rows_of_a_batch_outlive_the_kernel(tmp_path):
    with nb.Studio(tmp_path / "studio") as studio:
        run = studio.run(squares(range(3)), progress=False)
        before = run.stats
    with nb.Studio(tmp_path / "studio") as studio:
        after = studio.stats
    assert list(after.batch) == list(before.batch)
    assert 3 in set(after.batch)


def test_every_member_starts_and_completes(small):
    events: list[Event] = []
    small.services.events.subscribe(events.append)
    small.run(squares(range(3)), progress=False)
    mine = [event for event in events if getattr(event, "source", "") == "square"]
    started = [event.node for event in mine if isinstance(event, NodeStarted)]
    completed = [event.node for event in mine if isinstance(event, NodeCompleted)]
    assert started == completed == ["square[0]", "square[1]", "square[2]"]


def test_a_batch_key_without_invoke_batch_is_refused():
    with pytest.raises(NbgraphError, match="batch_key and invoke_batch go together"):

        @invocation("test_half_batched", category="test")
        class Half(BaseInvocation):
            def batch_key(self, context: InvocationContext) -> int:
                return 0

            def invoke(self, context: InvocationContext) -> IntegerOutput:
                return IntegerOutput(value=0)
