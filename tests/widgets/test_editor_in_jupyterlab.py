"""The editor as a person uses it: a real JupyterLab in a real browser, on the model that ships with the package."""

import re
import string

import pytest
from playwright.sync_api import expect
from widgets.notebook_page import EDITOR, LONG, OTHER, middle

pytestmark = pytest.mark.browser
SHORTCUTS = [*string.ascii_lowercase, "Delete", "Backspace", "Shift+Enter", "ArrowDown", "d", "d", "0", "0"]
PLACES = {
    "model": (40, 60),
    "prompt": (330, 10),
    "noise": (330, 230),
    "denoise": (610, 30),
    "latents to image": (880, 40),
}
LINKS = [
    (("model_loader", "clip"), ("prompt", "clip")),
    (("model_loader", "unet"), ("noise", "unet")),
    (("model_loader", "unet"), ("denoise_latents", "unet")),
    (("model_loader", "vae"), ("l2i", "vae")),
    (("prompt", "conditioning"), ("denoise_latents", "positive")),
    (("noise", "noise"), ("denoise_latents", "noise")),
    (("denoise_latents", "latents"), ("l2i", "latents")),
]


def test_a_picture_is_built_run_and_changed_from_an_empty_canvas(book):
    book.execute(EDITOR, "editor = studio.edit(); editor")
    expect(book.editor.locator(".nbg-empty")).to_be_visible()
    for words, at in PLACES.items():
        book.add(words, at)
    expect(book.editor.locator(".react-flow__node")).to_have_count(5)
    book.press("Escape")
    book.press(".")
    book.pick_model("model_loader", "model", "emoji")
    book.field("prompt", "text").fill("a red apple")
    book.field("noise", "seed").fill("7")
    book.field("denoise_latents", "steps").fill("6")
    book.field("denoise_latents", "cfg_scale").fill("1")
    for number, (source, target) in enumerate(LINKS, 1):
        book.link(source, target)
        expect(book.editor.locator(".react-flow__edge")).to_have_count(number)
    book.button("Run").click()
    book.ends_as("l2i", "✓")
    picture = book.node("l2i").locator("img.nbg-result")
    expect(picture).to_be_visible()
    first = picture.get_attribute("src")
    book.python('editor.graph.update_node("noise", seed=8)')
    expect(book.field("noise", "seed")).to_have_value("8")
    expect(book.node("noise").locator(".nbg-reason")).to_contain_text("will run: noise.seed 7 -> 8")
    expect(book.node("prompt").locator(".nbg-reason")).to_contain_text("cached")
    book.button("Run").click()
    for node in ("model_loader", "prompt"):
        book.ends_as(node, "cached")
    for node in ("noise", "denoise_latents", "l2i"):
        book.ends_as(node, "✓")
    expect(picture).not_to_have_attribute("src", first or "")
    book.button("Run").click()
    book.ends_as("l2i", "cached")


def test_the_canvas_shows_its_run_after_another_cell_has_loaded_the_models(book):
    book.python("studio.unload_models(); studio.cache.clear(); studio.run(text_to_image(2), progress=False).status")
    book.button("Run").click()
    book.ends_as("picture", "✓")


def test_a_link_that_does_not_fit_is_refused_with_its_reason(book):
    book.hold(book.output_of("model", "clip"), book.input_of("picture", "vae"))
    expect(book.editor.locator(".nbg-hint")).to_contain_text("picture.vae takes VaeField, and model.clip is ClipField")
    book.page.mouse.up()
    expect(book.editor.locator(".nbg-toast")).to_contain_text("takes VaeField")
    assert book.python("len(editor.graph.edges)").strip() == "7"


def test_a_link_let_go_on_the_canvas_offers_what_fits(book):
    x, y = middle(book.output_of("picture", "image"))
    pane = book.editor.locator(".react-flow__pane").bounding_box()
    assert pane is not None
    book.page.mouse.move(x, y)
    book.page.mouse.down()
    book.page.mouse.move(x - 60, pane["y"] + 30, steps=8)  # above the nodes, which are higher with a cached result
    book.page.mouse.up()
    choices = book.editor.get_by_role("option")
    expect(choices.filter(has_text="Image to latents")).to_be_visible()
    expect(choices.filter(has_text="Range")).to_have_count(0)
    book.editor.get_by_role("combobox", name="search node types").fill("save image")
    book.press("Enter")
    expect(book.node("save_image")).to_be_attached()
    expect(book.editor.locator(".react-flow__edge")).to_have_count(8)


def test_copy_paste_delete_undo_and_redo(book):
    book.choose("prompt")
    book.press("Control+c")
    book.press("Control+Shift+V")
    expect(book.node("prompt_2")).to_be_attached()
    expect(book.editor.locator(".react-flow__edge")).to_have_count(8)
    expect(book.field("prompt_2", "text")).to_have_value("a red apple")
    book.press("Delete")
    expect(book.node("prompt_2")).to_have_count(0)
    book.press("Control+z")
    expect(book.node("prompt_2")).to_be_attached()
    book.press("Control+z")
    expect(book.node("prompt_2")).to_have_count(0)
    book.press("Control+Shift+Z")
    expect(book.node("prompt_2")).to_be_attached()
    assert "'prompt_2'" in book.python("sorted(editor.graph)")


def test_cancel_in_the_middle_of_a_run(book):
    book.field("denoise", "steps").fill("1000")
    book.button("Run").click()
    expect(book.node("denoise").get_by_role("progressbar")).to_contain_text(re.compile(r"\d+ / 1000"), timeout=LONG)
    book.button("Cancel").click()
    book.ends_as("denoise", "cancelled")
    expect(book.editor.get_by_role("status").first).to_contain_text("cancelled")
    assert "cancelled" in book.python("studio.queue.frame.status.iloc[-1]")


def test_no_key_pressed_in_the_editor_reaches_the_notebook(book):
    for where in ("node", "pane", "field"):
        if where == "node":
            book.title("noise").click()
        elif where == "pane":
            book.editor.locator(".react-flow__pane").click(position={"x": 20, "y": 300})
        else:
            book.field("prompt", "text").click()
        for key in SHORTCUTS:
            book.press(key)
            if book.editor.get_by_role("dialog").count():
                book.press("Escape")
    expect(book.page.locator(".jp-Notebook .jp-Cell")).to_have_count(3)
    assert book.cell(OTHER).locator(".cm-content").inner_text() == "2 + 2"
    expect(book.editor).to_be_visible()


def test_saving_from_the_canvas_saves_the_notebook(book):
    book.choose("noise")
    book.save(lambda: book.press("Control+s"))
    book.field("prompt", "text").click()
    book.save(lambda: book.press("Control+s"))
    book.press("x")
    expect(book.field("prompt", "text")).to_have_value("a red applex")


def test_the_document_is_found_again_after_the_page_is_loaded_anew(book):
    book.field("noise", "seed").fill("123")
    book.choose("prompt")
    book.press("Control+d")
    expect(book.node("prompt_2")).to_be_attached()
    book.save()
    book.reload()
    expect(book.field("noise", "seed")).to_have_value("123", timeout=LONG)
    expect(book.node("prompt_2")).to_be_attached()


def test_a_notebook_opened_without_its_kernel_shows_the_graph_as_it_was_left(book):
    drawing = book.cell(EDITOR).get_by_role("img", name="Graph(5 nodes, 7 edges)")
    expect(drawing).to_be_hidden()
    book.field("noise", "seed").fill("31415")

    def is_saved() -> bool:
        book.press_save()
        return ">31415<" in book.path.read_text()

    book.until(is_saved, "the drawing in the file does not hold the last edit")
    book.lab.end_sessions()
    book.open()
    expect(drawing).to_be_visible()
    assert drawing.evaluate("image => image.naturalWidth") > 500
