"""Makes a picture of every widget in light and dark, at 1,100 and 600 px, under out/looks: to look at, side by side."""

import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, expect
from widgets.browser import Lab, open_browser
from widgets.notebook_page import LONG, NotebookPage

OUT = Path(__file__).parents[1] / "out" / "looks"
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
WIDTHS = (1100, 600)
SHOWN, PYTHON = 0, 1
SETUP = """
import time
from PIL import Image as PillowImage, ImageDraw
import nbgraph as nb
from nbgraph.invocations import CreateDenoiseMask, Image, ResizeImage, ShowImage
from nbgraph.invocations.outputs import FloatOutput

@nb.invocation("wait", title="Wait", category="test", version="1.0.0")
class Wait(nb.BaseInvocation):
    "Waits so many seconds."
    seconds: float = 0

    def invoke(self, context) -> FloatOutput:
        for step in range(40):
            time.sleep(self.seconds / 40)
            context.progress(step + 1, 40)
        if self.seconds < 0.1:
            raise ValueError("the seconds are too few for a nap")
        return FloatOutput(value=self.seconds)

studio = nb.Studio()
apple = nb.text_to_image("a red apple", seed=7)
runs = [studio.run(apple, progress=False), studio.run(apple, {"noise.seed": 8}, progress=False)]
for words in ("dog face", "grinning face", "rocket", "pizza"):
    studio.run(nb.text_to_image(words, seed=7, steps=12), progress=False)
failed = studio.submit(Wait(id="nap", seconds=0)).wait()
studio.graphs.save(nb.Graph.of(apple), "portrait")
studio.graphs.save(nb.Graph.of(nb.image_to_image(apple, "tangerine")), "fruit")
names = [picture.image_name for picture in studio.images.frame.itertuples()][:2]
"""
Act = Callable[[NotebookPage], object]


def nothing(page: NotebookPage) -> None:
    """Leave what the cell shows as it is."""


def press(*keys: str) -> Act:
    """Return an act: press keys on the canvas."""

    def act(page: NotebookPage) -> None:
        page.editor.focus()
        for key in keys:
            page.press(key)

    return act


def done(page: NotebookPage) -> None:
    """Run the canvas to its end."""
    page.button("Run").click()
    page.ends_as("image", "✓|cached")
    page.page.wait_for_timeout(600)


def running(page: NotebookPage) -> None:
    """Run the canvas with many steps, and look at it meanwhile."""
    page.python("editor.graph.update_node('noise', seed=99); editor.graph.update_node('denoise', steps=400)")
    page.button("Run").click()
    expect(page.node("denoise").locator(".nbg-state")).to_contain_text("/", timeout=LONG)
    page.page.wait_for_timeout(1500)


def stale(page: NotebookPage) -> None:
    """Run the canvas, and then change a value."""
    done(page)
    page.field("denoise", "steps").fill("9")
    page.press("Enter")
    page.page.wait_for_timeout(800)


def palette(text: str) -> Act:
    """Return an act: search the palette."""

    def act(page: NotebookPage) -> None:
        press("Space")(page)
        if text:
            page.page.keyboard.type(text)
        page.page.wait_for_timeout(400)

    return act


def menu(page: NotebookPage) -> None:
    """Open the context menu of a node."""
    page.title("noise").click(button="right")


def code(page: NotebookPage) -> None:
    """Open the code beside the canvas."""
    page.button("Python").click()
    page.page.wait_for_timeout(600)


def picker(page: NotebookPage) -> None:
    """Open the picker of models."""
    page.field("model", "model").click()
    page.page.wait_for_timeout(600)


def large(page: NotebookPage) -> None:
    """Open a result in full size."""
    done(page)
    page.node("image").locator(".nbg-hero").click()
    page.page.wait_for_timeout(600)


def fail(page: NotebookPage) -> None:
    """Run a canvas whose only node fails."""
    page.button("Run").click()
    page.ends_as("nap", "failed")


def open_first(page: NotebookPage) -> None:
    """Open the first picture of a gallery."""
    page.cell(SHOWN).locator(".nbp-thumb").first.click()
    page.cell(SHOWN).locator("img.nbp-full").wait_for()
    page.page.wait_for_timeout(900)


def run_form(page: NotebookPage) -> None:
    """Run a form to its end, twice."""
    page.cell(SHOWN).get_by_role("textbox", name="Prompt", exact=True).fill("a red apple")
    page.cell(SHOWN).get_by_role("button", name="Run").first.click()
    expect(page.cell(SHOWN).locator(".nbp-pill")).to_have_text(re.compile("completed"), timeout=LONG)
    page.page.wait_for_timeout(600)


EDIT = "editor = studio.edit(nb.Graph.of({}))\neditor"
APPLE = EDIT.format("apple")
STATIC = "from IPython.display import display; display({}, raw=True)"
LOOKS: dict[str, tuple[str, Act]] = {
    "editor-empty": ("editor = studio.edit()\neditor", nothing),
    "editor-palette": ("editor = studio.edit()\neditor", palette("")),
    "editor-search": ("editor = studio.edit()\neditor", palette("upscale")),
    "editor-opened": (APPLE, nothing),
    "editor-done": (APPLE, done),
    "editor-menu": (APPLE, menu),
    "editor-keys": (APPLE, press("?")),
    "editor-code": (APPLE, code),
    "editor-picker": (APPLE, picker),
    "editor-large": (APPLE, large),
    "editor-image": (EDIT.format("nb.image_to_image(apple, 'tangerine', seed=1)"), nothing),
    "editor-stale": (EDIT.format("nb.text_to_image('a red apple', seed=7)"), stale),
    "editor-running": (EDIT.format("nb.text_to_image('a red apple', seed=7)"), running),
    "editor-error": ("editor = studio.edit(nb.Graph.of(Wait(id='nap', seconds=0)))\neditor", fail),
    "run-done": ("runs[1]", nothing),
    "run-live": ("live = studio.submit(Wait(id='nap', seconds=6)); live", nothing),
    "run-failed": ("failed", nothing),
    "form": ("studio.form('text to image')", nothing),
    "form-run": ("studio.form('text to image')", run_form),
    "form-image": ("studio.form('image to image')", nothing),
    "stats": ("studio.stats_view()", nothing),
    "stats-two": ("studio.stats_view().choose(runs, plot='Compare two runs')", nothing),
    "gallery": ("studio.images", nothing),
    "gallery-open": ("studio.images", open_first),
    "comparison": ("studio.images.compare(*names)", nothing),
    "cache": ("studio.cache", nothing),
    "queue": ("studio.queue", nothing),
    "sweep": ("studio.sweep(apple, {'denoise.cfg_scale': [1, 4], 'noise.seed': range(3)})", nothing),
    "graphs": ("studio.graphs", nothing),
    "models": ("studio.models", nothing),
    "loaded-models": ("studio.loaded_models", nothing),
    "disk": ("studio.disk", nothing),
    "explain": ("studio.explain(apple, {'noise.seed': 9})", nothing),
    "frame": ("runs[1].stats", nothing),
    "graph": ("nb.Graph.of(apple)", nothing),
    "studio": ("studio", nothing),
    "empty-gallery": ("nb.Studio().images", nothing),
    "empty-stats": ("nb.Studio().stats_view()", nothing),
    "empty-cache": ("nb.Studio().cache", nothing),
    "empty-queue": ("nb.Studio().queue", nothing),
    "empty-graphs": ("nb.Studio().graphs", nothing),
    "static-form": (STATIC.format("studio.form('text to image')._static_bundle()"), nothing),
    "static-stats": (STATIC.format("studio.stats_view()._static()"), nothing),
    "static-gallery": (STATIC.format("studio.images._static()"), nothing),
    "static-cache": (STATIC.format("studio.cache._static()"), nothing),
    "static-queue": (STATIC.format("studio.queue._static()"), nothing),
    "plot": ("runs[1].plot.timeline()", nothing),
}


def resize(page: NotebookPage, width: int) -> None:
    """Make the output of the cell so many pixels wide."""
    page.page.set_viewport_size({"width": width + 300, "height": 1000})
    box = page.cell(SHOWN).locator(".jp-OutputArea-output").first.bounding_box()
    if box:
        page.page.set_viewport_size({"width": round(width + 300 + width - box["width"]), "height": 1000})
    page.page.wait_for_timeout(300)


def draw(browser: Browser, lab: Lab, theme: str, names: list[str], widths: list[int]) -> None:
    """Make the pictures of one theme."""
    lab.set_theme(THEMES[theme])
    page = NotebookPage(browser, lab, "0", SETUP, name=f"{theme}.ipynb")
    page.run(PYTHON)
    page.run(SHOWN)
    page.press("Escape")
    page.page.keyboard.press("Control+b")
    for width in widths:
        resize(page, width)
        for name in names:
            source, act = LOOKS[name]
            page.execute(SHOWN, source)
            page.page.wait_for_timeout(900)
            try:
                act(page)
            except Exception as error:
                sys.stderr.write(f"{name}: {error}\n")
            shown = page.cell(SHOWN).locator(".jp-Cell-outputArea")
            shown.screenshot(path=OUT / f"{name}-{theme}-{width}.png")
            page.page.keyboard.press("Escape")
    for error in page.errors:
        sys.stderr.write(f"on the page: {error}\n")
    page.page.close()
    lab.end_sessions()


def main() -> None:
    """Draw all, or those whose names begin with what is given; `light`, `dark`, `1100` and `600` choose of the rest."""
    given = sys.argv[1:]
    themes = [theme for theme in THEMES if theme in given] or list(THEMES)
    widths = [width for width in WIDTHS if str(width) in given] or list(WIDTHS)
    words = [word for word in given if word not in THEMES and not word.isdecimal()]
    names = [name for name in LOOKS if not words or any(name.startswith(word) for word in words)]
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, open_browser() as browser:
        lab = Lab(Path(folder))
        try:
            for theme in themes:
                draw(browser, lab, theme, names, widths)
        finally:
            lab.close()


if __name__ == "__main__":
    main()
