"""What the canvas is told to begin with: library graphs, node types of cells, labels, and seeds that were drawn."""

import pytest
from pydantic import Field
from waiting import comes_true
from widgets.conftest import Heard

from nbgraph.invocations import Noise
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.outputs import IntegerOutput
from nbgraph.services.shared.default_graphs import default_graphs
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.widgets.changes import read_changes
from nbgraph.widgets.document import GraphDocument
from nbgraph.widgets.library_graphs import templates
from nbgraph.widgets.schema import node_type


class SeedOutput(IntegerOutput):
    """A number and the seed it came from."""

    seed: int


@invocation("test_drawn_seed", title="Drawn")
class Drawn(BaseInvocation):
    """Gives a seed that no page could take as a number."""

    amount: int = Field(2**63, title="How much", description="A large number.")

    def invoke(self, context: InvocationContext) -> SeedOutput:
        return SeedOutput(value=1, seed=self.amount)


def test_library_graphs_come_as_changes_that_make_them_again(invoker):
    found = {one["name"]: one for one in templates(invoker.services)}
    assert {"text to image", "image to image"} <= found.keys()
    document = GraphDocument(Graph())
    document.edit(read_changes(found["text to image"]["changes"]))
    [library] = [one for one in invoker.services.graph_library.list().items if one.name == "text to image"]
    assert document.graph.nodes.keys() == library.graph.nodes.keys()
    assert {str(edge) for edge in document.graph.edges} == {str(edge) for edge in library.graph.edges}


def test_a_page_gets_the_library_graphs_of_the_studio_and_none_without_one(graph, invoker):
    for given, count in ((invoker, len(default_graphs())), (None, 0)):
        editor = Heard(graph, given)
        [told] = [one for one in editor.tell({"type": "ready"}) if one["type"] == "document"]
        assert len(told["templates"]) == count
        editor.close()


def test_node_types_defined_after_the_page_was_opened_are_told_once_a_cell_has_ended(editor):
    @invocation("test_defined_late", title="Late")
    class Late(Noise):
        """Comes late."""

    editor.heard.clear()
    editor._after_cell()
    [told] = [one for one in editor.heard if one["type"] == "types"]
    assert told["types"]["test_defined_late"]["title"] == "Late"
    editor.heard.clear()
    editor._after_cell()
    assert editor.heard == []


def test_titles_of_inputs_and_types_of_the_notebook_are_in_the_schema(monkeypatch: pytest.MonkeyPatch):
    [amount] = node_type(Drawn)["inputs"]
    assert (amount["label"], amount["description"]) == ("How much", "A large number.")
    assert "own" not in node_type(Drawn)
    monkeypatch.setattr(Drawn, "__module__", "__main__")
    assert node_type(Drawn)["own"] is True


def test_a_seed_that_was_drawn_is_told_in_digits(invoker):
    editor = Heard(Graph([Drawn(id="drawn")]), invoker)
    editor.tell({"type": "ready"})
    editor.tell({"type": "run"})
    feed = editor._feed
    assert feed is not None
    assert comes_true(lambda: feed.status == "completed")
    assert feed.states["drawn"].seed == str(2**63)
    editor.close()
