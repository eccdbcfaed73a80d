"""Pictures on the canvas in a real JupyterLab: those of a cached graph, and one in full size."""

import re

import pytest
from playwright.sync_api import expect
from widgets.notebook_page import EDITOR

pytestmark = pytest.mark.browser


def test_a_cached_graph_opens_with_its_picture_marked_as_cached(book):
    book.execute(EDITOR, "studio.run(text_to_image(1), progress=False); studio.edit(text_to_image(1))")
    expect(book.node("picture").locator("img.nbg-result")).to_be_visible()
    book.ends_as("picture", "cached")
    assert book.button("Run").inner_text() == "Run\n0 of 5"


def test_a_result_is_seen_large_compared_saved_and_used_again(book):
    book.execute(EDITOR, "editor = studio.edit(text_to_image(1)); editor")
    expect(book.node("picture").locator("img.nbg-result")).to_be_visible()
    book.python("editor.graph.update_node('noise', seed=8)")
    book.button("Run").click()
    book.ends_as("picture", "✓")
    hero = book.node("picture").get_by_role("button", name="see the result of picture in full size")
    hero.focus()
    book.press("Enter")
    large = book.editor.get_by_role("dialog", name="result of picture")
    expect(large.get_by_role("button", name="Close")).to_be_focused()
    expect(large.get_by_role("status")).to_contain_text("a red apple · 64 × 64 · 1 of 2")
    large.get_by_role("button", name="Star").click()
    expect(large.get_by_role("button", name="Starred")).to_be_visible()
    large.get_by_role("button", name="Compare").click()
    expect(large.get_by_role("row", name=re.compile("noise.seed 7 8"))).to_be_visible()
    with book.page.expect_download() as download:
        large.get_by_role("link", name="Save").click()
    saved = download.value.path()
    for _ in range(2):
        book.press("Escape")
    expect(hero).to_be_focused()
    kept = book.python(
        f"opened = studio.open({str(saved)!r}); "
        "print(opened.graph['noise'].seed, len(studio.images.search(starred=True)))"
    )
    assert kept.strip() == "8 1"
    hero.click()
    large.get_by_role("button", name="Use as input").click()
    expect(book.node("image")).to_be_visible()
    hero.click()
    large.get_by_role("button", name="Open its graph").click()
    expect(book.cell(EDITOR).locator(".nbg-editor")).to_have_count(2)
    second = book.cell(EDITOR).locator(".nbg-editor").nth(1)
    expect(second.get_by_label("noise seed", exact=True)).to_have_value("8")
