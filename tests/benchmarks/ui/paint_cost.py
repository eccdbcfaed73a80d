"""What painting costs on an image of 2,048 x 2,048 pixels, in JupyterLab in a real Chromium; `make bench-ui` prints it.

Frames a second depend on the machine: the same mouse over an empty page in the same browser is measured beside them.
"""

import os
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page
from ui.canvas_cost import PROBE, Processor, around, empty_page, frame_line, frames
from widgets.browser import Lab, open_browser
from widgets.notebook_page import NotebookPage

SIDE = 2_048
SIZES = (64, 512, 1_024)
"""Diameters of the brush, in pixels of the image."""
FRAMES_PER_SECOND = 60
SETUP = f"""
import nbgraph as nb
from PIL import Image

studio = nb.Studio()
painter = studio.paint(Image.linear_gradient("L").resize(({SIDE}, {SIDE})).convert("RGB"))
painter
"""
SET_SIZE = """(range, size) => {
  range.value = 100 * Math.log(size) / Math.log(1024);
  range.dispatchEvent(new Event("input", { bubbles: true }));
}"""


def open_painter(book: NotebookPage) -> None:
    """Show the painter, and wait for its image."""
    book.run(0)
    book.page.locator(".nbm-picture[src]").wait_for()
    book.page.get_by_role("button", name="Fill").wait_for()
    book.page.locator(".nbm").scroll_into_view_if_needed()


def strokes(page: Page, processor: Processor, size: int) -> dict[str, float]:
    """Frames while one stroke goes round in the middle of the image."""
    page.get_by_label("size", exact=True).evaluate(SET_SIZE, size)
    box = page.locator(".nbm-area").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 3
    page.mouse.move(x, y)
    page.mouse.down()
    figures = frames(page, processor, lambda angle: page.mouse.move(*around(x, y, angle)))
    page.mouse.up()
    page.wait_for_timeout(1500)
    return figures


def main() -> None:
    """Measure and print all."""
    with tempfile.TemporaryDirectory() as folder, open_browser() as browser:
        lab = Lab(Path(folder))
        try:
            empty = empty_page(browser)
            print(f"an empty page: {frame_line(empty)}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
            book = NotebookPage(browser, lab, SETUP, script=PROBE.read_text())
            open_painter(book)
            processor = Processor(book.page)
            for size in SIZES:
                found = strokes(book.page, processor, size)
                share = found["fps"] / empty["fps"]
                reached = "yes" if found["main"] <= 1000 / FRAMES_PER_SECOND else "NO"
                print(
                    f"  brush of {size:5} pixels on {SIDE} x {SIDE}  {frame_line(found)}, {share:.2f} of an empty page;"
                )
                print(f"    a frame of {1000 / FRAMES_PER_SECOND:.1f} ms is enough: {reached}")
            sent = book.page.evaluate("probe.messages.filter((one) => one.kind === 'save').map((one) => one.frame)")
            print(f"  mask sent, bytes with headers: {', '.join(map(str, sent))}")
            sys.stdout.flush()
        finally:
            lab.close()


if __name__ == "__main__":
    main()
