"""What a notebook does with library graphs: they are run themselves, and as nodes of other graphs."""

import pytest

from nbgraph.errors import GraphError, NotFoundError
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


def test_a_library_graph_that_is_run_takes_values_by_the_names_it_exposes_and_by_address(studio):
    library = either(Exposed("taken", "if", "value"))
    run = studio.run(library, {"way": False, "no.a": 5}, progress=False)
    assert run["if"].value == 7
    assert studio.run(library, progress=False)["if"].value == 2
    assert studio.explain(library, {"way": False}).set_index("node").because["if"]


def test_a_name_that_a_library_graph_does_not_expose_is_told_with_the_nearest_it_does(studio):
    with pytest.raises(GraphError, match=r"either.wya: has no input 'wya'; did you mean 'way'\?.*\"node\.field\""):
        studio.run(either(), {"wya": False}, progress=False)
