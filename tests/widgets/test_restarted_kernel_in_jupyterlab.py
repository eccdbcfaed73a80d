"""What is drawn outlives its kernel, and panels whose kernel is gone say so, in a real JupyterLab."""

import json
import re
import sqlite3
from contextlib import closing

import pytest
from playwright.sync_api import Locator, expect
from widgets.notebook_page import EDITOR, PYTHON, NotebookPage

pytestmark = pytest.mark.browser
SETUP = """
import nbgraph as nb
from nbgraph.invocations import Add, Integer

studio = nb.Studio("studio")
"""
PANELS = """
from IPython.display import display
panels = [studio.images, studio.cache, studio.queue, studio.stats_view(), studio.form("text to image")]
for panel in panels: display(panel)
"""
CALLS = ["studio.images", "studio.cache", "studio.queue", "studio.stats_view()", 'studio.form("text to image")']
GONE = "kernel was restarted or ended"


@pytest.fixture(scope="module")
def lab(desk, request):
    with desk.notebook(request.path.stem, "0", SETUP, "2 + 2", fresh=True) as opened:
        yield opened
        assert opened.errors == []


@pytest.fixture
def book(lab: NotebookPage):
    """The notebook with an integer on the canvas `portrait`, which is kept."""
    lab.lab.end_sessions()
    lab.open()
    lab.run(PYTHON)
    lab.execute(EDITOR, "editor = studio.edit('portrait'); editor")
    if not lab.node("integer").count():
        lab.add("Integer", (200, 150))
    return lab


def restart(book: NotebookPage) -> None:
    """Restart the kernel by the notebook's button."""
    book.page.get_by_role("button", name=re.compile("Restart the kernel")).first.click()
    book.page.locator(".jp-Dialog .jp-mod-accept").click()


def restart_elsewhere(book: NotebookPage) -> None:
    """Restart the kernel as another page, or a program, does: this page is not asked."""
    (session,) = json.loads(book.lab.ask("api/sessions"))
    book.lab.ask(f"api/kernels/{session['kernel']['id']}/restart", "POST")


def gone(book: NotebookPage) -> Locator:
    return book.editor.get_by_role("alert").filter(has_text=GONE)


def is_kept(book: NotebookPage, value: str) -> bool:
    """Whether a drawing in the studio's folder has the value."""
    with closing(sqlite3.connect(book.path.parent / "studio" / "nbgraph.db")) as database:
        return any(value in graph for (graph,) in database.execute("SELECT graph FROM graph_document_versions"))


def test_the_last_edit_before_a_restart_is_there_in_the_next_kernel_and_in_the_old_place(book):
    book.field("integer", "value").fill("31415")
    expect(book.editor.get_by_role("status").filter(has_text="portrait")).to_be_visible()
    book.until(lambda: is_kept(book, "31415"), "the edit was not kept")
    restart(book)
    banner = gone(book)
    expect(banner).to_contain_text('studio.edit("portrait")')
    banner.get_by_role("button", name="Open it here again").click()
    expect(banner).to_contain_text("run the cell that makes it")
    book.run(PYTHON)
    banner.get_by_role("button", name="Open it here again").click()
    expect(gone(book)).to_have_count(0)
    expect(book.field("integer", "value")).to_have_value("31415")
    book.field("integer", "value").fill("27182")
    expect(book.button("Undo")).to_be_enabled()
    book.execute(2, "editor = studio.edit('portrait'); print(editor.graph['integer'].value)")
    assert "27182" in book.output(2)


def test_a_canvas_whose_kernel_was_restarted_by_somebody_else_says_so_when_it_is_used(book):
    restart_elsewhere(book)
    book.field("integer", "value").fill("99")
    expect(gone(book)).to_contain_text('studio.edit("portrait")')
    expect(book.button("Run")).to_be_disabled()


@pytest.mark.parametrize("act", [restart, restart_elsewhere])
def test_panels_whose_kernel_is_gone_say_so_and_what_to_type(book, act):
    book.execute(EDITOR, PANELS)
    output = book.cell(EDITOR).locator(".jp-OutputArea")
    expect(output.get_by_text("No run yet")).to_be_visible()
    expect(output.get_by_text("No pictures yet")).to_be_visible()
    act(book)
    if act is restart_elsewhere:
        book.page.wait_for_timeout(1500)
        output.get_by_role("button", name="☆ Starred").click()
        output.locator(".nbp-cache").get_by_role("searchbox").first.fill("x")
        output.get_by_role("button", name="Pause").click()
        stats = output.locator(".nbp-stats")
        stats.get_by_text("Save").click()
        stats.get_by_role("button", name="CSV").click()
        output.locator("button.jupyter-button", has_text="Run").click()
    for call in CALLS:
        banner = output.locator(".nbk-banner").filter(has=book.page.get_by_text(call, exact=True))
        expect(banner).to_be_visible()
        expect(banner.get_by_role("button", name="Copy")).to_be_enabled()
    expect(output.locator("[inert] .nbp-gallery")).to_be_attached()
