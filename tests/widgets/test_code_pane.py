"""The code beside the canvas: what is typed is drawn, or refused with its line; nothing is drawn over other edits."""

import re
from typing import Any

import pytest
from widgets.conftest import Heard

from nbgraph.invocations import Integer, LoraLoader
from nbgraph.invocations.node_registry import registry
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.widgets.schema import MODEL_KINDS, node_types
from tests.tiny_models.headers import write_header


def code_of(editor: Heard) -> dict[str, Any]:
    return editor.tell({"type": "code"})[0]


def typed(editor: Heard, text: str) -> dict[str, Any]:
    """Type another code in place of the present one; the answer."""
    return editor.tell({"type": "code", "text": text, "base": code_of(editor)["mark"]})[-1]


def test_what_is_typed_is_drawn_at_once_as_one_step_of_undo(editor):
    before = code_of(editor)["text"]
    text = before.replace("value=2", "value=20") + "\nthree = Integer(value=3)\n"
    answer = typed(editor, text)
    assert "error" not in answer
    assert editor.graph["two"].literals() == {"value": 20}
    assert editor.graph["three"].literals() == {"value": 3}
    assert {"x", "y"} <= editor.graph.layout["nodes"]["three"].keys()
    assert answer["text"] == editor.graph.to_python()
    editor.undo()
    assert code_of(editor)["text"] == before


def test_edges_and_nodes_that_the_code_leaves_out_are_deleted(editor):
    typed(editor, "total = Add(id='total', b=Integer(id='two'))\n")
    assert set(editor.graph) == {"total", "two"}
    assert [str(edge) for edge in editor.graph.edges] == ["two.value -> total.b"]
    assert editor.graph["two"].model_fields_set == {"id"}


def test_code_that_is_wrong_is_answered_by_its_line_and_changes_nothing(editor):
    before, text = editor.graph.to_json(), code_of(editor)["text"]
    assert typed(editor, text + "for x in y: pass")["line"] == text.count("\n") + 1
    assert "did you mean" in typed(editor, text.replace("value=2", "valu=2"))["error"]
    assert "at most 100 characters" in typed(editor, f"\n\nx = Integer(id={'x' * 101!r})")["error"]
    assert typed(editor, f"\n\nx = Integer(id={'x' * 101!r})")["line"] == 3
    assert editor.graph.to_json() == before
    assert editor.document.revision == 0


def test_code_from_before_another_edit_is_not_drawn(editor):
    mark = code_of(editor)["mark"]
    editor.graph.update_node("one", value=5)
    answer = editor.tell({"type": "code", "text": "x = Integer()", "base": mark})[-1]
    assert answer["stale"]
    assert "value=5" in answer["text"]
    assert "x" not in editor.graph


def test_a_node_whose_id_is_typed_anew_stays_in_its_place(editor):
    place = editor.graph.layout["nodes"]["total"]
    typed(editor, code_of(editor)["text"].replace("'total'", "'sum'"))
    assert editor.graph.layout["nodes"]["sum"] == place
    assert "total" not in editor.graph


def test_the_template_of_the_readme_is_drawn_where_it_is_typed():
    editor = Heard(Graph())
    answer = typed(editor, 'import nbgraph as nb\nimage = nb.text_to_image("a red apple", model="emoji", seed=7)')
    assert "error" not in answer
    assert set(editor.graph) == {"model", "prompt", "negative", "noise", "denoise", "image"}
    editor.close()


def test_nodes_of_unknown_types_and_frames_are_not_touched_by_code(graph):
    note = {"kind": "comment", "x": 0.0, "y": 0.0, "width": 90.0, "height": 90.0}
    unknown = {"data": {"type": "not_installed", "id": "far"}, "edges": []}
    graph.layout = {"notes": {"n": note}, "unknown": {"far": unknown}}
    editor = Heard(graph)
    typed(editor, "only = Integer(id='only')")
    assert set(editor.graph) == {"only"}
    assert set(editor.graph.layout["notes"]) == {"n"}
    assert editor.graph.layout["unknown"] == {"far": unknown}
    editor.close()


def test_a_read_only_drawing_is_shown_as_code_and_takes_none():
    editor = Heard(Graph([Integer(id="one")]), read_only="it is a copy")
    assert "one = Integer(id='one')" in code_of(editor)["text"]
    assert typed(editor, "two = Integer()")["type"] == "refused"
    assert set(editor.graph) == {"one"}
    editor.close()


@pytest.mark.parametrize("address", MODEL_KINDS, ids=".".join)
def test_an_input_that_names_a_model_has_a_picker(address):
    node_type, name = address
    assert name in registry()[node_type].inputs()
    [shown] = [one for one in node_types([node_type])[node_type]["inputs"] if one["name"] == name]
    assert (shown["control"], tuple(shown["kinds"])) == ("model", MODEL_KINDS[address])


def test_every_text_that_names_a_model_has_a_picker():
    named = {
        (name, spec.name)
        for name, cls in registry().items()
        for spec in cls.inputs().values()
        if cls.__module__.startswith("nbgraph.")
        and re.search(r"\bby its name in this studio\b|\bpath of a diffusers folder\b", spec.info.description or "")
    }
    assert len(named) > 10
    assert named <= MODEL_KINDS.keys()


def test_the_picker_lists_the_models_of_the_studio_with_their_kinds(invoker, tmp_path):
    folder = tmp_path / "loras"
    folder.mkdir()
    names = ["lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight"]
    write_header(folder / "ink.safetensors", dict.fromkeys(names, (4, 320)))
    invoker.services.model_manager.model_folders = [tmp_path]
    editor = Heard(Graph([LoraLoader(id="lora")]), invoker)
    listed = {one["name"]: one["kind"] for one in editor.tell({"type": "models"})[0]["models"]}
    assert listed["emoji"] == "folder"
    assert listed["loras/ink.safetensors"] == "lora"
    editor.close()
