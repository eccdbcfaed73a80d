"""What is drawn on a canvas is kept under a name, and opened again by the next kernel."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nbgraph as nb
from nbgraph.errors import DamagedRecordError, GraphError, InvalidNameError, NotFoundError
from nbgraph.invocations import Add, Integer
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.widgets.editor import GraphEditor
from nbgraph.widgets.graph_file import open_graph, with_unknown_nodes

Draw = Callable[..., list[dict[str, Any]]]


def draw(editor: GraphEditor, node_id: str, value: int = 1) -> None:
    """Add an integer on the canvas, as a page does."""
    changes = [["node", node_id, "", {"type": "integer"}], ["input", node_id, "value", {"value": value}]]
    send(editor, {"type": "edit", "base": editor.document.revision, "changes": changes})


def send(editor: GraphEditor, content: dict[str, Any]) -> list[dict[str, Any]]:
    """Send a message as a page does; give what the page gets."""
    heard: list[dict[str, Any]] = []
    editor.send = lambda content, buffers=None: heard.append(content)  # type: ignore[method-assign]
    editor._handle_custom_msg(content, [])
    return heard


def names(studio: nb.Studio) -> list[str]:
    return sorted(record.name for record in studio.services.graph_documents.rows())


def graph_of(value: int) -> Graph:
    return Graph.of(Add(id="total", a=value, b=2))


@pytest.fixture(params=["memory", "folder"])
def studio(request: pytest.FixtureRequest, tmp_path: Path):
    with nb.Studio(tmp_path / "studio" if request.param == "folder" else None) as made:
        yield made


def test_a_canvas_is_kept_under_its_name(studio):
    editor = studio.edit("portrait")
    draw(editor, "one")
    assert not editor.autosave.is_saved
    editor.close()
    assert names(studio) == ["portrait"]
    assert list(studio.graphs.open("portrait").graph.nodes) == ["one"]


def test_the_next_kernel_opens_it_by_the_same_call(tmp_path):
    with nb.Studio(tmp_path) as studio:
        draw(studio.edit("portrait"), "one", 7)
    with nb.Studio(tmp_path) as studio:
        editor = studio.edit("portrait")
        assert editor.graph["one"].value == 7
        assert editor.document.state["layout", "one", "x"] is not None


def test_the_last_edit_is_saved_when_the_studio_is_closed_copied_exported_or_listed(tmp_path):
    with nb.Studio(tmp_path / "studio") as studio:
        editor = studio.edit("portrait")
        for act in (
            lambda: studio.backup(tmp_path / "copy"),
            lambda: studio.export(tmp_path / "all.zip"),
            lambda: studio.graphs.frame,
        ):
            draw(editor, f"n{editor.document.revision}")
            assert not editor.autosave.is_saved
            act()
            assert editor.autosave.is_saved


def test_nothing_is_written_when_nothing_is_drawn(studio):
    studio.edit("portrait").close()
    studio.edit().close()
    studio.edit(graph_of(1)).close()
    assert names(studio) == []
    draw(studio.edit("portrait"), "one")
    assert len(studio.graphs.versions("portrait")) == 1
    editor = studio.edit("portrait")
    draw(editor, "two")
    editor.undo()
    assert len(studio.graphs.versions("portrait")) == 1


def test_untitled_canvases_are_numbered(studio):
    for _ in range(2):
        editor = studio.edit()
        draw(editor, "one")
        editor.close()
    draw(studio.edit(graph_of(1)), "one")
    studio.services.flush()
    assert names(studio) == ["untitled", "untitled 2", "untitled 3"]


def test_two_canvases_on_one_graph_are_one_document(studio):
    graph = graph_of(1)
    one, two = studio.edit(graph), studio.edit(graph)
    draw(one, "one")
    studio.services.flush()
    two.refresh()
    draw(two, "two")
    studio.services.flush()
    one.refresh()
    draw(one, "three")
    one.close()
    two.close()
    assert names(studio) == ["untitled"]
    assert (one.autosave.notice, len(studio.graphs.versions("untitled"))) == ("", 3)


def test_a_document_that_is_open_is_shown_again(studio):
    editor = studio.edit("portrait")
    assert studio.edit("portrait") is editor
    draw(editor, "one")
    assert studio.edit("portrait") is editor
    assert studio.graphs.open("portrait") is editor
    editor.close()
    again = studio.edit("portrait")
    assert again is not editor
    assert list(again.graph.nodes) == ["one"]


def test_an_older_version_is_opened_and_becomes_the_newest_when_it_is_changed(studio):
    for value in (1, 2, 3):
        studio.graphs.save(graph_of(value), "portrait")
    editor = studio.graphs.open("portrait", version=1)
    assert editor.graph["total"].a == 1
    draw(editor, "one")
    studio.services.flush()
    frame = studio.graphs.versions("portrait")
    assert frame.version.tolist() == [4, 3, 2, 1]
    assert (editor.autosave.notice, set(studio.edit("portrait").graph.nodes)) == ("", {"total", "one"})


def test_a_document_is_renamed_while_it_is_open(studio):
    editor = studio.edit("portrait")
    draw(editor, "one")
    studio.graphs.rename("portrait", "landscape")
    assert editor.name == "landscape"
    draw(editor, "two")
    editor.close()
    assert names(studio) == ["landscape"]
    assert len(studio.graphs.versions("landscape")) == 2


def test_a_document_that_is_deleted_while_it_is_open_is_kept_anew_when_it_is_changed(studio):
    editor = studio.edit("portrait")
    draw(editor, "one")
    studio.graphs.delete("portrait")
    assert names(studio) == []
    draw(editor, "two")
    editor.close()
    assert names(studio) == ["portrait"]
    assert set(studio.edit("portrait").graph.nodes) == {"one", "two"}


def test_what_python_saves_under_the_name_of_an_open_canvas_is_not_lost(studio):
    editor = studio.edit("portrait")
    draw(editor, "one")
    studio.services.flush()
    studio.graphs.save(graph_of(5), "portrait")
    draw(editor, "two")
    studio.services.flush()
    assert 'changed in Python; that is kept as version 2: studio.graphs.open("portrait", version=2)' in (
        editor.autosave.notice
    )
    assert studio.graphs.versions("portrait").kept.tolist() == [False, True, False]
    assert studio.graphs.open("portrait", 2).graph["total"].a == 5


def test_two_kernels_that_edit_one_document_lose_nothing_and_say_so(tmp_path):
    with nb.Studio(tmp_path) as one, nb.Studio(tmp_path) as two:
        draw(one.edit("portrait"), "start")
        one.services.flush()
        mine, theirs = one.edit("portrait"), two.edit("portrait")
        draw(mine, "mine")
        one.services.flush()
        draw(theirs, "theirs")
        two.services.flush()
        assert mine.autosave.notice == ""
        assert "also changed in another kernel; that is kept as version 2" in theirs.autosave.notice
        assert set(one.graphs.open("portrait", 2).graph.nodes) == {"start", "mine"}
        assert set(two.graphs.open("portrait").graph.nodes) == {"start", "theirs"}
        newest = one.edit("portrait")
        assert newest is not mine
        assert set(newest.graph.nodes) == {"start", "theirs"}


def test_the_page_is_told_what_is_saved_and_what_is_not(tmp_path):
    with nb.Studio(tmp_path) as studio:
        editor = studio.edit('a "b" <i>')
        (document, *_) = send(editor, {"type": "ready", "request": 1})
        assert (document["saved"]["name"], document["saved"]["isSaved"]) == ('a "b" <i>', False)
        heard: list[dict[str, Any]] = []
        draw(editor, "one")
        editor.send = lambda content, buffers=None: heard.append(content)
        studio.services.flush()
        (saved,) = [content for content in heard if content["type"] == "saved"]
        assert (saved["isSaved"], saved["version"], saved["problem"]) == (True, 1, "")
        assert eval(saved["call"], {"studio": studio}) is editor
        assert editor.get_state("_document")["_document"]["saved"]["call"] == saved["call"]


def test_the_call_opens_the_document_also_where_its_name_is_that_of_a_library_graph_or_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("")
    with nb.Studio(tmp_path / "studio") as studio:
        for name in ("portrait", "text to image", "taken"):
            studio.graphs.save(graph_of(1), name)
        calls = {name: studio.graphs.open(name).autosave.call for name in ("portrait", "text to image", "taken")}
        assert calls["portrait"] == 'studio.edit("portrait")'
        for name, call in calls.items():
            assert eval(call, {"studio": studio}).name == name
            assert call.replace('"', "&quot;") in studio.graphs._repr_html_()


def test_a_save_that_fails_is_said_and_made_good_later(tmp_path, monkeypatch):
    with nb.Studio(tmp_path) as studio:
        editor = studio.edit("portrait")
        documents = studio.services.graph_documents
        with monkeypatch.context() as patch:
            patch.setattr(documents, "save", lambda *_, **__: (_ for _ in ()).throw(OSError("the disk is full")))
            draw(editor, "one")
            documents.flush()
            assert editor.autosave.problem == "not saved: the disk is full"
            assert not editor.autosave.is_saved
        draw(editor, "two")
        documents.flush()
        assert (editor.autosave.problem, editor.autosave.is_saved) == ("", True)


def test_what_failed_to_be_saved_is_tried_again_at_the_end_without_another_edit(tmp_path, monkeypatch):
    with nb.Studio(tmp_path) as studio:
        editor = studio.edit("portrait")
        documents = studio.services.graph_documents
        with monkeypatch.context() as patch:
            patch.setattr(documents, "save", lambda *_, **__: (_ for _ in ()).throw(OSError("the disk is full")))
            draw(editor, "one")
            documents.flush()
        editor.close()
        assert names(studio) == ["portrait"]


def test_edits_inside_an_open_library_graph_are_kept(studio):
    studio.graphs.save(Graph.of(Add(id="total", a=Integer(id="one", value=1), b=Integer(id="two", value=2))), "sums")
    editor = studio.edit("sums")
    send(editor, {"type": "collapse", "ids": ["one", "total"], "name": "inner"})
    send(editor, {"type": "open", "id": "inner"})
    draw(editor, "three", 3)
    studio.services.flush()
    kept = Graph.from_dict(studio.services.graph_documents.data("sums"))
    assert "three" in kept["inner"].library.graph.nodes
    assert "three" not in editor.graph["inner"].library.graph.nodes


def test_a_text_names_a_file_then_a_library_graph_then_a_document(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with nb.Studio() as studio:
        (tmp_path / "portrait").write_text(graph_of(1).to_json())
        studio.graphs.save(graph_of(2), "portrait")
        assert studio.edit("portrait").graph["total"].a == 1
        (tmp_path / "portrait").unlink()
        assert studio.edit("portrait").graph["total"].a == 2
        editor = studio.edit("text to image")
        assert "denoise" in editor.graph.nodes
        draw(editor, "one")
        editor.close()
        assert names(studio) == ["portrait", "text to image 2"]
        assert "one" not in studio.edit("Text to Image").graph.nodes
        studio.graphs.save(graph_of(3), "Text to Image")
        assert list(studio.edit("Text to Image").graph.nodes) == ["total"]


@pytest.mark.parametrize("name", ["nowhere.json", "../x", "c:\\x", "a/b"])
def test_what_reads_like_a_file_and_is_none_is_an_error_and_no_document(studio, name):
    with pytest.raises(NotFoundError, match="there is no file"):
        studio.edit(name)
    assert names(studio) == []


@pytest.mark.parametrize("name", ["", " ", "a\nb", "a" * 101])
def test_what_is_no_name_is_refused(studio, name):
    with pytest.raises(InvalidNameError):
        studio.edit(name)


def test_a_name_that_is_not_there_is_an_error_where_a_document_must_be_there(studio):
    studio.graphs.save(graph_of(1), "portrait")
    for act in (studio.graphs.open, studio.graphs.versions, studio.graphs.delete, studio.graphs.__getitem__):
        with pytest.raises(NotFoundError, match="did you mean 'portrait'"):
            act("potrait")


def test_a_file_is_kept_as_a_document_of_its_name_and_stays_as_it_is(studio, tmp_path):
    path = tmp_path / "sums.json"
    path.write_text(graph_of(1).to_json())
    before = path.read_bytes()
    draw(studio.edit(path), "one")
    studio.services.flush()
    assert (names(studio), path.read_bytes()) == (["sums"], before)


def test_what_may_only_be_looked_at_is_not_saved(studio, tmp_path):
    path = tmp_path / "sums.json"
    path.write_text('{"version": 99, "nodes": {}, "edges": []}')
    editor = studio.edit(path)
    assert (editor.autosave, editor.name) == (None, "")


def test_nodes_that_are_not_installed_come_back_when_they_are(studio):
    whole = graph_of(4).to_dict()
    graph, _ = open_graph({**whole, "nodes": {**whole["nodes"], "new": {"id": "new", "type": "integer_of_a_cell"}}})
    assert list(graph.layout["unknown"]) == ["new"]
    studio.graphs.save(graph, "portrait")
    assert studio.graphs.frame.nodes.tolist() == [2]
    data = studio.services.graph_documents.data("portrait")
    data["layout"]["unknown"]["new"]["data"]["type"] = "integer"
    again, reason = open_graph(with_unknown_nodes(data))
    assert (reason, list(again.nodes), again.layout.get("unknown", {})) == ("", ["total", "new"], {})


def test_a_document_shows_the_last_picture_its_graph_gave_and_its_drawing_before(studio):
    editor = studio.edit("picture")
    send(editor, {"type": "ready"})
    node = {"type": "blank_image"}
    send(editor, {"type": "edit", "base": 0, "changes": [["node", "blank", "", node]]})
    assert "data:image/svg+xml;base64," in studio.graphs._repr_html_()
    studio.run(editor.graph, progress=False)
    html = studio.graphs._repr_html_()
    assert "data:image/svg+xml" not in html
    assert "data:image/" in html


def test_a_hostile_name_is_shown_as_text(studio):
    studio.graphs.save(graph_of(1), "<img src=x onerror=alert(1)>")
    html = studio.graphs._repr_html_()
    assert "<img src=x" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in html
    assert repr(studio.graphs) == "Graphs(1: '<img src=x onerror=alert(1)>')"


def test_many_documents_are_shown_in_part(studio):
    for number in range(30):
        studio.graphs.save(graph_of(number), f"document {number}")
    html = studio.graphs._repr_html_()
    assert html.count("<figure") == 24
    assert "30 documents, 6 more in studio.graphs.frame" in html
    assert len(studio.graphs) == len(studio.graphs.frame) == 30


def test_a_damaged_drawing_costs_its_picture_alone(tmp_path):
    with nb.Studio(tmp_path) as studio:
        studio.graphs.save(graph_of(1), "good")
        studio.graphs.save(graph_of(2), "bad")
        with studio.services.database.transaction() as connection:
            bad = studio.services.graph_documents.record("bad").id
            connection.execute("UPDATE graph_document_versions SET graph = '[' WHERE document_id = ?", (bad,))
        html = studio.graphs._repr_html_()
        assert html.count("cannot be read") == 1
        with pytest.raises(DamagedRecordError, match="cannot be read"):
            studio.edit("bad")


def test_one_bad_edge_of_many_costs_itself():
    parts = [Add(id=f"n{number}", b=1) for number in range(40)]
    graph = Graph(parts)
    graph.add_edges([(f"n{number}.value", f"n{number + 1}.a") for number in range(39)])
    data = graph.to_dict()
    data["edges"].insert(
        20, {"source": {"node_id": "n39", "field": "value"}, "destination": {"node_id": "n0", "field": "a"}}
    )
    data["edges"].insert(
        5, {"source": {"node_id": "n3", "field": "nothing"}, "destination": {"node_id": "n4", "field": "b"}}
    )
    with pytest.raises(GraphError):
        Graph.from_dict(data)
    opened, reason = open_graph(data)
    assert reason
    assert len(opened.nodes) == 40
    assert len(opened.edges) >= 39
