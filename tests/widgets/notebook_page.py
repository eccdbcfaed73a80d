"""A notebook open in JupyterLab in a real browser, with an editor in it."""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect
from widgets.browser import Lab, open_browser

LONG = 150_000
EDITOR, PYTHON, OTHER = 0, 1, 2
TIDY = """%reset -f
__import__("ipywidgets").Widget.close_all()
"""
RUN_CELL = """async ([number, source, waits, patience]) => {
  const panel = [...window.jupyterapp.shell.widgets("main")].find(one => one.content?.model?.cells);
  await panel.sessionContext.ready;
  panel.content.activeCellIndex = number;
  if (source !== null) panel.content.activeCell.model.sharedModel.setSource(source);
  const ended = window.jupyterapp.commands.execute("notebook:run-cell");
  if (!waits) return;
  const late = new Promise((_, reject) => setTimeout(() => reject(new Error("the cell did not end")), patience));
  await Promise.race([ended, late]);
}"""
"""Runs a cell by the command behind Ctrl+Enter: on a busy machine keys may miss the cell, or hit it twice."""
HOLD = """
def hold_at(step, file):
    "Hold every run that tells of this step, until there is a file; returns what ends it."
    import time
    from pathlib import Path

    def hold(event):
        while type(event).__name__ == "NodeProgress" and event.step == step and not Path(file).exists():
            time.sleep(0.02)

    return studio.services.events.subscribe(hold)
"""
"""What a page shows in the middle of a run is looked at while the run is held, however slow the page is."""


def write_notebook(path: Path, *cells: str) -> None:
    """A notebook of code cells."""
    body = [
        {
            "cell_type": "code",
            "id": f"cell{number}",
            "metadata": {},
            "source": source,
            "outputs": [],
            "execution_count": None,
        }
        for number, source in enumerate(cells)
    ]
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path.write_text(json.dumps({"cells": body, "metadata": {"kernelspec": spec}, "nbformat": 4, "nbformat_minor": 5}))


class NotebookPage:
    """The page, by what a person does on it."""

    def __init__(
        self, browser: Browser | BrowserContext, lab: Lab, *cells: str, name: str = "test.ipynb", script: str = ""
    ) -> None:
        self.lab, self.name = lab, name
        write_notebook(lab.folder / name, *cells)
        self.page: Page = browser.new_page()
        self.page.set_viewport_size({"width": 1500, "height": 1000})
        self.page.set_default_timeout(LONG)
        self.errors: list[str] = []
        self.page.add_init_script(script)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.open()

    def open(self) -> None:
        """Load the page, anew if it was loaded before."""
        self.page.goto(self.lab.url(self.name))
        self._wait_until_open()

    def reload(self) -> None:
        """Load the page again, with the kernel that runs; ipywidgets may give up on a kernel that answers late."""
        for _ in range(3):
            self.page.goto(self.lab.url(self.name).replace("?reset&", "?"))
            self._wait_until_open()
            lost = self.page.get_by_text("Error displaying widget")
            expect(self.editor.or_(lost).first).to_be_visible(timeout=LONG)
            if self.editor.count():
                return

    def save(self, act: Callable[[], None] | None = None) -> None:
        """Save the notebook, by its button or as `act` does, and wait until the file is another.

        JupyterLab drops a save while another one is under way, as one is a while after it has written the file.
        """
        before = self.path.stat().st_mtime_ns
        for _ in range(10):
            (act or self.press_save)()
            with suppress(AssertionError):
                self.until(lambda: self.path.stat().st_mtime_ns != before, "the notebook was not saved", seconds=3)
                return
        raise AssertionError("the notebook was not saved")

    def press_save(self) -> None:
        """Press the notebook's button, which writes nothing if nothing has changed."""
        self.page.get_by_role("button", name=re.compile("^Save")).first.click()

    def until(self, condition: Callable[[], bool], otherwise: str, seconds: float = 30) -> None:
        """Wait for a condition that is not on the page."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, otherwise
            self.page.wait_for_timeout(50)

    @property
    def path(self) -> Path:
        """The notebook's file."""
        return self.lab.folder / self.name

    def _wait_until_open(self) -> None:
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=LONG)
        self.page.wait_for_selector(".jp-NotebookPanel-toolbar", timeout=LONG)

    def cell(self, number: int) -> Locator:
        """A cell."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(number)

    def run(self, number: int) -> None:
        """Run a cell and wait for its end."""
        self._run(number, None)

    def execute(self, number: int, source: str) -> None:
        """Write another source into a cell, run it, and wait for its end."""
        self._run(number, source)

    def start(self, number: int, source: str) -> Locator:
        """Write another source into a cell and start it; the cell."""
        self._run(number, source, waits=False)
        return self.cell(number)

    def _run(self, number: int, source: str | None, waits: bool = True) -> None:
        self.page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]', timeout=LONG)
        self.page.evaluate(RUN_CELL, [number, source, waits, LONG])

    @contextmanager
    def held_at(self, step: int) -> Iterator[None]:
        """Hold the run that begins in the block at this step, until its end; the kernel needs `HOLD`."""
        self.go.unlink(missing_ok=True)
        self.execute(PYTHON, f"end_of_hold = hold_at({step}, {str(self.go)!r})")
        try:
            yield
        finally:
            self.go.touch()

    @property
    def go(self) -> Path:
        """A file beside the notebook, for which code in the kernel waits."""
        return self.path.parent / "go"

    def output(self, number: int) -> str:
        """The text a cell has put out."""
        return "\n".join(self.cell(number).locator(".jp-OutputArea-output").all_inner_texts())

    @property
    def editor(self) -> Locator:
        """The first editor."""
        return self.page.locator(".nbg-editor").first

    def node(self, node_id: str) -> Locator:
        """A node on the canvas."""
        return self.editor.locator(f'.react-flow__node[data-id="{node_id}"]')

    def output_of(self, node_id: str, name: str) -> Locator:
        """The handle of an output."""
        return self.node(node_id).locator(f'.react-flow__handle.source[data-handleid="{name}"]')

    def input_of(self, node_id: str, name: str) -> Locator:
        """The handle of an input."""
        return self.node(node_id).locator(f'.react-flow__handle.target[data-handleid="{name}"]')

    def field(self, node_id: str, name: str) -> Locator:
        """The control of an input."""
        return self.editor.get_by_label(f"{node_id} {name}", exact=True)

    def pick_model(self, node_id: str, name: str, text: str) -> None:
        """Choose the model that a text finds first, or the file at that path, with the picker of an input."""
        self.field(node_id, name).click()
        picker = self.editor.get_by_role("dialog", name="choose")
        picker.get_by_role("combobox").fill(text)
        expect(picker.get_by_role("option").first).to_contain_text(text)
        self.press("Enter")
        expect(picker).to_have_count(0)

    def unfold(self, node_id: str) -> None:
        """Show the inputs and outputs of a node that nobody has used yet."""
        self.node(node_id).get_by_role("button", name=f"more inputs of {node_id}").click()
        expect(self.node(node_id).get_by_role("button", name=f"fewer inputs of {node_id}")).to_be_visible()

    def link(self, source: tuple[str, str], target: tuple[str, str]) -> None:
        """Draw an edge with the mouse."""
        self.drag(self.output_of(*source), self.input_of(*target))

    def drag(self, start: Locator, end: Locator) -> None:
        """Press on the middle of one thing and let go on that of the other."""
        self.hold(start, end)
        self.page.mouse.up()

    def hold(self, start: Locator, end: Locator) -> None:
        """Press, move over the other thing, and hold."""
        self.page.mouse.move(*middle(start))
        self.page.mouse.down()
        x, y = middle(end)
        self.page.mouse.move(x - 30, y - 5, steps=6)
        self.page.mouse.move(*middle(end), steps=4)

    def add(self, words: str, at: tuple[float, float]) -> None:
        """Double-click on the empty canvas, search, and take the first."""
        box = self.editor.locator(".react-flow__pane").bounding_box()
        assert box is not None
        self.page.mouse.dblclick(box["x"] + at[0], box["y"] + at[1])
        self.editor.get_by_role("combobox", name="search node types").fill(words)
        self.editor.locator(".nbg-palette [role=option]").first.wait_for()
        self.page.keyboard.press("Enter")
        expect(self.editor.get_by_role("dialog")).to_have_count(0)

    def title(self, node_id: str) -> Locator:
        """The title of a node, by which it is chosen and moved."""
        return self.node(node_id).locator(".nbg-title")

    def choose(self, *node_ids: str) -> None:
        """Select these nodes."""
        self.title(node_ids[0]).click()
        for node_id in node_ids[1:]:
            self.title(node_id).click(modifiers=["Control"])
        expect(self.editor.locator(".react-flow__node.selected")).to_have_count(len(node_ids))

    def button(self, name: str) -> Locator:
        """A button of the editor's toolbar."""
        return self.editor.get_by_role("toolbar").get_by_role("button", name=name, exact=True)

    def ends_as(self, node_id: str, words: str) -> None:
        """Wait until the state of a node says so (a regular expression)."""
        expect(self.node(node_id).locator(".nbg-state")).to_contain_text(re.compile(words), timeout=LONG)

    def python(self, source: str) -> str:
        """What Python code puts out, in the second cell."""
        self.execute(PYTHON, source)
        return self.output(PYTHON)

    def press(self, keys: str) -> None:
        """Press keys, with the focus where it is."""
        self.page.keyboard.press(keys)


class Desk:
    """One JupyterLab, one browser and one kernel for all notebooks of a test session, opened one after the other.

    So torch is loaded once, and the browser keeps the files of JupyterLab.
    """

    def __init__(self, lab: Lab, browser: Browser) -> None:
        self.lab, self._window = lab, browser.new_context()

    @contextmanager
    def notebook(self, folder: str, *cells: str, fresh: bool = False) -> Iterator[NotebookPage]:
        """Open a notebook in a new folder and run its second cell.

        It gets the kernel of the notebook before it, without that one's names and widgets; with `fresh`, and where that
        kernel has ended, a new one.
        """
        name = f"{folder}/test.ipynb"
        (self.lab.folder / folder).mkdir()
        self.lab.set_theme("JupyterLab Light")
        if fresh:
            self.lab.end_sessions()
        elif self.lab.hand_over(name):
            cells = (cells[EDITOR], TIDY + cells[PYTHON], *cells[OTHER:])
        opened = NotebookPage(self._window, self.lab, *cells, name=name)
        try:
            opened.run(PYTHON)
            yield opened
        finally:
            opened.page.close()


@contextmanager
def open_desk(folder: Path) -> Iterator[Desk]:
    """Start a JupyterLab over a folder, and a browser."""
    lab = Lab(folder)
    try:
        with open_browser() as browser:
            yield Desk(lab, browser)
    finally:
        lab.close()


def middle(locator: Locator) -> tuple[float, float]:
    """The middle of an element on the screen."""
    locator.wait_for(state="visible")
    box = locator.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
