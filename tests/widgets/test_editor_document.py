"""One document with two authors: whatever either does, both agree, and undo returns to any earlier state."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbgraph.errors import GraphError
from nbgraph.invocations import Add, Collect, Float, Integer, Iterate, String
from nbgraph.services.shared.graph.edges import Connection, Edge
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.widgets.changes import GONE, Change, applied, difference
from nbgraph.widgets.derived import PARTS, Derived
from nbgraph.widgets.document import DEPTH, GraphDocument, ReadOnlyError, StaleRevisionError

IDS = ("a", "b", "c", "d", "e")
MADE = {"integer": Integer, "float": Float, "string": String, "add": Add, "collect": Collect, "iterate": Iterate}
LAST_FIELD = {"add": "b", "collect": "item", "iterate": "collection"}
OUTPUTS = {"collect": "collection", "iterate": "item"}

FRAME = {"kind": "frame", "x": 0.0, "y": 1.0, "width": 90.0, "height": 90.0}
ids = st.sampled_from(IDS)
values = st.one_of(st.integers(-5, 5), st.floats(-2, 2), st.text(max_size=4), st.none(), st.booleans())
places = st.floats(-1000, 1000)
canvas_changes = st.one_of(
    st.builds(lambda i, t: Change("node", i, "", {"type": t}), ids, st.sampled_from([*MADE, "no_such_type"])),
    st.builds(lambda i: Change("node", i, ""), ids),
    st.builds(lambda i, f, v: Change("input", i, f, {"value": v}), ids, st.sampled_from(["value", "a", "b"]), values),
    st.builds(lambda i, f: Change("input", i, f), ids, st.sampled_from(["value", "a", "b", "item", "collection"])),
    st.builds(
        lambda i, f, links: Change("input", i, f, {"links": links}),
        ids,
        st.sampled_from(["a", "b", "item", "value", "collection"]),
        st.lists(st.tuples(ids, st.sampled_from(["value", "collection", "item"])).map(list), min_size=1, max_size=2),
    ),
    st.builds(lambda i, x: Change("layout", i, "x", x), ids, places),
    st.builds(lambda i, m: Change("layout", i, "mode", m), ids, st.sampled_from(["mute", "bypass", "other"])),
    st.builds(lambda i, v: Change("option", i, "use_cache", v), ids, st.booleans()),
    st.builds(
        lambda i, t: Change("note", f"note {i}", "", {**FRAME, "text": t}),
        ids,
        st.text(max_size=5),
    ),
)
canvas_edits = st.lists(canvas_changes, min_size=1, max_size=4).map(lambda changes: ("canvas", changes))
python_edits = st.tuples(
    st.just("python"), st.tuples(st.sampled_from(["add", "delete", "set", "link", "cut"]), ids, ids, values)
)
moves = st.sampled_from([("undo", None), ("redo", None), ("undo", None)])


def linked() -> Graph:
    """a -> b (collects) -> c (hands out) -> d (adds) -> e (adds)"""
    items = Iterate(id="c", collection=Collect(id="b", item=Integer(id="a", value=1)))
    return Graph.of(Add(id="e", a=Add(id="d", a=items)))


def edit_in_python(graph: Graph, what: str, one: str, other: str, value: object) -> None:
    if what == "add" and one not in graph:
        graph.add_node(Add(id=one))
    elif what == "delete" and one in graph:
        graph.delete_node(one)
    elif what == "set" and one in graph and graph[one].type not in OUTPUTS:
        graph.update_node(one, **{"a" if graph[one].type == "add" else "value": value})
    elif what in ("link", "cut") and one in graph and other in graph:
        source, target = graph[one], graph[other]
        output, field = OUTPUTS.get(source.type, "value"), LAST_FIELD.get(target.type, "value")
        edge = Edge(Connection(one, output), Connection(other, field))
        graph.add_edge(edge) if what == "link" else graph.delete_edge(edge)


@settings(max_examples=120, deadline=None)
@given(st.lists(st.one_of(canvas_edits, python_edits, moves), max_size=25))
def test_the_page_and_the_graph_agree_after_any_edits_and_undo_returns_to_every_earlier_state(steps):
    document = GraphDocument(linked())
    page = dict(document.state)
    revisions = []

    def hear(update):
        nonlocal page
        page = applied(page, update.changes)
        revisions.append(update.revision)

    document.on_update(hear)
    past, future = [dict(document.state)], []
    for who, what in steps:
        before = dict(document.state)
        try:
            if who == "canvas":
                document.edit(what, author="canvas")
            elif who == "python":
                edit_in_python(document.graph, *what)
                document.refresh()
            elif who == "undo" and document.undo():
                future.append(past.pop())
            elif who == "redo" and document.redo():
                past.append(future.pop())
        except GraphError:
            assert document.state == before
            assert not document.refresh()
        if who in ("canvas", "python") and document.state != before:
            past.append(dict(document.state))
            future.clear()
        assert page == document.state == GraphDocument(document.graph).state
        assert document.state == past[-1]
        assert document.depths == (len(past) - 1, len(future))
    assert revisions == list(range(1, document.revision + 1))
    while document.undo():
        past.pop()
        assert document.state == page == past[-1]
    assert len(past) == 1


@settings(max_examples=60, deadline=None)
@given(st.lists(canvas_edits, max_size=12))
def test_nothing_of_a_document_is_lost_in_json(steps):
    document = GraphDocument(Graph())
    for _, changes in steps:
        try:
            document.edit(changes)
        except GraphError:
            continue
    again = GraphDocument(Graph.from_json(document.graph.to_json()))
    assert [change for change in difference(again.state, document.state) if change.value is not GONE] == []


def test_an_edit_of_a_node_in_place_is_seen(graph):
    document = GraphDocument(graph)
    graph["one"].value = 5
    assert document.refresh()
    assert document.state[("input", "one", "value")] == {"value": 5}


def test_a_stale_edit_is_refused_and_changes_nothing(graph):
    document = GraphDocument(graph)
    graph.update_node("one", value=4)
    with pytest.raises(StaleRevisionError, match="revision 0"):
        document.edit([Change("input", "one", "value", {"value": 9})], base=0)
    assert graph["one"].value == 4


def test_edits_of_one_field_in_a_row_are_one_step_of_undo(graph):
    document = GraphDocument(graph)
    for value in (4, 5, 6):
        document.edit([Change("input", "one", "value", {"value": value})], group="one.value")
    assert document.depths == (1, 0)
    document.undo()
    assert graph["one"].value == 1


def test_history_is_64_steps_deep(graph):
    document = GraphDocument(graph)
    for value in range(10, 10 + DEPTH + 20):
        document.edit([Change("input", "one", "value", {"value": value})])
    undone = 0
    while document.undo():
        undone += 1
    assert undone == DEPTH
    assert graph["one"].value == 29


def test_places_are_no_part_of_what_a_node_computes_and_survive_json(graph):
    document = GraphDocument(graph)
    document.edit([Change("layout", "one", "x", 123.0)])
    again = Graph.from_json(graph.to_json())
    assert again.layout["nodes"]["one"]["x"] == 123.0
    assert "x" not in again["one"].literals()


def test_a_read_only_document_says_why(graph):
    document = GraphDocument(graph, read_only="it is from a newer version")
    with pytest.raises(ReadOnlyError, match="newer"):
        document.edit([Change("node", "one", "")])
    assert "one" in graph


def test_a_refused_edge_leaves_all_of_its_edit_undone(graph):
    document = GraphDocument(graph)
    before = dict(document.state)
    with pytest.raises(GraphError, match="itself"):
        document.edit(
            [Change("layout", "one", "x", 7.0), Change("input", "total", "a", {"links": [["total", "value"]]})]
        )
    assert difference(before, GraphDocument(graph).state) == []


@settings(max_examples=120, deadline=None)
@given(st.lists(st.one_of(canvas_edits, python_edits, moves), max_size=15))
def test_what_follows_from_a_document_is_the_same_worked_out_edit_by_edit_and_all_at_once(steps):
    document = GraphDocument(linked())
    derived = Derived(document)
    page = {part: dict(derived.parts[part]) for part in PARTS}

    def hear(update):
        for part, changes in derived.update(update).items():
            page[part].update(changes)

    document.on_update(hear)
    for who, what in steps:
        try:
            if who == "canvas":
                document.edit(what, author="canvas")
            elif who == "python":
                edit_in_python(document.graph, *what)
                document.refresh()
            else:
                document.undo() if who == "undo" else document.redo()
        except GraphError:
            continue
        whole = Derived(document).parts
        assert derived.parts == whole
        assert {part: {id: one for id, one in own.items() if one is not None} for part, own in page.items()} == whole
