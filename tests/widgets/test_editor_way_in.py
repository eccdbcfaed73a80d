"""A stranger's way from an empty canvas to a picture, by mouse and by keyboard, and what axe-core finds on it."""

from pathlib import Path

import pytest
from playwright.sync_api import expect
from widgets.notebook_page import EDITOR, NotebookPage

import nbgraph

pytestmark = pytest.mark.browser
AXE = Path(nbgraph.__file__).parent / "widgets" / "js" / "node_modules" / "axe-core" / "axe.min.js"
FINDINGS = """async () => {
  const { violations } = await axe.run(document.querySelector(".nbg"), { resultTypes: ["violations"] });
  return violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 4).map((one) => one.html).join(" | ")}`);
}"""
WORDS_OF_THE_TRADE = {
    "txt2img": "Text to image",
    "img2img": "Image to image",
    "generate": "Text to image",
    "ksampler": "Denoise",
    "checkpoint": "Model",
    "vae decode": "Latents to image",
    "upscale": "Upscale",
    "loop": "Iterate",
    "cfg": "Denoise",
    "rotate": "Rotate image",
}
"""What other tools call it, and what it is here."""
MANY = """
from nbgraph.invocations import Integer
editor = studio.edit(nb.Graph([Integer(id=f"n{number}", value=number) for number in range(210)])); editor
"""


def empty_canvas(book: NotebookPage) -> None:
    """Show an empty canvas."""
    book.execute(EDITOR, "editor = studio.edit(); editor")
    expect(book.editor.get_by_role("button", name="Open text to image and run it")).to_be_visible()


def test_one_click_on_an_empty_canvas_gives_a_picture(book):
    empty_canvas(book)
    book.editor.get_by_role("button", name="Open text to image and run it").click()
    book.ends_as("image", "✓|cached")
    expect(book.node("image").locator("img.nbg-result")).to_be_visible()
    expect(book.field("positive", "text")).to_have_value("a red apple")


def test_five_actions_by_keyboard_give_a_picture(book):
    empty_canvas(book)
    book.editor.focus()
    book.press("Space")
    book.page.keyboard.type("vae decode")
    book.press("Enter")
    expect(book.node("l2i")).to_be_visible()
    for name in ("latents", "vae"):
        book.node("l2i").get_by_role("button", name=f"give l2i its {name}").focus()
        book.press("Enter")
    expect(book.editor.locator(".react-flow__node")).to_have_count(6)
    book.field("prompt", "text").focus()
    book.page.keyboard.type("a red apple")
    book.press("Control+Enter")
    book.ends_as("l2i", "✓")
    expect(book.node("l2i").locator("img.nbg-result")).to_be_visible()
    assert "'a red apple'" in book.python("editor.graph['prompt'].text")


def test_a_wire_dropped_on_a_node_goes_to_what_fits(book):
    book.choose("noise")
    book.press("Control+d")
    expect(book.node("noise_2")).to_be_attached()
    book.drag(book.output_of("noise_2", "noise"), book.node("denoise").locator(".nbg-fold"))
    expect(book.editor.get_by_label("edge from noise_2 noise to denoise latents")).to_be_attached()


def test_a_type_defined_in_a_cell_is_in_the_palette_at_once(book):
    book.python('@nb.node\ndef shout(text: str) -> str:\n    """Louder."""\n    return text.upper()')
    book.editor.locator(".react-flow__pane").dblclick(position={"x": 20, "y": 20})
    expect(book.editor.get_by_role("group", name="defined in this notebook")).to_be_visible()
    expect(book.editor.get_by_role("option", name="Shout")).to_be_visible()
    book.press("Escape")


def test_a_number_is_scrubbed_stepped_and_typed(book):
    steps = book.field("denoise", "steps")
    box = steps.bounding_box()
    assert box
    book.page.mouse.move(box["x"] + 10, box["y"] + 8)
    book.page.mouse.down()
    book.page.mouse.move(box["x"] + 60, box["y"] + 8, steps=5)
    book.page.mouse.up()
    expect(steps).not_to_have_value("8")
    steps.click()
    expect(steps).to_be_focused()
    book.page.keyboard.type("12")
    book.press("ArrowUp")
    book.press("Shift+ArrowUp")
    expect(steps).to_have_value("23")
    book.until(lambda: "23" in book.python("editor.graph['denoise'].steps"), "the number is not in the graph")


def test_a_menu_has_the_commands_of_a_node_and_a_sheet_has_the_keys(book):
    book.title("noise").click(button="right")
    book.editor.get_by_role("menuitem", name="Collapse").click()
    expect(book.field("noise", "seed")).to_have_count(0)
    book.editor.locator(".react-flow__pane").click(button="right", position={"x": 20, "y": 20})
    expect(book.editor.get_by_role("menuitem", name="Add a node")).to_be_focused()
    book.press("Escape")
    book.press("?")
    expect(book.editor.get_by_role("dialog", name="keys")).to_contain_text("Ctrl Enter")
    book.press("Escape")
    expect(book.editor).to_be_focused()


def test_keys_stay_live_when_the_focused_node_leaves_the_view(book):
    book.execute(EDITOR, MANY)
    expect(book.node("n0")).to_be_visible()
    book.choose("n0")
    book.node("n0").focus()
    pane = book.editor.locator(".react-flow__pane").bounding_box()
    assert pane
    book.page.mouse.move(pane["x"] + pane["width"] - 30, pane["y"] + pane["height"] - 30)
    for _ in range(4):
        book.page.mouse.down()
        book.page.mouse.move(pane["x"] + 40, pane["y"] + 40, steps=4)
        book.page.mouse.up()
        book.page.mouse.move(pane["x"] + pane["width"] - 30, pane["y"] + pane["height"] - 30)
    expect(book.node("n0")).to_have_count(0)
    book.press("?")
    expect(book.editor.get_by_role("dialog", name="keys")).to_be_visible()
    book.press("Escape")


def test_each_word_of_the_trade_finds_its_node_first(book):
    empty_canvas(book)
    book.editor.focus()
    book.press("Space")
    words, found = book.editor.get_by_role("combobox", name="search node types"), {}
    for word in WORDS_OF_THE_TRADE:
        words.fill(word)
        found[word] = book.editor.locator(".nbg-palette .nbg-choice-title").first.inner_text()
    assert found == WORDS_OF_THE_TRADE
    book.press("Escape")


@pytest.mark.skipif(not AXE.is_file(), reason="npm ci was not run in nbgraph/widgets/js")
@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_axe_finds_nothing_on_the_canvas(book, theme):
    book.lab.set_theme(theme)
    book.save()
    book.reload()
    book.page.add_script_tag(path=AXE)
    expect(book.field("noise", "seed")).to_be_visible()
    found = {"canvas": book.page.evaluate(FINDINGS)}
    book.editor.locator(".react-flow__pane").dblclick(position={"x": 20, "y": 20})
    found["palette"] = book.page.evaluate(FINDINGS)
    book.press("Escape")
    book.title("noise").click(button="right")
    found["menu"] = book.page.evaluate(FINDINGS)
    book.press("Escape")
    book.press("?")
    found["keys"] = book.page.evaluate(FINDINGS)
    book.press("Escape")
    book.field("model", "model").click()
    expect(book.editor.locator(".nbg-picker [role=option]").first).to_be_visible()
    found["picker"] = book.page.evaluate(FINDINGS)
    book.press("Escape")
    book.button("Python").click()
    book.editor.get_by_label("code of the graph").fill("x = Nois(")
    expect(book.editor.locator(".nbg-code-error")).to_be_visible()
    found["code"] = book.page.evaluate(FINDINGS)
    book.button("Python").click()
    book.button("Run").click()
    book.ends_as("picture", "✓|cached")
    found["results"] = book.page.evaluate(FINDINGS)
    book.node("picture").locator(".nbg-hero").click()
    expect(book.editor.get_by_role("link", name="Save")).to_be_visible()
    found["large"] = book.page.evaluate(FINDINGS)
    book.press("Escape")
    book.choose("denoise")
    book.press("Delete")
    expect(book.node("picture").locator(".nbg-supply")).to_be_visible()
    found["missing"] = book.page.evaluate(FINDINGS)
    empty_canvas(book)
    found["empty"] = book.page.evaluate(FINDINGS)
    assert {state: findings for state, findings in found.items() if findings} == {}
