"""Whatever comes from the page: good messages are done, all others are answered by an error and change nothing."""

from typing import Annotated

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from widgets.conftest import Heard

import nbgraph as nb
from nbgraph.grammar.catalogue import Catalogue
from nbgraph.grammar.compiler import plan_line
from nbgraph.grammar.parser import parse_line
from nbgraph.invocations import Add, FloatCollection, Integer
from nbgraph.services.shared.graph.graph import Graph

BAD = [
    "text",
    None,
    7,
    [],
    {},
    {"type": "nothing"},
    {"type": "edit"},
    {"type": "edit", "base": "0", "changes": []},
    {"type": "edit", "base": 0, "changes": "all"},
    {"type": "edit", "base": 0, "changes": [], "more": 1},
    {"type": "edit", "base": 0, "changes": [["input", "one"]]},
    {"type": "edit", "base": 0, "changes": [["input", 1, "value", {}]]},
    {"type": "edit", "base": 0, "changes": [["secret", "one", "value", {}]]},
    {"type": "edit", "base": 0, "changes": [["input", "nobody", "value", {"value": 1}]]},
    {"type": "edit", "base": 0, "changes": [["input", "one", "nothing", {"value": 1}]]},
    {"type": "edit", "base": 0, "changes": [["input", "one", "value", {"value": "many"}]]},
    {"type": "edit", "base": 0, "changes": [["input", "one", "value", 5]]},
    {"type": "edit", "base": 0, "changes": [["input", "total", "a", {"links": [["one"]]}]]},
    {"type": "edit", "base": 0, "changes": [["input", "total", "a", {"links": [["nobody", "value"]]}]]},
    {"type": "edit", "base": 0, "changes": [["node", "x", "", {"type": "no_such"}]]},
    {"type": "edit", "base": 0, "changes": [["node", "x", "", "integer"]]},
    {"type": "edit", "base": 0, "changes": [["node", "", "", {"type": "integer"}]]},
    {"type": "edit", "base": 0, "changes": [["layout", "one", "x", float("nan")]]},
    {"type": "edit", "base": 0, "changes": [["layout", "one", "colour", "red"]]},
    {"type": "edit", "base": 0, "changes": [["note", "n", "", {"kind": "frame"}]]},
    {"type": "edit", "base": 0, "changes": [["unknown", "x", "", {"data": {"type": "evil"}, "edges": []}]]},
    {"type": "edit", "base": 5, "changes": [["input", "one", "value", {"value": 9}]]},
    {"type": "run", "targets": ["nobody"]},
    {"type": "run"},
    {"type": "open", "id": "one"},
    {"type": "expand", "id": "nobody"},
    {"type": "collapse", "ids": ["one"], "name": "x"},
    {"type": "export", "form": "exe"},
    {"type": "upload"},
    {"type": "edit", "base": 0, "changes": [["input", "one", "value", {"value": "x" * 100_000_000}]]},
]


@pytest.mark.parametrize("message", BAD, ids=lambda message: str(message)[:60])
def test_a_bad_message_is_answered_by_an_error_and_changes_nothing(editor, message):
    before = editor.graph.to_json()
    told = editor.tell(message)
    assert [answer["type"] for answer in told] == ["refused"]
    assert told[0]["message"]
    assert len(told[0]["message"]) <= 2000
    assert editor.graph.to_json() == before
    assert editor.document.revision == 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["type", "base", "changes", "id"]), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=80, deadline=None)
@given(JSON)
def test_no_message_at_all_breaks_the_editor(content):
    editor = Heard(Graph())
    editor.tell({"type": "ready"})
    editor.tell(content)
    assert editor.tell({"type": "export", "form": "json"})[-1]["type"] == "done"
    editor.close()


def test_a_refusal_names_node_and_field(editor):
    message = {"type": "edit", "base": 0, "changes": [["input", "one", "value", {"value": "x"}]], "request": 4}
    told = editor.tell(message)[0]
    assert told["request"] == 4
    assert (told["problems"][0]["node"], told["problems"][0]["field"]) == ("one", "value")


def test_a_link_of_the_wrong_type_is_refused_with_the_reason(editor):
    changes = [["node", "p", "", {"type": "prompt"}], ["input", "p", "clip", {"links": [["one", "value"]]}]]
    told = editor.tell({"type": "edit", "base": 0, "changes": changes})[0]
    assert "takes ClipField, and one.value is int" in told["message"]
    assert "p" not in editor.graph


def test_an_edit_in_python_is_told_to_the_page_as_a_small_patch(editor):
    editor.heard.clear()
    editor.graph.update_node("one", value=42)
    editor.refresh()
    assert editor.heard == [
        {
            "type": "patch",
            "revision": 1,
            "changes": [["input", "one", "value", {"value": 42}]],
            "author": "python",
            "undo": 1,
            "redo": 0,
            "problems": {},
            "varying": {},
            "library": {},
        }
    ]


def test_a_page_that_has_the_document_is_not_told_it_again(editor):
    assert editor.tell({"type": "ready", "revision": 0})[0]["document"] is None
    assert editor.tell({"type": "ready", "revision": 0, "path": ["inner"]})[0]["document"]["revision"] == 0
    editor.graph.update_node("one", value=42)
    told = editor.tell({"type": "ready", "revision": 0})[-1]["document"]
    assert ["input", "one", "value", {"value": 42}] in told["changes"]


def test_what_is_saved_with_the_notebook_is_the_document_as_it_is_now(editor):
    editor.graph.update_node("one", value=42)
    editor.refresh()
    state = editor.get_state()["_document"]
    assert state["revision"] == 1
    assert ["input", "one", "value", {"value": 42}] in state["changes"]


def test_nodes_without_a_model_show_what_they_need(open_graph):
    editor = Heard(open_graph)
    told = editor.tell({"type": "ready"})[0]["document"]
    assert told["problems"]["prompt"][0]["field"] == "clip"
    assert "ClipField" in told["problems"]["prompt"][0]["message"]


def test_part_of_a_graph_becomes_a_library_graph_is_opened_edited_and_taken_apart(editor):
    before = editor.document.state
    editor.tell({"type": "collapse", "ids": ["one", "total"], "name": "Sum"})
    assert sorted(editor.graph) == ["sum", "two"]
    editor.tell({"type": "open", "id": "sum"})
    editor.tell({"type": "edit", "base": 0, "changes": [["input", "one", "value", {"value": 9}]]})
    editor.tell({"type": "close"})
    assert editor.graph["sum"].library.graph["one"].value == 9
    editor.tell({"type": "expand", "id": "sum"})
    assert sorted(editor.graph) == ["sum_one", "sum_total", "two"]
    assert editor.graph["sum_one"].value == 9
    for _ in range(3):
        editor.undo()
    assert editor.document.state == before


def test_nodes_whose_ids_begin_with_a_digit_become_a_library_graph():
    editor = Heard(Graph.of(Add(id="2", a=Add(id="1", a=1))))
    editor.tell({"type": "collapse", "ids": ["1", "2"], "name": "Sum"})
    assert list(editor.graph["sum"].inputs()) == ["a", "node_1_b", "node_2_b"]


def test_exports_build_the_same_graph(editor):
    python = editor.tell({"type": "export", "form": "python"})[0]["text"]
    scope: dict = {}
    exec(python, scope)
    built = scope["graph"].to_dict()
    assert built["nodes"] == editor.graph.to_dict()["nodes"]
    assert built["edges"] == editor.graph.to_dict()["edges"]
    line = editor.tell({"type": "export", "form": "line"})[0]["text"]
    again = plan_line(parse_line(line), Graph(), Catalogue()).graph
    assert again.to_dict()["nodes"] == editor.graph.to_dict()["nodes"]
    assert again.to_dict()["edges"] == editor.graph.to_dict()["edges"]


def test_a_node_whose_annotation_cannot_be_hashed_has_inputs_as_any_other(open_graph):
    @nb.node
    def total_weight(weights: list[Annotated[float, {"unit": "kg"}]], times: int = 1) -> int:  # type: ignore[valid-type]
        return int(sum(weights)) * times

    told = Heard(open_graph).tell({"type": "ready"})[0]
    assert [one["name"] for one in told["types"]["total_weight"]["inputs"]] == ["weights", "times"]
    total = total_weight(weights=FloatCollection(collection=[1.5, 2.5]), times=Integer(value=2))
    assert [str(edge) for edge in nb.Graph.of(total).validate().edges] == [
        "float_collection.collection -> total_weight.weights",
        "integer.value -> total_weight.times",
    ]
