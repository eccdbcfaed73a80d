"""A mask is painted in a real browser, by mouse and by keyboard, run, and only what was painted has changed."""

import ast
import re
from typing import Any

import pytest
from playwright.sync_api import Locator, expect
from widgets.notebook_page import EDITOR, LONG, NotebookPage
from widgets.test_editor_way_in import AXE
from widgets.test_panels_are_accessible_in_jupyterlab import FINDINGS

pytestmark = pytest.mark.browser
SETUP = """
import numpy as np
import nbgraph as nb
from PIL import Image as PIL
from nbgraph.invocations import *

studio = nb.Studio()
model = ModelLoader(id="model", model="emoji")
photo = studio.images.add(PIL.linear_gradient("L").resize((64, 64)).convert("RGB"))
source = Image(id="photo", image=photo)
FEATHER = 3

def inpaint(image, mask):
    crop = CropToMask(id="crop", image=image, mask=mask, padding=8, width=64, height=64)
    denoise = DenoiseLatents(
        id="denoise", unet=model, steps=1, cfg_scale=1, positive=Prompt(id="prompt", text="a red apple", clip=model),
        noise=Noise(id="noise", unet=model, seed=7, width=64, height=64),
        latents=ImageToLatents(id="latents", image=crop, vae=model), denoising_start=0.2,
        denoise_mask=CreateDenoiseMask(id="soft", mask=crop.output("mask")))
    painted = LatentsToImage(id="painted", latents=denoise, vae=model)
    region = crop.output("region")
    return PasteRegion(id="paste", image=image, painted=painted, mask=mask, region=region, feather=FEATHER)

def changes(image, mask):
    "(most levels by which a pixel outside of the mask and its feather differs, share of changed ones within it)"
    from PIL import ImageFilter
    after = studio.run(inpaint(image, mask), progress=False)["paste"].image
    before, white = studio.images.get(image.image_name), studio.images.get(mask.image_name)
    reach = np.asarray(white.filter(ImageFilter.MaxFilter(2 * FEATHER + 1))) > 0
    difference = np.abs(np.asarray(after).astype(int) - np.asarray(before)).max(axis=2)
    return int(difference[~reach].max()), float((difference[np.asarray(white) == 255] > 0).mean().round(1))

def framed(painter):
    mask = studio.images.get(painter.mask.image_name)
    return tuple(painter.frame), mask.size, mask.getpixel((mask.width - 1, 0))

def wired(graph, source):
    ends = (f"{node}.{link.field}" for node in graph.nodes for link in graph.links(node) if link.source == source)
    return " ".join(sorted(ends))

def canvas():
    node = inpaint(source, Image(id="gone", image=photo))
    editor = studio.edit(node)
    editor.graph.delete_node("gone")
    return editor

def box(mask):
    return studio.images.get(mask.image_name).point(lambda value: 255 * (value > 127)).getbbox()
"""


@pytest.fixture(scope="module")
def book(desk, request):
    with desk.notebook(request.path.stem, "0", SETUP, "2 + 2") as opened:
        yield opened
        assert opened.errors == []


def answer(book: NotebookPage, expression: str) -> Any:
    """The value of an expression in the kernel; what libraries say comes before it."""
    return ast.literal_eval(book.python(f"print(repr({expression}))").strip().splitlines()[-1])


def area(book: NotebookPage) -> Locator:
    return book.page.locator(".nbm-area").first


def saved(book: NotebookPage) -> None:
    expect(book.page.locator(".nbm-foot").first).to_contain_text(re.compile(r"saved$"), timeout=LONG)


def open_painter(book: NotebookPage, source: str = "painter = studio.paint(photo); painter") -> None:
    book.execute(EDITOR, source)
    expect(book.page.locator(".nbm-picture").first).to_have_attribute("src", re.compile("blob:"), timeout=LONG)
    expect(book.page.get_by_role("button", name="Fill").first).to_be_enabled()


def drag(book: NotebookPage, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Paint a line; places are shares of the picture."""
    shown = book.page.locator(".nbm-picture").first.bounding_box()
    assert shown is not None
    for act, (x, y) in ((book.page.mouse.move, start), (None, start), (book.page.mouse.move, end)):
        if act is None:
            book.page.mouse.down()
        else:
            act(shown["x"] + x * shown["width"], shown["y"] + y * shown["height"], steps=8)
    book.page.mouse.up()


def test_what_the_mouse_paints_is_the_mask_and_nothing_else_changes(book):
    open_painter(book)
    book.page.get_by_role("button", name="Brush").first.click()
    drag(book, (0.25, 0.25), (0.5, 0.25))
    saved(book)
    left, top, right, bottom = answer(book, "box(painter.mask)")
    assert (left, right) == (pytest.approx(13.5, abs=2), pytest.approx(34.5, abs=2))
    assert (top, bottom) == (pytest.approx(13.5, abs=2), pytest.approx(18.5, abs=2))
    assert answer(book, "changes(photo, painter.mask)") == (0, pytest.approx(0.9, abs=0.2))


def test_what_the_keys_paint_is_the_mask_and_nothing_else_changes(book):
    open_painter(book, "painter = studio.paint(photo, PIL.new('L', (64, 64))); painter")
    area(book).focus()
    for _ in range(4):
        book.press("]")
    book.page.keyboard.down("Space")
    for _ in range(4):
        book.press("ArrowRight")
    book.page.keyboard.up("Space")
    saved(book)
    left, top, right, bottom = answer(book, "box(painter.mask)")
    assert top < 32 < bottom
    assert left < 32 < right - 8
    assert answer(book, "changes(photo, painter.mask)") == (0, pytest.approx(0.9, abs=0.2))
    area(book).focus()
    for keys in ("i", "Control+z", "e", "g", "Control+z", "Control+z", "Control+y"):
        book.press(keys)
    saved(book)
    assert answer(book, "box(painter.mask)") == (left, top, right, bottom)


def test_handles_extend_the_frame_by_multiples_of_eight(book):
    area(book).focus()
    book.press("f")
    handle = book.page.get_by_role("slider", name="extend the frame to the right")
    handle.press("ArrowRight")
    handle.press("Shift+ArrowRight")
    expect(handle).to_have_attribute("aria-valuenow", "72")
    shown = handle.bounding_box()
    assert shown is not None
    x, y = shown["x"] + shown["width"] / 2, shown["y"] + shown["height"] / 2
    book.page.mouse.move(x, y)
    book.page.mouse.down()
    book.page.mouse.move(x - 200, y, steps=4)
    book.page.mouse.up()
    saved(book)
    frame, size, new = answer(book, "framed(painter)")
    assert frame[:2] == (0, 0)
    assert 64 < frame[2] < 136
    assert frame[2] % 8 == 0
    assert (size, new) == (frame[2:], 255)


def test_two_views_of_a_painter_show_one_mask(book):
    open_painter(book, "painter = studio.paint(photo, PIL.new('L', (64, 64)))\ndisplay(painter)\ndisplay(painter)")
    expect(book.page.locator(".nbm")).to_have_count(2)
    book.page.get_by_role("button", name="Fill").first.click()
    expect(book.page.locator(".nbm-foot").nth(1)).to_contain_text("100 % painted")
    book.page.locator(".nbm").nth(1).get_by_role("button", name="Undo").click()
    expect(book.page.locator(".nbm-foot").first).to_contain_text("nothing painted")


def test_a_mask_painted_over_the_canvas_is_wired_and_undo_takes_it_away(book):
    book.execute(EDITOR, "editor = canvas(); editor")
    book.title("photo").click(button="right")
    book.page.get_by_role("menuitem", name="Paint mask…").click()
    expect(book.page.get_by_role("button", name="Use mask")).to_be_enabled(timeout=LONG)
    expect(area(book)).to_be_focused()
    book.press("Space")
    book.press("Control+Enter")
    expect(book.page.locator(".nbg-paint")).to_have_count(0)
    expect(book.node("mask")).to_be_visible()
    assert answer(book, "wired(editor.graph, 'mask')") == "crop.mask paste.mask"
    assert answer(book, "changes(photo, editor.graph['mask'].image)")[0] == 0
    book.editor.focus()
    book.press("Control+z")
    expect(book.node("mask")).to_have_count(0)


@pytest.mark.skipif(not AXE.is_file(), reason="npm ci was not run in nbgraph/widgets/js")
def test_axe_finds_nothing_in_either_theme(book):
    open_painter(book)
    book.page.add_script_tag(path=AXE)
    area(book).focus()
    book.press("?")
    book.press("f")
    found = []
    for light in ("true", "false"):
        book.page.evaluate("light => document.body.setAttribute('data-jp-theme-light', light)", light)
        book.page.wait_for_timeout(100)
        found += book.cell(EDITOR).locator(".nbm").evaluate(FINDINGS)
    book.page.evaluate("document.body.setAttribute('data-jp-theme-light', 'true')")
    assert found == []
