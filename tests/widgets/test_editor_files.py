"""Files on the canvas: unknown node types stay as they are, damaged and newer files may be looked at."""

import json

from widgets.conftest import Heard

from nbgraph.services.shared.graph.graph import Graph
from nbgraph.widgets.opening import open_graph


def saved(graph: Graph) -> dict:
    return json.loads(graph.to_json())


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
