"""Files on the canvas: unknown node types stay as they are, damaged and newer files may be looked at."""

import json
from base64 import b64decode
from io import BytesIO
from xml.etree import ElementTree

import pytest
from widgets.conftest import Heard

from nbgraph import Studio
from nbgraph.errors import NotFoundError
from nbgraph.grammar.catalogue import COMMAND_NAMES, Catalogue
from nbgraph.grammar.compiler import plan_line
from nbgraph.grammar.parser import parse_line
from nbgraph.invocations import BlankImage
from nbgraph.services.shared.drawing.svg import DARK
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.widgets.graph_file import open_file, open_graph


def saved(graph: Graph) -> dict:
    return json.loads(graph.to_json())


def content(graph: Graph) -> tuple:
    """Nodes and edges, without places."""
    return saved(graph)["nodes"], saved(graph)["edges"]


def test_a_sound_file_opens_as_it_is(graph):
    opened, reason = open_graph(saved(graph))
    assert (opened, reason) == (graph, "")


def test_a_node_of_an_unknown_type_is_kept_with_its_edges_and_cannot_run(graph, invoker):
    data = saved(graph)
    data["nodes"]["odd"] = {"id": "odd", "type": "from_elsewhere", "strength": 3}
    data["edges"].append(
        {"source": {"node_id": "one", "field": "value"}, "destination": {"node_id": "odd", "field": "in"}}
    )
    opened, reason = open_graph(data)
    assert reason == ""
    editor = Heard(opened, invoker)
    told = editor.tell({"type": "ready"})[0]["document"]
    assert "from_elsewhere" in told["problems"]["odd"][0]["message"]
    assert editor.tell({"type": "run"})[0]["type"] == "refused"
    again = Graph.from_json(opened.to_json())
    assert again.layout["unknown"]["odd"] == {"data": data["nodes"]["odd"], "edges": [data["edges"][-1]]}
    editor.tell({"type": "edit", "base": 0, "changes": [["unknown", "odd", ""]]})
    assert editor.tell({"type": "run"})[-1]["type"] != "refused"
    editor.undo()
    assert "odd" in opened.layout["unknown"]
    editor.close()


def test_placeholders_without_a_place_stand_side_by_side_below_the_others(graph):
    data = saved(graph)
    data["layout"] = {"nodes": {"odd": {"x": 7.0, "y": 8.0}}}
    for name in ("odd", "new", "newer"):
        data["nodes"][name] = {"id": name, "type": "from_elsewhere"}
    opened, _ = open_graph(data)
    Heard(opened).close()
    places = opened.layout["nodes"]
    assert places["odd"] == {"x": 7.0, "y": 8.0}
    assert places["new"]["y"] > max(places[name]["y"] for name in ("one", "two", "total")) + 100
    assert places["newer"]["x"] >= places["new"]["x"] + 242
    assert places["newer"]["y"] == places["new"]["y"]


def test_what_would_run_is_asked_in_vain_and_without_a_word_while_types_are_missing(graph, invoker):
    data = saved(graph)
    data["nodes"]["odd"] = {"id": "odd", "type": "from_elsewhere"}
    editor = Heard(open_graph(data)[0], invoker)
    editor.tell({"type": "ready"})
    assert [told["type"] for told in editor.tell({"type": "explain"})] == ["done"]
    editor.close()


def test_a_damaged_file_opens_read_only_and_names_what_is_missing(graph):
    data = saved(graph)
    data["nodes"]["two"]["value"] = "not a number"
    opened, reason = open_graph(data)
    assert "two" in reason
    assert sorted(opened) == ["one", "total"]
    editor = Heard(opened, read_only=reason)
    editor.tell({"type": "ready"})
    told = editor.tell({"type": "edit", "base": 0, "changes": [["node", "one", ""]]})
    assert told[0]["type"] == "refused"
    assert "two" in told[0]["message"]
    editor.close()


@pytest.mark.parametrize(
    "layout",
    [
        {"nodes": {"one": "left", "two": {"x": "far"}}},
        {"nodes": {"one": {"x": 1e300, "y": 0}}, "notes": {"n": {"text": 3}}},
        {"nodes": [1], "notes": "none", "unknown": {"odd": 5}},
        ["no", "layout"],
    ],
)
def test_a_damaged_layout_of_a_damaged_file_is_left_out_and_the_graph_is_drawn(graph, layout):
    data = {**saved(graph), "layout": layout, "version": 99}
    data["nodes"]["odd"] = {"id": "odd", "type": "from_elsewhere"}
    opened, reason = open_graph(data)
    assert "99" in reason
    editor = Heard(opened, read_only=reason)
    told = editor.tell({"type": "ready"})[0]["document"]
    places = {tuple(change[:3]): change[3] for change in told["changes"] if change[0] == "layout"}
    assert all(isinstance(places["layout", node, axis], float | int) for node in graph for axis in "xy")
    assert opened.show().svg.startswith("<svg")
    editor.close()


def test_a_newer_file_opens_read_only(graph):
    opened, reason = open_graph({**saved(graph), "version": 99})
    assert "99" in reason
    assert sorted(opened) == ["one", "total", "two"]


def test_what_is_no_graph_at_all_opens_empty_and_says_so():
    opened, reason = open_graph(["no", "graph"])
    assert len(opened) == 0
    assert "object" in reason


def test_markup_in_a_graph_is_text_in_its_drawing(open_graph):
    open_graph.layout = {
        "notes": {"n": {"kind": "comment", "x": 0, "y": 0, "width": 90, "height": 60, "text": "<script>"}}
    }
    editor = Heard(open_graph)
    svg = editor._repr_mimebundle_()[0]["image/svg+xml"]
    assert "<b>" not in svg
    assert "&lt;b&gt;bold" in svg
    assert "<script>" not in svg
    editor.close()


def test_a_file_is_opened_by_its_path(graph, tmp_path):
    path = tmp_path / "sum.json"
    path.write_text(graph.to_json())
    with Studio() as studio:
        editor = studio.edit(path)
        assert content(editor.graph) == content(graph)
        assert editor.document.read_only == ""
        path.write_text(json.dumps({**saved(graph), "version": 99}))
        assert "99" in studio.edit(str(path)).document.read_only
        with pytest.raises(NotFoundError, match=r"nowhere\.json"):
            studio.edit("nowhere.json")


@pytest.mark.parametrize(
    "text", ['{"nodes": {', "[1e999]", "\x00", '{"nodes": {}, "nodes": {}, "edges": []}', "[" * 5000]
)
def test_a_file_that_is_no_sound_json_opens_read_only_and_says_where(text, tmp_path):
    path = tmp_path / "broken.json"
    path.write_text(text)
    opened, reason = open_file(path)
    assert len(opened) == 0
    assert "parts that cannot be read are left out" in reason


def test_a_graph_leaves_the_canvas_as_python_as_json_and_as_a_line(graph):
    editor = Heard(graph)
    editor.tell({"type": "ready"})
    texts = {form: editor.tell({"type": "export", "form": form})[0]["text"] for form in ("python", "json", "line")}
    names: dict = {}
    exec(texts["python"], names)
    assert content(names["graph"]) == content(graph)
    assert Graph.from_json(texts["json"]) == graph
    read = plan_line(parse_line(texts["line"]), Graph(), Catalogue(commands=COMMAND_NAMES)).graph
    assert content(read) == content(graph)
    editor.close()


def test_a_graph_shows_itself_drawn_with_markup_as_text(open_graph):
    bundle = open_graph._repr_mimebundle_()
    assert bundle["text/plain"] == "Graph(2 nodes, 0 edges)"
    assert bundle["image/svg+xml"] == open_graph.show().svg
    assert "&lt;b&gt;bold" in bundle["image/svg+xml"]
    assert "<b>" not in bundle["image/svg+xml"] + bundle["text/html"]
    drawn = b64decode(bundle["text/html"].split("base64,")[1].split('"')[0]).decode()
    assert drawn == bundle["image/svg+xml"].replace(DARK, "")  # the page darkens it
    ElementTree.fromstring(drawn)


@pytest.fixture
def canvas(studio):
    made = Heard(Graph(), studio.invoker)
    yield made
    made.close()


def test_a_dropped_picture_gives_the_graph_that_made_it_and_a_report(canvas, studio):
    run = studio.run(BlankImage(id="blank", width=16, height=8), progress=False)
    file = BytesIO()
    run["blank"].image.save(file, "PNG")
    [answer] = canvas.tell({"type": "file", "name": "blank.png", "request": 1}, [file.getvalue()])
    assert ["node", "blank", "", {"type": "blank_image"}] in answer["template"]["changes"]
    assert answer["report"].startswith("read ")


def test_a_dropped_text_of_a1111_gives_its_graph_and_says_what_is_missing(canvas):
    text = "a red apple\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 64x64, Model: nowhere"
    [answer] = canvas.tell({"type": "file", "name": "apple.txt", "request": 1}, [text.encode()])
    assert any(change[3] == {"value": 5} for change in answer["template"]["changes"] if len(change) == 4)
    assert "nowhere" in answer["report"]


@pytest.mark.parametrize("data", [b"", b"no recipe", b"\x89PNG broken", b'{"a": 1}'])
def test_a_dropped_file_without_a_graph_is_refused_with_a_reason(canvas, data):
    [answer] = canvas.tell({"type": "file", "name": "x.png", "request": 1}, [data])
    assert (answer["type"], bool(answer["message"])) == ("refused", True)
    assert len(canvas.graph) == 0
