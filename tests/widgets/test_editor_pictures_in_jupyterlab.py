"""Pictures on the canvas in a real JupyterLab: those of a cached graph, and one in full size."""

import re

import pytest
from playwright.sync_api import expect
from widgets.notebook_page import EDITOR, LONG, OTHER, PYTHON

pytestmark = pytest.mark.browser


def test_a_cached_graph_opens_with_its_picture_marked_as_cached(book):
    book.execute(EDITOR, "studio.run(text_to_image(1), progress=False); studio.edit(text_to_image(1))")
    expect(book.node("picture").locator("img.nbg-result")).to_be_visible()
    book.ends_as("picture", "cached")
    expect(book.button("Run")).to_have_text(re.compile("all cached"))


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
    expect(large.get_by_role("status")).to_contain_text("a red apple · 128 × 128 · 1 of 2")
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


def test_what_is_changed_while_it_runs_marks_the_result_and_is_what_runs_next(book):
    with book.held_at(60):
        book.field("denoise", "steps").fill("90")
        book.button("Run").click()
        expect(book.node("denoise").get_by_role("progressbar")).to_contain_text("/ 90", timeout=LONG)
        book.field("denoise", "steps").fill("2")
        book.press("Enter")
    hero, state = book.node("picture").locator(".nbg-hero"), book.node("denoise").locator(".nbg-state")
    expect(hero).to_have_class(re.compile("nbg-stale"), timeout=LONG)
    expect(hero).to_have_attribute("title", re.compile("of an older run"))
    expect(state).to_contain_text("will run: denoise.steps 90 -> 2")
    ran = book.python("print(studio.queue.frame.status.iloc[-1], editor.graph['denoise'].steps)")
    assert ran.strip() == "completed 2"
    book.python("end_of_hold()")
    book.button("Run").click()
    expect(hero).not_to_have_class(re.compile("nbg-stale"), timeout=LONG)
    expect(book.button("Run")).to_have_text(re.compile("all cached"))


def test_a_node_of_ones_own_that_fails_shows_the_line_on_which_it_did(book):
    book.python("@nb.node\ndef refuse(text: str = '') -> str:\n    raise ValueError(f'no <b>{text}</b>')")
    book.execute(EDITOR, "editor = studio.edit(nb.Graph.of(refuse(id='no', text='pears'))); editor")
    book.button("Run").click()
    book.ends_as("no", "failed")
    error = book.node("no").locator(".nbg-error")
    expect(error).to_contain_text("ValueError: no <b>pears</b>")
    expect(error).to_contain_text(re.compile(r"cell \[\d+\], line 3, in refuse: raise ValueError"))


def test_two_canvases_run_one_after_the_other_and_both_stay_live(book):
    book.execute(PYTHON, "other = studio.edit(text_to_image(2)); other")
    second = book.cell(PYTHON).locator(".nbg-editor")
    for canvas, steps in ((book.editor, 3), (second, 4)):
        canvas.get_by_label("denoise steps", exact=True).fill(str(steps))
        canvas.get_by_role("button", name="Run", exact=True).click()
        state = canvas.locator('.react-flow__node[data-id="picture"] .nbg-state')
        expect(state).to_contain_text("✓", timeout=LONG)
    for canvas, steps in ((book.editor, 5), (second, 6)):
        canvas.get_by_label("denoise steps", exact=True).fill(str(steps))
    book.until(
        lambda: (
            "5 6" in book.output(OTHER)
            or book.execute(OTHER, "print(editor.graph['denoise'].steps, other.graph['denoise'].steps)")
        ),
        "an edit of one of two canvases did not arrive",
    )
