"""The canvas from far and from near: a real JupyterLab in a real browser."""

import pytest
from playwright.sync_api import expect
from widgets.notebook_page import EDITOR, NotebookPage

pytestmark = pytest.mark.browser
SPREAD = """
graph = nb.Graph.of(text_to_image(8))
graph.layout["nodes"] = {id: {"x": 1500 * number, "y": 300 * number} for number, id in enumerate(graph)}
editor = studio.edit(graph); editor
"""
GONE = "a_type_with_a_long_name_of_a_package_that_is_gone"
MISSING = f"""
graph = nb.Graph.of(text_to_image(8))
graph.layout["unknown"] = {{"{GONE}": {{"data": {{"type": "{GONE}"}}, "edges": []}}}}
editor = studio.edit(graph); editor
"""
ZOOM = "view => new DOMMatrix(getComputedStyle(view).transform).a"
SIZES = "nodes => Object.fromEntries(nodes.map(node => [node.dataset.id, [node.offsetWidth, node.offsetHeight]]))"
GAPS = """edges => edges.flatMap(edge => {
  const path = edge.querySelector(".react-flow__edge-path");
  const [source, output, target, field] = JSON.parse(edge.dataset.id);
  const zoom = path.getScreenCTM().a;
  const ends = [[source, output, "source", 0], [target, field, "target", path.getTotalLength()]];
  return ends.map(([id, name, side, at]) => {
    const end = path.getPointAtLength(at).matrixTransform(path.getScreenCTM());
    const handle = [...document.querySelectorAll(`.react-flow__handle.${side}`)]
      .find(one => one.dataset.nodeid === id && one.dataset.handleid === name).getBoundingClientRect();
    const gap = [end.x - handle.left - handle.width / 2, end.y - handle.top - handle.height / 2];
    return [`${id} ${name}`, ...gap.map(pixels => Math.abs(pixels) / zoom)];
  });
})"""
HANDLE_RADIUS = 9.5
"""Half of the width of a handle, in pixels at zoom 1, and of a line."""


def sizes(book: NotebookPage) -> dict[str, list[int]]:
    """[width, height] of the nodes, in pixels at zoom 1."""
    return book.editor.locator(".react-flow__node").evaluate_all(SIZES)


def assert_edges_meet_handles(book: NotebookPage) -> None:
    """Each edge ends within its two handles."""
    gaps = book.editor.locator(".react-flow__edge").evaluate_all(GAPS)
    assert len(gaps) == 14
    assert [(name, x, y) for name, x, y in gaps if x > HANDLE_RADIUS or y > 1.5] == []


def test_a_graph_opens_where_it_can_be_read_and_far_nodes_keep_the_size_they_have_near(book):
    book.execute(EDITOR, SPREAD)
    expect(book.node("model")).to_be_in_viewport(ratio=0.9)
    assert book.editor.locator(".react-flow__viewport").evaluate(ZOOM) >= 0.8
    book.editor.get_by_role("button", name="Fit View").click()
    expect(book.editor.locator(".nbg-far")).to_have_count(5)
    expect(book.editor.locator(".react-flow__node input, .react-flow__node textarea")).to_have_count(0)
    for node in ("model", "picture"):
        expect(book.node(node)).to_be_in_viewport(ratio=0.9)
    assert_edges_meet_handles(book)
    far = sizes(book)
    for _ in range(8):
        book.editor.get_by_role("button", name="Zoom In").click()
    expect(book.editor.locator(".nbg-far")).to_have_count(0)
    assert_edges_meet_handles(book)
    assert sizes(book) == far


def test_placeholders_are_in_view_when_a_graph_opens_and_say_once_what_is_missing(book):
    book.execute(EDITOR, MISSING)
    expect(book.node(GONE)).to_be_in_viewport(ratio=0.95)
    expect(book.node(GONE)).to_contain_text(f"The type {GONE} is not installed.")
    assert book.node(GONE).locator("p, li").count() == 1
    title, node = book.title(GONE).bounding_box(), book.node(GONE).bounding_box()
    assert title["x"] + title["width"] <= node["x"] + node["width"]
    expect(book.node("noise").locator("input")).to_have_count(1)
    expect(book.editor.locator(".nbg-toast")).to_have_count(0)


def test_nodes_stay_as_they_were_when_one_goes_away_and_comes_back(book):
    expect(book.node("noise").locator(".nbg-reason")).to_be_attached()
    before = sizes(book)
    for _ in range(6):
        book.editor.get_by_role("button", name="Zoom Out").click()
    expect(book.editor.locator(".nbg-far")).to_have_count(5)
    assert sizes(book) == before
    assert_edges_meet_handles(book)
    book.editor.get_by_role("button", name="Fit View").click()
    expect(book.field("noise", "seed")).to_be_visible()
    assert sizes(book) == before
    assert_edges_meet_handles(book)


def test_pictures_titles_and_states_are_shown_from_far(book):
    book.button("Run").click()
    book.ends_as("picture", "✓|cached")
    for _ in range(6):
        book.editor.get_by_role("button", name="Zoom Out").click()
    expect(book.node("picture").locator("img.nbg-result")).to_be_visible()
    expect(book.title("picture")).to_have_text("Latents to image")
    expect(book.node("picture").locator(".nbg-state")).to_be_visible()
