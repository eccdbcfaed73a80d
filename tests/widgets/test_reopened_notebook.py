"""A notebook with the canvas in it, saved and opened again where its kernel is gone."""

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def test_a_notebook_opened_without_its_kernel_shows_the_graph_as_it_was_left(book):
    drawing = book.cell(0).get_by_role("img", name="Graph(5 nodes, 7 edges)")
    expect(drawing).to_be_hidden()
    book.field("noise", "seed").fill("31415")
    book.until(lambda: saved_with(book, "31415"), "the static side does not hold the last edit")
    book.lab.end_sessions()
    book.open()
    expect(drawing).to_be_visible()
    assert drawing.evaluate("image => image.naturalWidth") > 500


def saved_with(book, text: str) -> bool:
    book.save()
    return f">{text}<" in book.path.read_text()
