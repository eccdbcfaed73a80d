"""Pictures on the canvas: those of a cached graph at its opening, and one in full size with all it is good for."""

from io import BytesIO

import pytest
from ipywidgets.widgets.widget import _instances
from PIL import Image
from widgets.conftest import Heard

from nbgraph.invocations import BlankImage, RandomInteger, ResizeImage
from nbgraph.services.shared.graph.graph import Graph


def drawn():
    """A picture whose height is drawn by a seed, and a smaller one of it."""
    height = RandomInteger(id="height", low=8, high=500, seed=3)
    blank = BlankImage(id="blank", width=32, height=height)
    return Graph.of(ResizeImage(id="small", image=blank, width=8, height=8))


@pytest.fixture
def opened(studio):
    """A canvas on a graph that was run before, and the names of its pictures."""
    run = studio.run(drawn(), progress=False)
    graph = drawn()
    editor = Heard(graph, studio.invoker, open_graph=lambda graph: str(studio.edit(graph).model_id))
    editor.tell({"type": "ready", "request": 0})
    yield editor, {node: run[node].image_name for node in ("blank", "small")}
    editor.close()


def explained(editor):
    [answer] = [one for one in editor.tell({"type": "explain", "request": 1}) if one["type"] == "done"]
    return answer["cached"]


def test_a_cached_graph_opens_with_its_pictures_and_they_are_sent_once(opened):
    editor, names = opened
    cached = explained(editor)
    assert {node: (state["status"], state["image"]) for node, state in cached.items()} == {
        node: ("cached", name) for node, name in names.items()
    }
    assert explained(editor) == {}
    editor.tell({"type": "ready", "request": 0})
    [run] = [one for one in editor.heard if one["type"] == "run"]
    assert run["pictures"] == ["blank", "small"]


def test_only_what_is_cached_now_has_its_picture(opened, studio):
    editor, _ = opened
    editor.graph.update_node("small", width=9)
    assert list(explained(editor)) == ["blank"]
    editor.graph.update_node("small", width=8)
    assert list(explained(editor)) == ["small"]


def test_a_cached_picture_that_was_deleted_is_not_shown(opened, studio):
    editor, names = opened
    studio.images.delete(names["small"])
    assert list(explained(editor)) == ["blank"]


def test_a_picture_is_answered_in_full_size_with_its_recipe_and_is_starred(opened, studio):
    editor, names = opened
    [answer] = editor.tell({"type": "picture", "name": names["small"], "request": 2})
    assert answer["picture"]["name"] == names["small"]
    assert ["height.seed", "3"] in answer["values"]
    saved = Image.open(BytesIO(editor.buffers[0]))
    assert (saved.size, "nbgraph" in " ".join(saved.text)) == ((8, 8), True)
    editor.tell({"type": "star", "names": [names["small"]], "starred": True, "request": 3})
    assert studio.services.images.record(names["small"]).starred


def test_two_pictures_of_a_canvas_are_compared(opened, studio):
    editor, names = opened
    other = studio.run(drawn(), {"small.width": 9}, progress=False)["small"].image_name
    [answer] = editor.tell({"type": "compare", "names": [names["small"], other], "request": 2})
    assert answer["differences"] == [["small.width", "8", "9"]]


def test_the_graph_of_a_picture_opens_on_a_canvas_of_its_own(opened):
    editor, names = opened
    [answer] = editor.tell({"type": "canvas", "name": names["blank"], "request": 2})
    other = _instances[answer["model"]]
    assert set(other.graph.nodes) == {"height", "blank"}
    other.close()
    [refused] = editor.tell({"type": "canvas", "name": "0" * 32, "request": 3})
    assert (refused["type"], "no image" in refused["message"]) == ("refused", True)
