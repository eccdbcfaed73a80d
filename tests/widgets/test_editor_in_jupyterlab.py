"""The editor as a person uses it: a real JupyterLab in a real browser, on the model that ships with the package."""

import re
import string

import pytest
from playwright.sync_api import expect
from widgets.browser import Lab, find_browser, open_browser
from widgets.notebook_page import LONG, NotebookPage, middle

pytestmark = pytest.mark.browser
SETUP = """
import nbgraph as nb
from nbgraph.invocations import DenoiseLatents, LatentsToImage, ModelLoader, Noise, Prompt

studio = nb.Studio()

def text_to_image(steps):
    model = ModelLoader(id="model", model="emoji")
    noise, prompt = Noise(id="noise", unet=model, seed=7), Prompt(id="prompt", text="a red apple", clip=model)
    denoise = DenoiseLatents(id="denoise", unet=model, noise=noise, steps=steps, cfg_scale=1, positive=prompt)
    return LatentsToImage(id="picture", latents=denoise, vae=model)

studio.run(text_to_image(1), progress=False)
studio.cache.clear()
"""
EMPTY = "editor = studio.edit(); editor"
TEXT_TO_IMAGE = "editor = studio.edit(text_to_image(8)); editor"
LONG_RUN = "editor = studio.edit(text_to_image(1000)); editor"
EDITOR, PYTHON, OTHER = 0, 1, 2
SHORTCUTS = [*string.ascii_lowercase, "Delete", "Backspace", "Shift+Enter", "ArrowDown", "d", "d", "0", "0"]


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """One notebook for all tests, so that torch is loaded once; each test makes an editor in the first cell."""
    path, reason = find_browser()
    if not path:
        pytest.skip(reason)
    lab = Lab(tmp_path_factory.mktemp("lab"))
    try:
        with open_browser() as browser:
            opened = NotebookPage(browser, lab, "0", SETUP, "2 + 2")
            opened.run(PYTHON)
            yield opened
            assert opened.errors == []
    finally:
        lab.close()


def state_of(book: NotebookPage, node: str, word: str) -> None:
    expect(book.node(node).locator(".nbg-state")).to_contain_text(re.compile(word), timeout=LONG)


def test_a_picture_is_built_run_and_changed_from_an_empty_canvas(book):
    book.execute(EDITOR, EMPTY)
    expect(book.editor.locator(".nbg-empty")).to_be_visible()
    places = {
        "model": (40, 60),
        "prompt": (330, 10),
        "noise": (330, 230),
        "denoise": (610, 30),
        "latents to image": (880, 40),
    }
    for words, at in places.items():
        book.add(words, at)
    nodes = ["model_loader", "prompt", "noise", "denoise_latents", "l2i"]
    for node in nodes:
        expect(book.node(node)).to_be_attached()
    book.press("Escape")
    book.press("l")
    book.press(".")
    book.field("model_loader", "model").select_option(label="emoji")
    book.field("prompt", "text").fill("a red apple")
    book.field("noise", "seed").fill("7")
    book.field("denoise_latents", "steps").fill("6")
    book.field("denoise_latents", "cfg_scale").fill("1")
    links = [
        (("model_loader", "clip"), ("prompt", "clip")),
        (("model_loader", "unet"), ("noise", "unet")),
        (("model_loader", "unet"), ("denoise_latents", "unet")),
        (("model_loader", "vae"), ("l2i", "vae")),
        (("prompt", "conditioning"), ("denoise_latents", "positive")),
        (("noise", "noise"), ("denoise_latents", "noise")),
        (("denoise_latents", "latents"), ("l2i", "latents")),
    ]
    for number, (source, target) in enumerate(links, 1):
        book.link(source, target)
        expect(book.editor.locator(".react-flow__edge")).to_have_count(number)
    book.editor.get_by_role("button", name="Run", exact=False).first.click()
    expect(book.node("l2i").locator("img.nbg-result")).to_be_visible(timeout=LONG)
    state_of(book, "l2i", "ms|s")
    book.execute(PYTHON, 'editor.graph.update_node("noise", seed=8)')
    expect(book.field("noise", "seed")).to_have_value("8")
    expect(book.node("noise").locator(".nbg-reason")).to_contain_text("will run: noise.seed 7 -> 8")
    expect(book.node("prompt").locator(".nbg-reason")).to_contain_text("cached")
    book.editor.get_by_role("button", name="Run", exact=False).first.click()
    for node in ("model_loader", "prompt"):
        state_of(book, node, "cached")
    state_of(book, "noise", "ms|s")


def test_a_link_that_does_not_fit_is_refused_with_its_reason(book):
    book.execute(EDITOR, TEXT_TO_IMAGE)
    source, target = book.handle("model", "clip"), book.handle("picture", "vae")
    book.hold(source, target)
    expect(book.editor.locator(".nbg-hint")).to_contain_text("picture.vae takes VaeField, and model.clip is ClipField")
    book.page.mouse.up()
    expect(book.editor.locator(".nbg-toast")).to_contain_text("takes VaeField")
    book.execute(PYTHON, "print(len(editor.graph.edges))")
    assert "7" in book.output(PYTHON)


def test_a_link_let_go_on_the_canvas_offers_what_fits(book):
    book.execute(EDITOR, TEXT_TO_IMAGE)
    x, y = middle(book.handle("picture", "image"))
    book.page.mouse.move(x, y)
    book.page.mouse.down()
    book.page.mouse.move(x - 60, y + 200, steps=8)
    book.page.mouse.up()
    choices = book.editor.get_by_role("option")
    expect(choices.filter(has_text="Image to latents")).to_be_visible()
    expect(choices.filter(has_text="Range")).to_have_count(0)
    book.editor.get_by_role("combobox", name="search node types").fill("save image")
    book.press("Enter")
    expect(book.node("save_image")).to_be_attached()
    expect(book.editor.locator(".react-flow__edge")).to_have_count(8)


def test_copy_paste_delete_undo_and_redo(book):
    book.execute(EDITOR, TEXT_TO_IMAGE)
    book.node("prompt").locator(".nbg-title").click()
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
    book.execute(PYTHON, "print(sorted(editor.graph))")
    assert "'prompt_2'" in book.output(PYTHON)


def test_cancel_in_the_middle_of_a_run(book):
    book.execute(EDITOR, LONG_RUN)
    book.editor.get_by_role("button", name="Run", exact=False).first.click()
    expect(book.node("denoise").get_by_role("progressbar")).to_contain_text(re.compile(r"\d+/1000"), timeout=LONG)
    book.editor.get_by_role("button", name="Cancel").click()
    state_of(book, "denoise", "cancelled")


def test_no_key_pressed_in_the_editor_reaches_the_notebook(book):
    book.execute(EDITOR, TEXT_TO_IMAGE)
    for where in ("node", "pane", "field"):
        if where == "node":
            book.node("noise").locator(".nbg-title").click()
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


def test_the_document_is_found_again_after_the_page_is_loaded_anew(book):
    book.execute(EDITOR, TEXT_TO_IMAGE)
    book.field("noise", "seed").fill("123")
    book.node("prompt").locator(".nbg-title").click()
    book.press("Control+d")
    expect(book.node("prompt_2")).to_be_attached()
    book.page.keyboard.press("Escape")
    book.page.get_by_role("button", name=re.compile("Save")).first.click()
    book.page.wait_for_timeout(1500)
    book.page.goto(book.lab.url(book.name).replace("?reset&", "?"))
    expect(book.field("noise", "seed")).to_have_value("123", timeout=LONG)
    expect(book.node("prompt_2")).to_be_attached()
