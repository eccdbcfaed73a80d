"""What hands do on the canvas: a real JupyterLab in a real browser."""

import json
import re
from collections import Counter
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import expect
from widgets.notebook_page import EDITOR, NotebookPage, middle

pytestmark = pytest.mark.browser
TEXTS = {
    "nbg-title": 5,
    "nbg-name": 8,
    "nbg-missing": 1,
    "nbg-out": 7,
    "nbg-label": 4,
    "nbg-fold": 3,
    "nbg-run-line": 1,
    "nbg-main": 1,
}
"""Texts on a canvas of text to image without its noise and with a second prompt, by class."""
FIELDS = """
parts = {"blank_image": "blank", "image": "source", "img_text": "words"}
editor = studio.edit(nb.Graph([registry()[type](id=id) for type, id in parts.items()])); editor
"""
CONTRAST = """elements => elements.map(element => {
  const numbers = colour => (colour.match(/[\\d.]+/g) ?? []).map(Number);
  const shade = ([r, g, b]) => {
    const parts = [r, g, b].map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const canvas = document.createElement("canvas").getContext("2d");
  const plain = colour => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  let behind = element, back = [0, 0, 0, 0];
  for (; behind && back[3] < 255; behind = behind.parentElement) back = plain(getComputedStyle(behind).backgroundColor);
  const [one, other] = [shade(plain(getComputedStyle(element).color)), shade(back)].sort((a, b) => b - a);
  return [element.className, (one + 0.05) / (other + 0.05)];
})"""


def layout_of(book: NotebookPage) -> dict[str, Any]:
    """Where everything stands, as Python sees it."""
    return json.loads(book.python("import json; print(json.dumps(editor.graph.layout))"))


def texts_of(book: NotebookPage) -> list[str]:
    """The texts of frames and comments, as Python sees them."""
    return [note["text"] for note in layout_of(book)["notes"].values()]


def test_an_edge_is_led_to_another_input_and_dropped(book):
    book.unfold("denoise")
    end = book.editor.locator('.react-flow__edge[aria-label^="edge from noise noise"] .react-flow__edgeupdater-target')
    box = end.bounding_box()
    assert box is not None
    book.page.mouse.move(box["x"] + 2, box["y"] + box["height"] / 2)
    book.page.mouse.down()
    book.page.mouse.move(*middle(book.input_of("denoise", "latents")), steps=8)
    book.page.mouse.up()
    expect(book.editor.get_by_label("edge from noise noise to denoise latents")).to_be_attached()
    expect(book.editor.get_by_label("edge from noise noise to denoise noise")).to_have_count(0)
    box = end.bounding_box()
    assert box is not None
    book.page.mouse.move(box["x"] + 2, box["y"] + box["height"] / 2)
    book.page.mouse.down()
    book.page.mouse.move(box["x"] - 40, box["y"] + 150, steps=8)
    book.page.mouse.up()
    expect(book.editor.locator(".react-flow__edge")).to_have_count(6)
    assert book.python("len(editor.graph.edges)").strip() == "6"


def test_nodes_are_collapsed_muted_bypassed_renamed_and_moved(book):
    book.choose("noise")
    book.press("Alt+c")
    expect(book.field("noise", "seed")).to_have_count(0)
    expect(book.editor.locator(".react-flow__edge")).to_have_count(7)
    book.press("Alt+c")
    expect(book.field("noise", "seed")).to_be_visible()
    mode = book.node("noise").locator(".nbg-mode")
    book.press("Control+m")
    expect(mode).to_have_text("muted")
    book.press("Control+b")
    expect(mode).to_have_text("bypassed")
    book.press("Control+b")
    expect(mode).to_have_count(0)
    book.press("F2")
    book.page.keyboard.type("grain")
    book.press("Enter")
    expect(book.node("grain")).to_be_visible()
    expect(book.editor.locator(".react-flow__edge")).to_have_count(7)
    book.until(lambda: "grain" in layout_of(book)["nodes"], "the kernel does not know the new name")
    x, y = layout_of(book)["nodes"]["grain"].values()
    book.choose("grain")
    book.press("ArrowRight")
    book.press("ArrowDown")
    there = {"x": x + 10, "y": y + 10}
    book.until(lambda: layout_of(book)["nodes"]["grain"] == there, "the node did not move")


def test_a_frame_takes_its_nodes_along_and_a_comment_stays_on_the_graph(book):
    book.choose("prompt", "noise")
    book.press("Control+g")
    frame = book.editor.locator(".nbg-note-frame")
    book.editor.get_by_label("title of frame frame").fill("inputs")
    book.editor.locator(".react-flow__pane").click(position={"x": 15, "y": 300})
    before = layout_of(book)
    box = frame.bounding_box()
    assert box
    book.page.mouse.move(box["x"] + box["width"] - 8, box["y"] + box["height"] - 8)
    book.page.mouse.down()
    book.page.mouse.move(box["x"] + box["width"] + 12, box["y"] + box["height"] + 22, steps=6)
    book.page.mouse.up()
    book.until(lambda: layout_of(book) != before, "nothing has moved")
    after = layout_of(book)
    assert after["notes"]["frame"]["y"] - before["notes"]["frame"]["y"] > 15
    for node in ("noise", "prompt"):
        for axis in ("x", "y"):
            moved = after["nodes"][node][axis] - before["nodes"][node][axis]
            assert moved == after["notes"]["frame"][axis] - before["notes"]["frame"][axis]
    assert after["nodes"]["model"] == before["nodes"]["model"]
    book.choose("denoise")
    book.press("Shift+C")
    book.editor.get_by_label("comment comment").fill("more steps")
    book.until(lambda: texts_of(book) == ["inputs", "more steps"], "the notes are not in the graph")


def test_only_the_chosen_nodes_are_laid_out(book):
    book.page.keyboard.down("Shift")
    box = book.editor.locator(".react-flow__pane").bounding_box()
    assert box
    book.page.mouse.move(box["x"] + 8, box["y"] + 8)
    book.page.mouse.down()
    later = book.node("denoise").bounding_box()
    assert later
    book.page.mouse.move(later["x"] - 12, box["y"] + box["height"] - 4, steps=8)
    book.page.mouse.up()
    book.page.keyboard.up("Shift")
    expect(book.editor.locator(".react-flow__node.selected")).to_have_count(3)
    before = {node: book.node(node).bounding_box() for node in ("prompt", "denoise", "picture")}
    book.press("ArrowDown")
    book.press("l")
    expect(book.editor.locator(".react-flow__node.selected")).to_have_count(3)
    for node in ("denoise", "picture"):
        assert book.node(node).bounding_box() == before[node]
    book.until(lambda: book.node("prompt").bounding_box() != before["prompt"], "nothing was laid out")


def test_nodes_become_a_library_graph_that_opens_and_runs(book):
    book.choose("denoise", "picture")
    book.press("Control+Shift+E")
    expect(book.editor.get_by_role("dialog")).to_be_visible()
    book.page.keyboard.type("paint")
    book.press("Enter")
    expect(book.node("paint")).to_be_visible()
    expect(book.editor.locator(".react-flow__edge")).to_have_count(6)
    book.choose("paint")
    book.press("Enter")
    book.field("denoise", "steps").fill("3")
    book.button("Leave paint").click()
    expect(book.field("paint", "steps")).to_have_value("3")
    book.button("Run").click()
    book.ends_as("paint", "✓")
    expect(book.node("paint").locator("img.nbg-result")).to_be_visible()


def test_code_is_typed_beside_the_canvas_and_drawn_and_follows_it(book):
    book.button("Python").click()
    code = book.editor.get_by_label("code of the graph")
    expect(code).to_have_value(re.compile(r"noise = Noise\(id='noise', unet=model, seed=7\)"))
    typed = code.input_value()
    code.fill(typed.replace("seed=7", "seed=8") + "blur = BlurImage(image=picture, radius=2)  # mine")
    expect(book.node("blur")).to_be_visible()
    expect(book.field("noise", "seed")).to_have_value("8")
    code.fill(code.input_value() + "\nx = Nois(")
    expect(book.editor.locator(".nbg-code-error")).to_contain_text("was never closed")
    expect(book.editor.locator(".react-flow__node")).to_have_count(6)
    code.fill(typed)
    expect(book.node("blur")).to_have_count(0)
    expect(book.editor.locator(".nbg-code-error")).to_have_count(0)
    book.field("noise", "seed").fill("9")
    expect(code).to_have_value(re.compile("seed=9"))
    before = book.page.locator(".jp-Notebook .jp-Cell").count()
    book.editor.get_by_role("button", name="To a cell").click()
    expect(book.page.locator(".jp-Notebook .jp-Cell")).to_have_count(before + 1)
    expect(book.cell(EDITOR + 1).locator(".cm-content")).to_contain_text("from nbgraph import Graph")
    book.cell(EDITOR + 1).locator(".jp-InputPrompt").click()
    book.press("d")
    book.press("d")
    expect(book.page.locator(".jp-Notebook .jp-Cell")).to_have_count(before)


def test_pictures_colours_seeds_and_models_have_controls_of_their_own(book, tmp_path):
    expect(book.field("model", "model")).to_have_text("emoji")
    book.pick_model("model", "model", "/models/own.safetensors")
    expect(book.field("model", "model")).to_have_text("own.safetensors")
    book.pick_model("model", "model", "emo")
    assert "'emoji'" in book.python("editor.graph['model'].model")
    book.editor.get_by_label("noise seed: roll").click()
    expect(book.field("noise", "seed")).not_to_have_value("7")
    book.execute(EDITOR, FIELDS)
    Image.new("RGB", (90, 60), (20, 120, 220)).save(tmp_path / "blue.png")
    book.field("source", "image").click()
    book.editor.get_by_label("upload a file").set_input_files(tmp_path / "blue.png")
    expect(book.field("source", "image").locator("img")).to_be_visible()
    book.field("blank", "color").fill("#ff8800")
    book.field("words", "image").click()
    book.editor.get_by_role("button", name=re.compile("^picture ")).first.click()
    expect(book.field("words", "image").locator("img")).to_be_visible()
    told = book.python(
        "print(studio.images.get(editor.graph['source'].image.image_name).size, editor.graph['blank'].color)"
    )
    assert "(90, 60) r=255 g=136 b=0 a=255" in told


def test_the_wheel_scrolls_the_notebook_until_the_canvas_is_clicked(book):
    scrolled = "document.querySelector('.jp-WindowedPanel-outer').scrollTop"
    book.cell(EDITOR).locator(".cm-content").click()
    book.editor.scroll_into_view_if_needed()
    view = book.editor.locator(".react-flow__viewport")
    zoom, top = view.get_attribute("style"), book.page.evaluate(scrolled)
    x, y = middle(book.editor)
    book.page.mouse.move(x, y)
    book.page.mouse.wheel(0, 60)
    book.until(lambda: book.page.evaluate(scrolled) != top, "the notebook did not scroll")
    assert view.get_attribute("style") == zoom
    book.editor.locator(".react-flow__pane").click(position={"x": 15, "y": 300})
    top = book.page.evaluate(scrolled)
    book.page.mouse.wheel(0, 60)
    expect(view).not_to_have_attribute("style", zoom or "")
    assert book.page.evaluate(scrolled) == top


def test_the_focus_comes_back_to_the_canvas_after_a_deletion_and_the_map_can_be_shown(book):
    book.choose("picture")
    book.press("Delete")
    expect(book.node("picture")).to_have_count(0)
    expect(book.editor).to_be_focused()
    book.press("Control+z")
    expect(book.node("picture")).to_be_visible()
    expect(book.editor.locator(".react-flow__minimap")).to_have_count(0)
    book.button("Map").click()
    expect(book.editor.locator(".react-flow__minimap")).to_be_visible()


def test_page_readers_find_names_on_toolbar_nodes_and_handles(book):
    expect(book.editor.get_by_role("toolbar", name="graph editor")).to_be_visible()
    for name in ("Run", "Run 4 times", "Add", "Templates", "Undo", "Redo", "Layout", "Fit", "Map", "Export", "Keys"):
        expect(book.button(name)).to_be_visible()
    expect(book.editor.get_by_role("group", name="denoise_latents denoise")).to_be_visible()
    expect(book.node("denoise").get_by_role("button", name="output latents, LatentsField")).to_be_visible()
    expect(book.node("denoise").get_by_role("button", name="input noise, LatentsField | None")).to_be_visible()
    expect(book.editor.get_by_role("textbox", name="noise seed")).to_be_visible()


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_texts_stand_out_from_what_is_behind_them(book, theme):
    book.lab.set_theme(theme)
    book.save()
    book.reload()
    states = book.editor.locator(".nbg-state")
    expect(states).to_have_count(5)
    found = states.evaluate_all(CONTRAST)
    book.field("noise", "seed").fill("")
    book.choose("prompt")
    book.press("Control+d")
    book.choose("noise")
    book.press("Delete")
    expect(book.editor.locator(".nbg-problems li").first).to_be_visible()
    # A graph that misses a node cannot run, so a moment later no node says that it will.
    expect(states).to_have_count(0)
    found += book.editor.locator(", ".join(f".{name}" for name in TEXTS)).evaluate_all(CONTRAST)
    counts = Counter(next(name for name in (*TEXTS, "nbg-state") if name in kind.split()) for kind, _ in found)
    assert counts == {**TEXTS, "nbg-state": 5}
    assert [(name, round(contrast, 2)) for name, contrast in found if contrast < 4.5] == []


def test_run_to_here_runs_a_node_and_what_it_needs_and_no_more(book):
    expect(book.button("Run")).to_be_enabled()
    book.title("denoise").click(button="right")
    book.editor.get_by_role("menuitem", name="Run to here").click()
    book.ends_as("denoise", "✓|cached")
    expect(book.node("picture").locator("img.nbg-result")).to_have_count(0)
    assert "['denoise', 'model', 'noise', 'prompt']" in book.python(
        "sorted(studio.stats[studio.stats.session == studio.stats.session.iloc[-1]].node)"
    )
