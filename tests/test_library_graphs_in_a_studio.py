"""What a notebook does with library graphs: they are run themselves, and as nodes of other graphs."""

import pytest

from nbgraph.errors import NotFoundError
from nbgraph.invocations import Add, If
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.library import Exposed, LibraryGraph


def either(*outputs: Exposed) -> LibraryGraph:
    """An `if` that takes `yes`, and `no`, which it does not take."""
    yes, no = Add(id="yes", a=1, b=1), Add(id="no", a=2, b=2)
    inner = Graph.of(If(id="if", condition=True, true_input=yes, false_input=no))
    return LibraryGraph("either", inner, [Exposed("way", "if", "condition")], outputs)


def test_what_a_graph_node_did_not_compute_is_told_when_it_is_asked_for_and_the_rest_is_there(studio):
    library = either(Exposed("taken", "if", "value"), Exposed("other", "no", "value"))
    result = studio.run(library.node_class()(id="graph"), progress=False)["graph"]
    assert result.taken == 2
    assert repr(result) == "GraphOutput(taken=2)"
    with pytest.raises(AttributeError, match=r"no 'other' here: graph\.no: its branch was not taken"):
        _ = result.other


def test_a_graph_node_that_gave_nothing_tells_why(studio):
    run = studio.run(either(Exposed("other", "no", "value")).node_class()(id="graph"), progress=False)
    with pytest.raises(NotFoundError, match=r"'graph' has no result: graph\.no: its branch was not taken"):
        _ = run["graph"]
