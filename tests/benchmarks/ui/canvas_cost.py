"""What the canvas costs at 100, 500 and 2,000 nodes, in a JupyterLab in a real Chromium; `make bench-ui` prints it.

Frames a second depend on the machine: the same mouse over an empty page in the same browser is measured beside them,
and a drag among as many plain nodes of React Flow without anything of ours, in turn with the canvas.
"""

import ast
import gzip
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page
from ui.bare_flow import bundle, open_bare_flow
from widgets.browser import Lab, open_browser
from widgets.notebook_page import NotebookPage

SIZES = (100, 500, 2_000)
FIRST_NODE_SECONDS = {100: 1.0, 500: 1.5, 2_000: 3.0}
FRAMES_PER_SECOND = 50
PATCH_BYTES = 1024
SECONDS = 2.0
MOUSE_SECONDS = 0.008
DRAGS = 3
BARE = "the same in React Flow alone"
KEYS, KEY_WAIT = 40, 80
ENOUGH = 100
"""Nodes that the edits of `edit_costs` need."""
ZOOM = "new DOMMatrix(getComputedStyle(document.querySelector('.react-flow__viewport')).transform).a"
PROBE = Path(__file__).with_name("probe.js")
SETUP = """
import nbgraph as nb
from ui.picture_graph import edit_costs, picture_graph

studio = nb.Studio()
graph = picture_graph(%d)
"""


class Measured:
    """The editor of a graph, measured on its page."""

    def __init__(self, book: NotebookPage) -> None:
        self.book, self.page = book, book.page
        self.processor = Processor(self.page)

    def opening(self) -> dict[str, Any]:
        """Seconds until nodes are painted, from the run of the cell and from the message that opens the widget."""
        self.page.evaluate("probe.watch()")
        before, _ = self.processor.seconds()
        self.book.execute(0, "editor = studio.edit(graph); editor")
        self.page.wait_for_function("probe.settled")
        after, _ = self.processor.seconds()
        shown = [one for one in self.page.evaluate("probe.shown") if one["count"]]
        messages = self.page.evaluate("probe.messages")
        cell = next(one["at"] for one in messages if one["type"] == "execute_request")
        opened = next(one for one in messages if one["opens"])
        return {
            "first node after its message, s": (shown[0]["at"] - opened["at"]) / 1000,
            "first node after the cell was run, s": (shown[0]["at"] - cell) / 1000,
            "all nodes in view after their message, s": (shown[-1]["at"] - opened["at"]) / 1000,
            "processor time of the page's main thread, s": after - before,
            "nodes in view": shown[-1]["count"],
            "message that opens it, KB": opened["content"] / 1024,
        }

    def moving(self) -> dict[str, Any]:
        """Frames a second while a node is dragged, the canvas is dragged, and it is zoomed."""
        self.book.editor.scroll_into_view_if_needed()
        figures = {"pan": self._drag("")}
        self.page.mouse.click(*self._inside(""))
        figures["zoom"] = self._frames(lambda angle: self.page.mouse.wheel(0, -40 * math.sin(angle)))
        return figures

    def drag_beside(self, bare: Page | None) -> dict[str, Any]:
        """Frames a second while a node is dragged, here and on a page of React Flow alone, in turn."""
        self.book.editor.scroll_into_view_if_needed()
        ours: list[dict[str, float]] = []
        plain: list[dict[str, float]] = []
        for _ in range(DRAGS):
            self.page.bring_to_front()
            ours.append(self._drag(".react-flow__node .nbg-title"))
            if bare is not None:
                bare.bring_to_front()
                plain.append(drag(bare, Processor(bare), ".react-flow__node"))
        self.page.bring_to_front()
        beside = {BARE: middle_of(plain)} if plain else {}
        return {"drag a node": middle_of(ours), **beside}

    def _drag(self, selector: str) -> dict[str, float]:
        return drag(self.page, self.processor, selector)

    def _frames(self, move: Callable[[float], None]) -> dict[str, float]:
        return frames(self.page, self.processor, move)

    def edit(self) -> dict[str, Any]:
        """Bytes that go over the comm when one key is typed into a field, and the time until the answer."""
        self.page.mouse.click(*self._inside(".react-flow__node[data-id^=noise] .nbg-title"))
        self.page.keyboard.press(".")
        self.page.wait_for_timeout(1500)
        field = self.book.editor.locator(".react-flow__node.selected input[aria-label$=' seed']")
        field.focus(timeout=20_000)
        field.press("End")
        self.page.evaluate("probe.messages = []")
        field.press("7")
        self.page.wait_for_timeout(1500)
        messages = [one for one in self.page.evaluate("probe.messages") if one["type"] == "comm_msg"]
        sent = next(one for one in messages if one["kind"] == "edit" and one["out"])
        patch = next(one for one in messages if one["kind"] == "patch")
        done = next(one for one in messages if one["kind"] == "done")
        return {
            "edit sent, bytes": sent["content"],
            "patch received, bytes": patch["content"],
            "with Jupyter's headers, bytes": f"{sent['frame']} / {patch['frame']}",
            "edit sent to answered, ms": done["at"] - sent["at"],
        }

    def typing(self) -> dict[str, Any]:
        """Milliseconds of the page's main thread a key that is typed into a node's text field, edits sent included."""
        field = self.book.editor.locator(".react-flow__node[data-id^=prompt] textarea").first
        field.focus(timeout=20_000)
        field.press("End")
        before, _ = self.processor.seconds()
        for number in range(KEYS):
            self.page.keyboard.press("abcde"[number % 5])
            self.page.wait_for_timeout(KEY_WAIT)
        self.page.wait_for_timeout(1500)
        after, _ = self.processor.seconds()
        return {"a key in a text field, ms": (after - before) / KEYS * 1000}

    def zoom(self) -> dict[str, Any]:
        """The zoom at which the graph opened."""
        return {"zoom at opening": self.page.evaluate(ZOOM)}

    def layout(self) -> dict[str, Any]:
        """Seconds from the key until nodes have moved, and the longest time the page drew no frame."""
        self.page.keyboard.press("Escape")
        self.page.evaluate("probe.record()")
        began = self.page.evaluate("probe.moves()")
        self.page.keyboard.press("l")
        self.page.wait_for_function("probe.moved", timeout=60_000)
        stamps = self.page.evaluate("probe.stop()")
        waits = [after - before for before, after in zip(stamps, stamps[1:], strict=False)]
        return {
            "layout, s": (self.page.evaluate("probe.moved") - began) / 1000,
            "layout, longest time without a frame, s": max(waits, default=0.0) / 1000,
        }

    def kernel(self) -> dict[str, Any]:
        """Milliseconds of processor time an edit in the kernel."""
        self.book.execute(1, "print(edit_costs(editor))")
        costs = ast.literal_eval(self.book.output(1).strip().splitlines()[-1])
        return {f"kernel: {kind}, ms": milliseconds for kind, milliseconds in costs.items()}

    def _inside(self, selector: str) -> tuple[float, float]:
        return inside(self.page, selector)


def inside(page: Page, selector: str) -> tuple[float, float]:
    """A point of the canvas that lies on something like `selector`, or on nothing, as near the middle as can be."""
    point = page.evaluate("(selector) => probe.find(selector)", selector)
    assert point, f"nothing like {selector!r} is in view"
    return point["x"], point["y"]


def drag(page: Page, processor: "Processor", selector: str) -> dict[str, float]:
    """Frames while something is dragged round, or the canvas where `selector` is empty."""
    x, y = inside(page, selector)
    page.mouse.move(x, y)
    page.mouse.down()
    figures = frames(page, processor, lambda angle: page.mouse.move(*around(x, y, angle)))
    page.mouse.up()
    page.wait_for_timeout(500)
    return figures


def middle_of(drags: list[dict[str, float]]) -> dict[str, float]:
    """The drag whose frames a second are the median."""
    return sorted(drags, key=lambda one: one["fps"])[len(drags) // 2]


def around(x: float, y: float, angle: float) -> tuple[float, float]:
    """A place of the mouse on a circle through its start."""
    return x + 120 * math.sin(angle), y + 60 * (1 - math.cos(angle))


class Processor:
    """Processor time that a page has had: of its main thread, and of its whole process. Other load is not in it."""

    def __init__(self, page: Page) -> None:
        self._session = page.context.new_cdp_session(page)
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def seconds(self) -> tuple[float, float]:
        """(main thread, process) so far."""
        metrics = {one["name"]: one["value"] for one in self._session.send("Performance.getMetrics")["metrics"]}
        return metrics["ThreadTime"], metrics["ProcessTime"]


def frames(page: Page, processor: Processor, move: Callable[[float], None]) -> dict[str, float]:
    """Frames a second while the mouse moves for two seconds, the longest waits, and processor time a frame."""
    page.evaluate("probe.record()")
    before = processor.seconds()
    end = time.monotonic() + SECONDS
    while (now := time.monotonic()) < end:
        move((end - now) / SECONDS * 4 * math.pi)
        time.sleep(max(0.0, MOUSE_SECONDS - (time.monotonic() - now)))
    after = processor.seconds()
    stamps = page.evaluate("probe.stop()")
    waits = sorted(after - before for before, after in zip(stamps, stamps[1:], strict=False))
    return {
        "fps": len(waits) / sum(waits) * 1000,
        "p95": waits[int(len(waits) * 0.95)],
        "max": waits[-1],
        "main": (after[0] - before[0]) / len(waits) * 1000,
        "process": (after[1] - before[1]) / len(waits) * 1000,
    }


def empty_page(browser: Browser) -> dict[str, float]:
    """The same of a page with nothing on it."""
    page = browser.new_page(viewport={"width": 1500, "height": 1000})
    page.add_init_script(path=PROBE)
    page.goto("data:text/html,<title>empty</title>")
    figures = frames(page, Processor(page), lambda angle: page.mouse.move(*around(700, 400, angle)))
    page.close()
    return figures


def measure(browser: Browser, lab: Lab, size: int, built: tuple[str, str] | None) -> dict[str, Any]:
    """All figures of one size, in a kernel and a page of its own."""
    bare = open_bare_flow(browser, built, size, PROBE) if built else None
    book = NotebookPage(browser, lab, "0", SETUP % size, script=PROBE.read_text())
    book.run(1)
    one = Measured(book)
    figures = {
        **one.opening(),
        **one.zoom(),
        **one.drag_beside(bare),
        **one.moving(),
        **one.edit(),
        **one.typing(),
        **one.layout(),
        **(one.kernel() if size >= ENOUGH else {}),
    }
    assert book.errors == [], book.errors
    book.page.close()
    if bare is not None:
        bare.close()
    lab.end_sessions()
    return figures


def frame_line(one: dict[str, float]) -> str:
    """Frames in words."""
    return (
        f"{one['fps']:6.1f} frames/s (wait p95 {one['p95']:.0f} ms, max {one['max']:.0f} ms; a frame takes "
        f"{one['main']:.1f} ms of the main thread, {one['process']:.1f} ms of all threads)"
    )


def verdict(ours: dict[str, float], bare: dict[str, float] | None) -> str:
    """Whether a drag has its frames, and what limits one that has not: the page, or the browser that draws it."""
    if ours["fps"] >= FRAMES_PER_SECOND:
        return "yes"
    if ours["main"] > 1000 / FRAMES_PER_SECOND:
        return "NO, by the main thread of the page"
    # The page needs less than a frame's time, so frames are lost after it: they are drawn by the processor here.
    beside = "" if bare is None else f", where React Flow alone has {bare['fps']:.1f} and {bare['main']:.1f} ms"
    return f"NO, by drawing without a GPU: the page needs {ours['main']:.1f} ms a frame{beside}"


def show(size: int, figures: dict[str, Any], empty: dict[str, float]) -> None:
    """Print the figures of one size, those with a limit beside it."""
    limits = {
        **({"first node after its message, s": FIRST_NODE_SECONDS[size]} if size in FIRST_NODE_SECONDS else {}),
        "edit sent, bytes": PATCH_BYTES,
        "patch received, bytes": PATCH_BYTES,
    }
    print(f"\n{size:,} nodes")
    for name, value in figures.items():
        if isinstance(value, dict):
            text = f"{frame_line(value)}, {value['fps'] / empty['fps']:.2f} of an empty page"
            if name == "drag a node":
                text += f"; at least {FRAMES_PER_SECOND}: {verdict(value, figures.get(BARE))}"
        else:
            text = f"{value:8.2f}" if isinstance(value, float) else f"{value!s:>8}"
            if name in limits:
                text += f"  at most {limits[name]:g}: {'yes' if value <= limits[name] else 'NO'}"
        print(f"  {name:42} {text}")
    sys.stdout.flush()


def show_bundle() -> None:
    """Print the size of what the page loads once."""
    static = Path(__file__).parents[3] / "nbgraph" / "widgets" / "static"
    for name in ("widgets.js", "widgets.css"):
        data = (static / name).read_bytes()
        print(f"{name}: {len(data) / 1000:.1f} KB, {len(gzip.compress(data)) / 1000:.1f} KB gzip")


def main() -> None:
    """Measure and print all."""
    sizes = tuple(map(int, sys.argv[1:])) or SIZES
    show_bundle()
    built = bundle()
    if built is None:
        print("React Flow alone is not measured: npm ci was not run in nbgraph/widgets/js")
    with tempfile.TemporaryDirectory() as folder, open_browser() as browser:
        lab = Lab(Path(folder))
        try:
            empty = empty_page(browser)
            print(f"an empty page: {frame_line(empty)}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
            for size in sizes:
                show(size, measure(browser, lab, size, built), empty)
        finally:
            lab.close()


if __name__ == "__main__":
    main()
