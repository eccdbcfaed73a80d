"""A part of a graph that is made a library graph, at any depth, gives what it gave in its place."""

from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from nbgraph.invocations.base import BaseInvocation
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.library import LibraryGraph
from tests.graph.oracle import Program
from tests.graph.running import run
from tests.graph.test_nested_loops_property import PROGRAMS, program_of, small

ODD_IDS = ["inner", "a.b", "inner[0]", "n0", " ", "é", "-1", "x" * 300, "a b\n", "'\"", "<b>", "日本", "\U0001f34e"]
OUTPUTS = {"iterate": "item", "add": "value", "total": "value"}


def nested(program: Program, cuts: list[tuple[int, str]]) -> tuple[Graph, dict[int, str]]:
    """The program with its first steps in a library graph, the first of those in another; the ids of its steps."""
    nodes: list[BaseInvocation] = []
    refs: dict[int, Any] = {}
    ids: dict[int, str] = {}
    cuts = sorted(cuts)
    for number, step in enumerate(program.steps):
        while cuts and cuts[0][0] <= number:
            _, name = cuts.pop(0)
            nodes, refs, ids = wrapped(program, nodes, refs, ids, name)
        node = program.node(f"n{number}", step, refs)
        nodes.append(node)
        refs[number] = node.output(OUTPUTS.get(step.kind, "collection"))
        ids[number] = f"n{number}"
    return Graph(nodes), ids


def wrapped(program: Program, nodes: Any, refs: Any, ids: Any, name: str) -> tuple[Any, Any, Any]:
    """All nodes so far as one node of a library graph that exposes every output."""
    inner = Graph(nodes)
    ends = {f"out{number}": f"{inner.id_of(ref.node)}.{ref.field}" for number, ref in refs.items()}
    node = LibraryGraph("part", inner, outputs=ends).node_class()(id=name)
    return (
        [node],
        {number: node.output(f"out{number}") for number in refs},
        {n: f"{name}.{old}" for n, old in ids.items()},
    )


@given(PROGRAMS, st.lists(st.tuples(st.integers(1, 13), st.sampled_from(ODD_IDS)), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_part_made_a_library_graph_means_the_same_and_comes_back_from_files(choices: Any, cuts: Any) -> None:
    program = program_of(*choices)
    assume(small(program))
    graph, ids = nested(program, cuts)
    assert graph.problems() == []
    again = Graph.from_json(graph.to_json())
    assert again == graph
    plain, session = run(program.graph), run(again).session
    for number, step in enumerate(program.steps):
        output = OUTPUTS.get(step.kind, "collection")
        found = {path: getattr(out, output) for path, out in session.outputs_of(ids[number]).items()}
        assert found == program.results(number), ids[number]
    assert [ids[int(name[1:].partition("[")[0])] for name in plain.order] == [
        prepared.planned.id for prepared, _ in session.results()
    ]
    scope: dict[str, Any] = {}
    exec(graph.to_python(), scope)  # noqa: S102
    assert scope["graph"].to_dict()["nodes"].keys() == graph.nodes.keys()
    assert run(scope["graph"]).session.outputs == session.outputs
