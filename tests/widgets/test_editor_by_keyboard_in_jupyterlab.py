"""From an empty canvas to a picture by keys alone, wires included."""

import pytest
from playwright.sync_api import expect
from widgets.notebook_page import EDITOR, NotebookPage

pytestmark = pytest.mark.browser
TABS = 120


def tab_to(book: NotebookPage, label: str) -> None:
    """Press Tab, from the canvas on, until the element of this name for page readers has the focus."""
    book.editor.focus()
    for _ in range(TABS):
        if book.page.evaluate("document.activeElement.getAttribute('aria-label')") == label:
            return
        book.press("Tab")
    raise AssertionError(f"Tab does not lead to {label!r}")


def add(book: NotebookPage, words: str, node: str) -> None:
    book.editor.focus()
    book.press("Space")
    book.page.keyboard.type(words)
    book.press("Enter")
    expect(book.node(node)).to_be_visible()


def wire(book: NotebookPage, port: str, start: str, to: str) -> None:
    """Draw a wire from a port; the hint says where it leads."""
    tab_to(book, port)
    book.press("Enter")
    hint = book.editor.locator(".nbg-wire-text")
    expect(hint).to_contain_text(start)
    expect(hint).to_contain_text(f"{start} to {to}")
    book.press("Enter")
    expect(hint).to_contain_text("Connected")


def test_keys_alone_draw_a_graph_and_run_it(book):
    book.execute(EDITOR, "editor = studio.edit(); editor")
    expect(book.editor.get_by_role("button", name="Open text to image and run it")).to_be_visible()
    add(book, "checkpoint", "model_loader")
    expect(book.field("model_loader", "model")).to_have_text("emoji")
    add(book, "vae decode", "l2i")
    wire(book, "output vae, VaeField", "model_loader vae", "l2i vae")
    tab_to(book, "give l2i its latents")
    book.press("Enter")
    expect(book.node("prompt")).to_be_attached()
    tab_to(book, "output conditioning, ConditioningField")
    book.press("Enter")
    expect(book.editor.locator(".nbg-wire-text")).to_contain_text(
        "prompt conditioning to denoise_latents negative, 1 of 1"
    )
    book.press("Escape")
    tab_to(book, "prompt text")
    book.page.keyboard.type("a red apple")
    book.press("Control+Enter")
    book.ends_as("l2i", "✓")
    assert "'a red apple'" in book.python("editor.graph['prompt'].text")
