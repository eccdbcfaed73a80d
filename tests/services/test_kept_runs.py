"""A graph that ran before is answered from the kept run, and gives what a fresh studio gives, whatever was changed."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nbgraph as nb
from nbgraph.errors import GraphError
from nbgraph.invocations import Add, Collect, If, Integer, Iterate, Multiply, RandomInteger, Range
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.outputs import IntegerOutput
from nbgraph.services.events.events_common import Event, NodeCompleted
from nbgraph.services.invocation_cache.contents import Contents
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph

SETTINGS = settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
CALLS: list[int] = []


@pytest.fixture
def studio() -> Iterator[nb.Studio]:
    with nb.Studio() as opened:
        yield opened


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The keys that were made."""
    made: list[bytes] = []
    whole = Contents.key

    def noted(self: Contents, *args: Any) -> tuple[bytes, bytes]:
        found = whole(self, *args)
        made.append(found[0])
        return found

    monkeypatch.setattr(Contents, "key", noted)
    return made


@invocation("test_kept_total", category="test")
class Total(BaseInvocation):
    """Adds a list, and what a dict has."""

    numbers: list[int] = []
    named: dict[str, int] = {}
    more: int = 0

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        return IntegerOutput(value=sum(self.numbers) + sum(self.named.values()) + self.more)


@invocation("test_kept_counted", category="test", use_cache=True)
class Counted(BaseInvocation):
    """Gives a number that depends on what no key knows of."""

    value: int = 0

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        CALLS.append(self.value)
        return IntegerOutput(value=int(os.environ.get("TEST_OFFSET", "0")) + self.value)


class Shop:
    """A few nodes whose results are all cached, and edits of them and of the cache."""

    def __init__(self) -> None:
        self.a, self.b = Integer(id="a", value=2), Integer(id="b", value=3)
        self.listed = Total(id="listed", numbers=[1, 2], named={"x": 4}, more=self.a)
        self.added = Add(id="added", a=self.listed, b=self.b)
        self.each = Iterate(id="each", collection=[1, 2, 3])
        self.body = Multiply(id="body", a=self.each.output("item"), b=self.added)
        self.all = Collect(id="all", item=[self.body, self.added])
        self.range = Range(id="range", stop=3)
        self.inner = Add(id="inner", a=Iterate(id="again", collection=self.range), b=self.added)
        self.last = Collect(id="last", item=self.inner, collection=[9])
        self.spare = Add(id="spare", a=self.b, b=10)
        self.targets: list[BaseInvocation] = [self.all, self.last]

    def edit(self, studio: nb.Studio, number: int, value: int) -> None:
        """Change a value, an edge, what is in a list or a dict, or what is cached."""
        cache = studio.services.invocation_cache
        edits: list[Callable[[], Any]] = [
            lambda: setattr(self.a, "value", value),
            lambda: vars(self.a).update(value=value),
            lambda: self.listed.numbers.append(value),
            lambda: self.listed.named.update(x=value),
            lambda: vars(self.listed).update(named={"y": value}),
            lambda: self.each.collection.append(value % 5),
            lambda: self.each.collection.clear(),
            lambda: vars(self.last)["collection"].append(value),
            lambda: setattr(self.range, "stop", value),
            lambda: setattr(self.added, "b", self.spare.output("value")),
            lambda: vars(self.all)["item"].append(self.spare.output("value")),
            lambda: setattr(self.b, "use_cache", [None, True, False][value % 3]),
            lambda: setattr(self.all, "use_cache", [None, True, False][value % 3]),
            lambda: cache.forget(node=["a", "added", "body", "listed"][value % 4], downstream=value % 2 == 0),
            lambda: cache.clear(),
            lambda: cache.disable() if cache.enabled else cache.enable(),
            lambda: self.targets.reverse(),
        ]
        edits[number % len(edits)]()


def outcome(studio: nb.Studio, targets: list[BaseInvocation]) -> tuple[Any, ...]:
    """The status, and what every node gave at each path, or what was wrong."""
    try:
        run = studio.run(targets, progress=False, on_error="continue")
    except GraphError as error:
        return "refused", [str(problem) for problem in error.problems]
    given = {prepared.id: output.model_dump() for prepared, output in run.session.results()}
    rows = [(row.node, row.source, row.type, row.path, row.status) for row in rows_of(studio, run)]
    return run.status, given, rows, run.progress.done, sorted(error.message for error in run.errors)


def rows_of(studio: nb.Studio, run: nb.Run) -> list[Any]:
    return studio.services.performance_statistics.rows(run.id)


@SETTINGS
@given(st.lists(st.tuples(st.integers(0, 16), st.integers(0, 6)), min_size=1, max_size=6))
def test_after_any_edits_a_graph_gives_what_it_gives_in_a_fresh_studio(edits: list[tuple[int, int]]) -> None:
    shop = Shop()
    with nb.Studio() as studio:
        outcome(studio, shop.targets)
        for number, value in edits:
            shop.edit(studio, number, value)
            with nb.Studio() as fresh:
                expected = outcome(fresh, shop.targets)
            assert [outcome(studio, shop.targets) for _ in range(3)] == [expected] * 3


@pytest.mark.parametrize("is_folder", [False, True])
def test_an_answer_is_a_cached_run_in_all_but_the_keys(tmp_path: Path, keys: list[bytes], is_folder: bool) -> None:
    shop, other = Shop(), Shop()
    heard: list[Event] = []
    with nb.Studio(tmp_path / "one" if is_folder else None) as studio, nb.Studio() as plain:
        for each, nodes in ((studio, shop), (plain, other)):
            each.run(nodes.targets, progress=False)
            each.services.events.subscribe(heard.append)
        keys.clear()
        hits = studio.services.invocation_cache.hits
        run = studio.run(shop.targets, progress=False)
        assert keys == []
        answered, heard[:] = [event for event in heard if isinstance(event, NodeCompleted)], []
        plain.services.invocation_cache.runs.clear()
        usual = plain.run(other.targets, progress=False)
        assert len(keys) > 0
        done = [event for event in heard if isinstance(event, NodeCompleted)]
        for name in ("node", "source", "type", "cached", "output"):
            assert [getattr(event, name) for event in answered] == [getattr(event, name) for event in done]
        facts = ("node", "source", "type", "path", "status", "cached", "batch", "seed", "error")
        rows = [
            [[getattr(row, name) for name in facts] for row in rows_of(*pair)]
            for pair in ((studio, run), (plain, usual))
        ]
        assert rows[0] == rows[1]
        assert studio.services.invocation_cache.hits - hits == sum(row.cached for row in rows_of(studio, run))
        assert (run.progress.done, run.progress.cached) == (usual.progress.done, usual.progress.cached)
        assert studio.services.queue.item(run.id).status == run.status == "completed"
        used = {row.node: row.hits for row in studio.services.invocation_cache.entries()}
        assert used["added"] == 1
        stored = studio.services.graph_execution_manager.get(run.id).to_dict()["outputs"]
        assert stored == usual.session.to_dict()["outputs"]
    if is_folder:
        with nb.Studio(tmp_path / "one") as again:
            read = again.services.graph_execution_manager.get(run.id)
            assert read.status == "completed"
            assert read.to_dict()["outputs"] == stored


def test_the_session_of_an_answer_is_at_its_end_and_can_be_extended(studio: nb.Studio, keys: list[bytes]) -> None:
    shop = Shop()
    graph = Graph.of(*shop.targets)
    studio.run(graph, progress=False)
    keys.clear()
    session = studio.run(graph, progress=False).session
    assert keys == []
    assert session.next() is None
    assert session.is_complete
    assert not any(session.expects(planned) for planned in session.plan.nodes)
    assert GraphExecutionState.from_dict(session.to_dict()).status == "completed"
    graph.add_node(Add(id="more", a=shop.added, b=1))
    session.extend(graph)
    assert [planned.id for planned in iter(lambda: getattr(session.next(), "planned", None), None)] == ["more"]


def test_a_result_that_was_made_anew_and_came_out_otherwise_is_followed(
    studio: nb.Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Counted(id="first", value=5)
    total = Add(id="total", a=first, b=1)
    assert studio.run(total, progress=False)[total].value == 6
    monkeypatch.setenv("TEST_OFFSET", "100")
    studio.services.invocation_cache.forget(node="first", downstream=False)
    assert studio.run(Add(id="other", a=first, b=50), progress=False)["other"].value == 155
    assert studio.run(total, progress=False)[total].value == 106


def test_an_entry_that_goes_without_a_word_is_seen(studio: nb.Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Counted(id="first", value=5)
    total = Add(id="total", a=first, b=1)
    studio.run(total, progress=False)
    cache = studio.services.invocation_cache
    cache._drop([row.key for row in cache.entries("first")])
    monkeypatch.setenv("TEST_OFFSET", "100")
    assert studio.run(Add(id="other", a=first, b=50), progress=False)["other"].value == 155
    assert studio.run(total, progress=False)[total].value == 106


def test_code_that_changed_is_run(studio: nb.Studio) -> None:
    @invocation("test_kept_code", category="test")
    class Own(BaseInvocation):
        value: int = 1

        def invoke(self, context: InvocationContext) -> IntegerOutput:
            return IntegerOutput(value=self.value)

    node = Own(id="own", value=4)
    assert [studio.run(node, progress=False)[node].value for _ in range(2)] == [4, 4]

    def invoke(self: Own, context: InvocationContext) -> IntegerOutput:
        return IntegerOutput(value=10 * self.value)

    Own.invoke = invoke  # type: ignore[method-assign]
    assert [studio.run(node, progress=False)[node].value for _ in range(2)] == [40, 40]


def test_what_is_drawn_chosen_or_not_cached_is_run_each_time(studio: nb.Studio) -> None:
    CALLS.clear()
    drawn = [studio.run(RandomInteger(id="drawn"), progress=False)["drawn"].value for _ in range(2)]
    node = RandomInteger(id="drawn")
    drawn += [studio.run(node, progress=False)[node].value for _ in range(3)]
    assert len(set(drawn)) > 1
    always = Counted(id="always", value=1, use_cache=False)
    total = Add(id="total", a=always, b=1)
    for _ in range(3):
        studio.run(total, progress=False)
    assert CALLS == [1, 1, 1]
    chosen = If(
        id="chosen", condition=True, true_input=Integer(id="yes", value=1), false_input=Integer(id="no", value=2)
    )
    for _ in range(2):
        run = studio.run(chosen, progress=False)
        assert run[chosen].value == 1
        assert list(run.session.skipped) == ["no"]


def test_a_list_that_is_cached_itself_is_found_in_the_cache(studio: nb.Studio) -> None:
    listed = Collect(id="all", item=[Integer(id="one", value=1), Integer(id="two", value=2)], use_cache=True)
    cached = [studio.run(listed, progress=False).progress.cached for _ in range(3)]
    assert cached == [0, 3, 3]


def test_a_list_over_the_limit_is_refused_though_a_longer_one_was_allowed_before(studio: nb.Studio) -> None:
    graph = Graph.of(Collect(id="all", item=Add(a=Iterate(collection=Range(id="range", stop=3)))))
    studio.run(graph, progress=False)
    session = GraphExecutionState(graph, max_iterations=2)
    studio.invoker.invoke(session).wait()
    assert session.status == "failed"


def test_a_graph_that_names_an_image_is_never_answered(studio: nb.Studio, keys: list[bytes]) -> None:
    picture = nb.invocations.BlankImage(id="picture", width=8, height=8)
    name = studio.run(picture, progress=False).session.outputs_of("picture")[()].image.image_name  # type: ignore[attr-defined]
    studio.images.delete(name)
    again = studio.run(picture, progress=False)
    assert again.images[0].size == (8, 8)
    keys.clear()
    studio.run(picture, progress=False)
    assert len(keys) == 1


def test_a_run_that_is_cancelled_before_it_begins_is_not_answered(studio: nb.Studio) -> None:
    graph = Graph.of(*Shop().targets)
    studio.run(graph, progress=False)
    session = GraphExecutionState(graph)
    session.cancel()
    studio.invoker.invoke(session).wait()
    assert session.status == "cancelled"
    assert len(session) == 0


def test_runs_in_several_threads_and_studios_are_answered_each_by_its_own(keys: list[bytes]) -> None:
    shop = Shop()
    with nb.Studio() as one, nb.Studio() as other:
        expected = outcome(one, [shop.all])
        found: list[Any] = []
        runs = [
            Thread(target=lambda studio=each: found.append(outcome(studio, [shop.all]))) for each in (one, other) * 3
        ]
        for thread in runs:
            thread.start()
        for thread in runs:
            thread.join()
        assert found == [expected] * 6
        keys.clear()
        outcome(other, [shop.all])
        assert keys == []


def test_results_that_were_dropped_are_not_kept_alive(studio: nb.Studio) -> None:
    graph = Graph.of(*Shop().targets)
    plan = studio.run(graph, progress=False).session.plan
    assert studio.services.invocation_cache.runs.get(plan) is not None
    studio.cache.clear()
    assert studio.services.invocation_cache.runs.get(plan) is None
