"""How far a run is, counted from its log: the same as somebody counts who hears of every node."""

from collections import Counter
from collections.abc import Iterator
from threading import Thread

import pytest

import nbgraph as nb
from nbgraph.invocations import Add, Collect, Integer, Iterate, Multiply
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.outputs import IntegerOutput
from nbgraph.progress import Counted, NodeTally, ProgressTracker
from nbgraph.services.events.events_common import Event, NodeCompleted, NodeStarted, RunLog
from nbgraph.services.invocation_stats.invocation_stats_common import Measured, Memory
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph


@pytest.fixture
def studio() -> Iterator[nb.Studio]:
    with nb.Studio() as opened:
        yield opened


@invocation("test_fails_at_two", category="test")
class FailsAtTwo(BaseInvocation):
    """Has no result for 2."""

    value: int = 0

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        if self.value == 2:
            raise ValueError("two")
        return IntegerOutput(value=self.value)


@invocation("test_shows_steps", category="test", use_cache=False)
class ShowsSteps(BaseInvocation):
    """Reports a step, with something that a preview would hold."""

    value: int = 0

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        context.progress(self.value, 9, preview=object())
        return IntegerOutput(value=self.value)


def loop() -> list[BaseInvocation]:
    """Three numbers doubled, and tried to be more: one of them fails."""
    double = Multiply(id="double", a=Iterate(id="each", collection=[0, 1, 2]), b=1)
    return [Collect(id="all", item=FailsAtTwo(id="tried", value=double)), Add(id="alone", a=1, b=2)]


def row(source: str, cached: bool = False) -> Measured:
    return Measured(source, source, "add", (), "completed", cached, 0.0, 0.25, Memory(0, 0, 0), None, "")


@pytest.mark.parametrize("is_folder", [False, True])
def test_the_log_counts_what_events_count(tmp_path, is_folder: bool) -> None:
    heard: list[Event] = []
    with nb.Studio(tmp_path / "studio" if is_folder else None) as studio:
        for _ in range(2):
            heard.clear()
            end = studio.services.events.subscribe(heard.append)
            run = studio.run(loop(), progress=False, on_error="continue")
            end()
            done = [event for event in heard if isinstance(event, NodeCompleted)]
            tallies = run.tracker.nodes
            assert (run.progress.done, run.progress.cached) == (len(done), sum(event.cached for event in done))
            assert Counter(event.source for event in done) == {name: tally.runs for name, tally in tallies.items()}
            seconds = sum(event.seconds for event in done if event.source == "double")
            assert tallies["double"].seconds == pytest.approx(seconds)
            assert tallies["tried"].error
            assert run.progress.done == len(run.stats) - 1
            assert (run.progress.node, run.tracker.source) == ("", "")


def test_whoever_counts_and_however_often_each_row_counts_once() -> None:
    log = RunLog()
    counted = [Counted(log)]
    threads = [Thread(target=lambda: [counted.append(counted[-1].further()) for _ in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(1000):
        log.rows.append(row(f"n{number % 7}", cached=number % 2 == 0))
    for thread in threads:
        thread.join()
    for each in (counted[-1].further(), counted[0].further(), Counted(log).further()):
        assert (each.done, each.cached) == (1000, 500)
        assert sum(tally.runs for tally in each.nodes.values()) == 1000
        assert each.nodes["n0"] == NodeTally(143, 72, 143 * 0.25)


def test_a_count_that_somebody_holds_does_not_change() -> None:
    log = RunLog()
    log.rows.append(row("a"))
    first = Counted(log).further()
    log.rows.append(row("a"))
    assert (first.nodes["a"].runs, first.further().nodes["a"].runs, first.nodes["a"].runs) == (1, 2, 1)


def test_the_steps_of_a_node_and_its_preview_go_when_it_has_ended(studio: nb.Studio) -> None:
    seen: list[tuple[type[Event], int, bool]] = []
    stepping = ShowsSteps(id="stepping", value=Integer(id="before", value=3))
    session = GraphExecutionState(Graph.of(Add(id="after", a=stepping, b=1)))
    tracker = ProgressTracker(session.id)

    def look(event: Event) -> None:
        tracker(event)
        seen.append((type(event), tracker.steps, tracker.preview is not None))

    end = studio.services.events.subscribe(look, each_node=False)
    studio.invoker.invoke(session).wait()
    end()
    kinds = {kind.__name__: (steps, has_preview) for kind, steps, has_preview in seen}
    assert kinds["NodeProgress"] == (9, True)
    assert kinds["NodeCompleted"] == (0, False)


def test_events_of_nodes_are_made_for_those_alone_who_hear_them(studio: nb.Studio) -> None:
    events = studio.services.events
    heard: list[Event] = []
    end = events.subscribe(heard.append, each_node=False)
    studio.run(Add(id="sum", a=1, b=2), progress=False)
    assert not events.hears_nodes
    assert not any(isinstance(event, NodeStarted | NodeCompleted) for event in heard)
    end_of_nodes = events.subscribe(lambda event: None)
    assert events.hears_nodes
    studio.run(Add(id="sum", a=2, b=2), progress=False)
    assert [type(event) for event in heard[-4:]][1:3] == [NodeStarted, NodeCompleted]
    end_of_nodes()
    end()
    assert not events.hears_nodes
    assert not events.is_heard
