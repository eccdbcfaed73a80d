"""Texts with half of a surrogate pair, which no file can hold, are refused before a run, or kept out of files."""

from collections.abc import Callable

import pytest

from nbgraph.errors import GraphError, NodeError
from nbgraph.invocations import Add, Collect, Integer, Iterate, JoinStrings, String
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.outputs import StringOutput
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.library import LibraryGraph
from nbgraph.studio import Studio

HALF = "a\ud800b"


@invocation("test_gives_half", category="test")
class GivesHalf(BaseInvocation):
    """Gives half a character, or fails with it."""

    fails: bool = False

    def invoke(self, context: InvocationContext) -> StringOutput:
        if self.fails:
            raise ValueError(HALF)
        return StringOutput(value=HALF)


def with_note() -> Graph:
    graph = Graph.of(Add(a=1, b=2))
    graph.layout = {"notes": {"n": {"text": HALF, "x": 0, "y": 0, "width": 9, "height": 9}}}
    return graph


@pytest.mark.parametrize(
    ("make", "place"),
    [
        (lambda: String(id="text", value=HALF), "text.value"),
        (lambda: Collect(item=Iterate(id="each", collection=[1, ["whole", {HALF: 2}]])), "each.collection"),
        (lambda: Add(id=HALF, a=1, b=2), r"a\\ud800b: the id"),
        (with_note, "layout"),
    ],
    ids=["text", "within a list", "id", "layout"],
)
def test_what_no_file_can_hold_is_refused_before_the_run(make: Callable[[], BaseInvocation | Graph], place: str):
    with Studio() as studio:
        with pytest.raises(GraphError, match=f"{place}.* half of a surrogate pair"):
            studio.run(make(), progress=False)
        assert not studio.queue.frame.shape[0]


def test_other_texts_and_lists_that_hold_themselves_are_not_refused_for_it():
    itself: list[object] = ["whole"]
    itself.append(itself)
    with Studio() as studio:
        joined = studio.run(JoinStrings(id="end", string_left="naïve \U0001f34e", string_right="ß"), progress=False)
        assert joined["end"].value == "naïve \U0001f34eß"
        run = studio.run(Collect(id="end", item=Iterate(collection=[1]), collection=[itself]), progress=False)
        assert run.status == "completed"


def test_a_library_graph_is_not_named_by_one():
    with pytest.raises(GraphError, match="half of a surrogate pair"):
        LibraryGraph(HALF, Graph.of(Add(id="sum", a=1, b=2)))


def test_a_result_with_one_keeps_no_other_result_out_of_a_folder(tmp_path):
    nodes = [GivesHalf(id="half"), Add(id="sum", a=1, b=2), Integer(id="number", value=3)]
    with Studio(tmp_path / "studio") as studio:
        assert studio.run(nodes, progress=False)["half"].value == HALF
    with Studio(tmp_path / "studio") as studio:
        run = studio.run(nodes, progress=False)
        cached = {row.node: row.cached for row in studio.services.performance_statistics.rows(run.id)}
    assert cached == {"half": False, "sum": True, "number": True}


def test_an_error_with_one_is_shown_as_an_escape_and_stored(tmp_path):
    with Studio(tmp_path / "studio") as studio:
        with pytest.raises(NodeError, match=r"a\\ud800b"):
            studio.run(GivesHalf(id="half", fails=True), progress=False)
        (item,) = studio.services.queue.rows()
    assert (item.status, item.error) == ("failed", r"ValueError: a\ud800b")
