"""What the gallery answers: pictures on pages, stars, comparisons, deletions, and refusals that change nothing."""

import threading
import time
from io import BytesIO

import pytest
from ipywidgets.widgets.widget import _instances
from PIL import Image
from waiting import comes_true
from widgets.panel_page import PanelPage

import nbgraph as nb
from nbgraph import Studio
from nbgraph.errors import NotFoundError
from nbgraph.invocations import BlankImage, Iterate, RandomInteger, ResizeImage, String
from nbgraph.widgets.gallery import Gallery
from nbgraph.widgets.remix import prompts_of
from nbgraph.widgets.throttle import UPDATE_SECONDS

HOSTILE = "<img src=x onerror=window.planted=1>"


def save(studio, colour, **more):
    return studio.services.images.save(Image.new("RGB", (16, 8), colour), **more).image_name


@pytest.fixture
def page(studio):
    gallery = Gallery(studio.services)
    yield PanelPage(gallery)
    gallery.close()


def listed(shown, **more):
    answer, buffers = shown.ask({"type": "list", "request": 1, **more})
    assert len(buffers) == len(answer["pictures"])
    return [picture["name"] for picture in answer["pictures"]]


def test_pictures_come_in_pages_the_newest_first_with_a_thumbnail_each(studio, page):
    names = [save(studio, (number, 0, 0)) for number in range(5)]
    answer, buffers = page.ask({"type": "list", "page": 0, "per_page": 2, "request": 8})
    assert (answer["request"], answer["total"], answer["pages"]) == (8, 5, 3)
    assert [picture["name"] for picture in answer["pictures"]] == [names[4], names[3]]
    assert [Image.open(BytesIO(data)).size for data in buffers] == [(16, 8), (16, 8)]
    assert listed(page, page=2, per_page=2) == [names[0]]
    assert listed(page, page=900, per_page=2) == [names[0]]


def test_pictures_are_searched_and_filtered(studio, page):
    apple = save(studio, "red", node_id="Apple")
    hidden = save(studio, "green", is_intermediate=True)
    page.ask({"type": "star", "names": [apple], "starred": True})
    pear = save(studio, "blue", metadata={"prompt": "a PEAR"})
    assert listed(page, text="pear") == [pear]
    assert listed(page, text="aPPle") == [apple]
    assert listed(page, starred=True) == [apple]
    assert listed(page, intermediate=True) == [hidden]
    assert listed(page, intermediate=None) == [pear, hidden, apple]


def test_a_search_finds_prompts_values_and_models_of_the_graphs_that_made_the_pictures(studio, page):
    def made(width, text):
        nodes = [BlankImage(id="blank", width=width, height=8), String(id="prompt", value=text)]
        return studio.run(nodes, progress=False)["blank"].image_name

    tomato, blue = made(16, "a ripe Tomato"), made(4000, "blue")
    assert listed(page, text="tomATO") == [tomato]
    assert listed(page, text="4000") == [blue]
    assert listed(page, text="width") == []
    assert list(studio.images.search("TOMATO").image_name) == [tomato]


def test_pictures_are_sorted(studio, page):
    names = [save(studio, "red"), save(studio, "blue"), studio.images.add(Image.new("RGB", (64, 64))).image_name]
    page.ask({"type": "star", "names": [names[1]], "starred": True})
    first, starred, large = names
    assert listed(page) == [large, starred, first]
    assert listed(page, order="oldest") == names
    assert listed(page, order="starred") == [starred, large, first]
    assert listed(page, order="largest") == [large, starred, first]


@pytest.fixture
def remixed(studio):
    """The page of the studio's own gallery, and a picture whose width was drawn by a seed."""
    width = RandomInteger(id="number", low=8, high=500)
    run = studio.run(BlankImage(id="blank", width=width, height=8), progress=False)
    gallery = studio.images.widget
    yield PanelPage(gallery), run
    gallery.close()


def test_a_picture_is_opened_on_a_canvas_with_the_seed_that_was_drawn(studio, remixed):
    page, run = remixed
    answer, _ = page.ask({"type": "canvas", "name": run["blank"].image_name})
    editor = _instances[answer["model"]]
    assert set(editor.graph.nodes) == {"number", "blank"}
    assert studio.run(editor.graph, progress=False)["number"].value == run["number"].value
    editor.close()


def test_a_picture_is_the_input_of_a_new_canvas(remixed):
    page, run = remixed
    name = run["blank"].image_name
    answer, _ = page.ask({"type": "input", "name": name})
    editor = _instances[answer["model"]]
    assert editor.graph["start"].image.image_name == name
    editor.close()


def test_the_prompts_and_the_model_of_a_graph_are_found():
    graph = nb.Graph.of(nb.text_to_image("a pear", negative="blue", model="other"))
    assert prompts_of(graph) == {"prompt": "a pear", "negative": "blue", "model": "other"}


def test_another_seed_makes_another_picture_and_a_graph_without_one_is_refused(studio, remixed):
    page, run = remixed
    assert page.ask({"type": "again", "name": run["blank"].image_name})[0]["type"] == "done"
    assert comes_true(lambda: studio.images.count == 2)
    first, second = (record.width for record in studio.services.images.list().items)
    assert first != second
    fixed = studio.run(BlankImage(id="blank", width=16, height=8), progress=False)["blank"].image_name
    answer, _ = page.ask({"type": "again", "name": fixed})
    assert (answer["type"], "no seed" in answer["message"]) == ("refused", True)


def test_an_uploaded_picture_has_no_graph_to_open_but_can_be_an_input(studio, remixed):
    page, _ = remixed
    name = save(studio, "red")
    for kind in ("canvas", "again"):
        assert "no run made this picture" in page.ask({"type": kind, "name": name})[0]["message"]
    answer, _ = page.ask({"type": "input", "name": name})
    assert _instances[answer["model"]].graph["start"].image.image_name == name


def test_an_open_picture_brings_its_pixels_values_and_graph(studio, page):
    run = studio.run(BlankImage(id="blank", width=16, height=8), progress=False)
    name = run["blank"].image_name
    answer, buffers = page.ask({"type": "open", "name": name})
    assert Image.open(BytesIO(buffers[0])).size == (16, 8)
    assert buffers[1].startswith(b"<svg")
    assert ["blank.width", "16"] in answer["values"]
    assert "BlankImage" in answer["python"]
    other = save(studio, "red", metadata={"note": HOSTILE})
    answer, buffers = page.ask({"type": "open", "name": other})
    assert (len(buffers), answer["graph"]) == (1, "this picture was not made by a run")
    assert HOSTILE in answer["metadata"]


def test_two_pictures_are_compared_with_what_was_set_differently(studio, page):
    names = [
        studio.run(BlankImage(id="blank", width=width, height=8), progress=False)["blank"].image_name
        for width in (16, 24)
    ]
    answer, buffers = page.ask({"type": "compare", "names": names})
    assert answer["differences"] == [["blank.width", "16", "24"]]
    assert [Image.open(BytesIO(data)).width for data in buffers] == [16, 24]


def test_two_pictures_that_only_drawn_values_tell_apart_are_compared_by_these(studio, page):
    blank = BlankImage(id="blank", width=RandomInteger(id="width", low=8, high=400), height=8)
    runs = [studio.run(blank, progress=False) for _ in range(2)]
    seeds = [str(run.stats.set_index("node").loc["width", "seed"]) for run in runs]
    answer, _ = page.ask({"type": "compare", "names": [run["blank"].image_name for run in runs]})
    assert answer["differences"] == [["width.seed", *seeds]]
    opened, _ = page.ask({"type": "open", "name": runs[0]["blank"].image_name})
    assert ["width.seed", seeds[0]] in opened["values"]
    each = BlankImage(id="each", width=Iterate(id="widths", collection=[8, 9]), height=8)
    studio.run(each, progress=False)
    frame = studio.images.frame
    names = [frame[frame.node == f"each[{path}]"].image_name.iloc[0] for path in range(2)]
    answer, _ = page.ask({"type": "compare", "names": names})
    assert answer["differences"] == [["each.width", "8", "9"]]


def test_deleting_first_tells_and_then_drops_exactly_the_entries_that_name_the_picture(studio, page):
    small = ResizeImage(id="small", image=BlankImage(id="blank", width=16, height=8), width=8, height=8)
    run = studio.run(small, progress=False)
    name = run["blank"].image_name
    told, _ = page.ask({"type": "doomed", "names": [name]})
    assert [entry["node"] for entry in told["entries"]] == ["blank"]
    assert studio.services.images.exists(name)
    before = set(studio.cache.frame.node)
    done, _ = page.ask({"type": "delete", "names": [name]})
    assert (done["count"], done["entries"]) == (1, 1)
    assert before - set(studio.cache.frame.node) == {"blank"}
    assert not studio.services.images.exists(name)


BAD = [
    "text",
    None,
    7,
    {},
    {"type": "nothing"},
    {"type": "list", "page": "0"},
    {"type": "list", "page": -1},
    {"type": "list", "per_page": 100_000},
    {"type": "list", "text": "x" * 1000},
    {"type": "list", "category": "secret"},
    {"type": "list", "more": 1},
    {"type": "open", "name": "../../etc/passwd"},
    {"type": "open", "name": "0" * 32},
    {"type": "star", "names": ["0" * 32], "starred": True},
    {"type": "star", "names": "GOOD", "starred": True},
    {"type": "star", "names": ["GOOD", "0" * 32], "starred": True},
    {"type": "star", "names": ["GOOD"], "starred": "yes"},
    {"type": "delete", "names": []},
    {"type": "delete", "names": ["GOOD", "0" * 32]},
    {"type": "delete", "names": [1]},
    {"type": "compare", "names": ["GOOD"]},
    {"type": "doomed", "names": {"GOOD": 1}},
]


@pytest.mark.parametrize("question", BAD, ids=lambda question: str(question)[:60])
def test_a_bad_question_is_refused_and_changes_nothing(studio, page, question):
    good = save(studio, "red")
    before = studio.services.images.record(good)
    if isinstance(question, dict) and isinstance(question.get("names"), list):
        question = {**question, "names": [good if name == "GOOD" else name for name in question["names"]]}
    answer, buffers = page.ask(question)
    assert (answer["type"], buffers) == ("refused", [])
    assert answer["message"]
    assert len(answer["message"]) <= 2000
    assert studio.services.images.record(good) == before


def test_news_of_many_pictures_are_told_at_most_four_times_a_second(studio, page):
    save(studio, "red")
    assert page.news == []
    listed(page)
    began = time.monotonic()
    seconds = 0.0
    while len(page.news) < 3 and seconds < 20:
        save(studio, "red")
        seconds = time.monotonic() - began
    assert len(page.news) == 3
    assert seconds > 2 * UPDATE_SECONDS


def test_showing_the_pictures_two_hundred_times_makes_one_widget_and_no_threads(studio):
    save(studio, "red")
    widgets = {id(studio.images.widget) for _ in range(200)}
    assert len(widgets) == 1
    threads = threading.active_count()
    for _ in range(200):
        assert studio.images._repr_mimebundle_()["text/html"].count("<img") == 1
    assert threading.active_count() <= threads


def test_without_a_kernel_pictures_are_shown_as_html_with_every_text_escaped(studio):
    save(studio, "red", node_id=HOSTILE)
    html = studio.images._repr_mimebundle_()["text/html"]
    assert "data:image/webp;base64," in html
    assert HOSTILE not in html
    assert "&lt;img" in html


def test_what_the_gallery_does_can_be_said_in_python(studio):
    first, second = save(studio, "red"), save(studio, (250, 0, 0))
    studio.images.star(first)
    assert list(studio.images.search(starred=True).image_name) == [first]
    studio.images.star(first, starred=False)
    assert len(studio.images.search(starred=True)) == 0
    with pytest.raises(NotFoundError):
        studio.images.star(second, "0" * 32)
    assert not studio.services.images.record(second).starred
    comparison = studio.images.compare(first, second)
    assert comparison.mean_difference == pytest.approx(5 / 3)
    assert comparison.image.width == 2 * 16 + 8
    assert comparison.difference.getpixel((0, 0)) == (5, 0, 0)
    assert studio.images.delete(first, second) == 2
    assert repr(studio.images) == "Images(0)"


def test_thumbnails_of_a_folder_studio_and_of_the_next_kernel_are_the_same(tmp_path):
    with Studio(tmp_path / "studio") as studio:
        name = save(studio, "red")
        before = PanelPage(Gallery(studio.services)).ask({"type": "list"})[1]
    with Studio(tmp_path / "studio") as studio:
        answer, after = PanelPage(Gallery(studio.services)).ask({"type": "list"})
        assert [picture["name"] for picture in answer["pictures"]] == [name]
        assert after == before
