"""Makes the pictures of the documentation: a notebook in JupyterLab, a film of the canvas, the paint view, a sweep."""

import tempfile
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser
from widgets.browser import Lab, open_browser
from widgets.notebook_page import NotebookPage

from nbgraph import Studio
from nbgraph.cli.demo import text_to_image

DOCS = Path(__file__).parent
CODE = """\
import nbgraph as nb
from nbgraph.invocations import DenoiseLatents, LatentsToImage, ModelLoader, Noise, Prompt

studio = nb.Studio()
model = ModelLoader(id="model", model="emoji")
denoise = DenoiseLatents(id="denoise", unet=model, noise=Noise(id="noise", unet=model, seed=7), steps=20, cfg_scale=3,
                         positive=Prompt(id="prompt", text="a red apple", clip=model),
                         negative=Prompt(id="negative", text="", clip=model))
image = LatentsToImage(id="image", latents=denoise, vae=model)"""
CELLS = [CODE, "editor = studio.edit(image)\neditor", "run = studio.run(image, {'noise.seed': 8})"]


FRAME_WIDTH = 900
TYPED, STEP, HELD, LAST = 90, 160, 900, 2600
"""Milliseconds that a frame is shown: while something is typed, while the graph runs, after an action, at the end."""


class Film:
    """Screenshots of the canvas, joined into one animated picture."""

    def __init__(self, page: NotebookPage) -> None:
        self._page = page
        self._frames: list[Image.Image] = []
        self._times: list[int] = []

    def take(self, milliseconds: int) -> None:
        """Add a frame; one that shows what the frame before shows makes that longer."""
        shot = Image.open(BytesIO(self._page.editor.screenshot())).convert("RGB")
        frame = shot.resize((FRAME_WIDTH, round(shot.height * FRAME_WIDTH / shot.width)), Image.Resampling.LANCZOS)
        if self._frames and frame.tobytes() == self._frames[-1].tobytes():
            self._times[-1] += milliseconds
            return
        self._frames.append(frame)
        self._times.append(milliseconds)

    def save(self, path: Path) -> None:
        """Write an animated WebP."""
        first, *rest = self._frames
        first.save(path, save_all=True, append_images=rest, duration=self._times, loop=0, quality=72, method=6)


def film_canvas(page: NotebookPage, path: Path) -> None:
    """Draw text to image on an empty canvas, run it, and keep a film of it."""
    film = Film(page)
    page.editor.get_by_role("button", name="Open text to image and run it").wait_for()
    film.take(HELD)
    page.editor.focus()
    page.press("Space")
    for letter in "vae decode":
        page.page.keyboard.type(letter)
        film.take(TYPED)
    film.take(HELD)
    page.press("Enter")
    page.node("l2i").wait_for()
    film.take(HELD)
    for name in ("latents", "vae"):
        page.node("l2i").get_by_role("button", name=f"give l2i its {name}").click()
        page.page.wait_for_timeout(400)
    page.editor.focus()
    page.press("Escape")
    page.press("l")
    page.page.wait_for_timeout(600)
    page.press(".")
    page.page.wait_for_timeout(600)
    film.take(HELD)
    page.field("prompt", "text").focus()
    for letter in "a red apple":
        page.page.keyboard.type(letter)
        film.take(TYPED)
    film.take(HELD)
    page.press("Control+Enter")
    state = page.node("l2i").locator(".nbg-state")
    for _ in range(120):
        film.take(STEP)
        if "✓" in "".join(state.all_inner_texts()):
            break
    page.editor.focus()
    page.press(".")
    page.page.wait_for_timeout(600)
    film.take(LAST)
    film.save(path)


def draw_sweep() -> None:
    """Prompts against seeds, on the shipped model."""
    values = {"prompt.text": ["red apple", "sheep", "grinning face", "rocket", "pizza"], "noise.seed": [0, 1, 2, 3, 4]}
    with Studio() as studio:
        studio.sweep(text_to_image(""), values, progress="text").image.save(DOCS / "sweep.png")


PAINTED = """\
import nbgraph as nb

studio = nb.Studio()
apple = nb.text_to_image("red apple", seed=3, cfg_scale=3)
painter = studio.paint(studio.run(apple, progress=False)[apple].image.resize((512, 512)))
painter"""


def draw_paint(browser: Browser, lab: Lab) -> None:
    """Paint a mask on an image, and keep a picture of the widget."""
    page = NotebookPage(browser, lab, PAINTED, name="paint.ipynb")
    page.page.set_viewport_size({"width": 1100, "height": 1000})
    page.run(0)
    area = page.page.locator(".nbm-area")
    page.page.locator(".nbm-picture[src]").wait_for()
    page.page.get_by_label("feather").fill("30")
    box = area.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.page.mouse.move(x + 60, y - 60)
    page.page.mouse.down()
    for dx, dy in ((130, -10), (120, 70), (70, 110), (60, 20), (100, 30)):
        page.page.mouse.move(x + dx, y + dy, steps=6)
    page.page.mouse.up()
    page.page.wait_for_timeout(1500)
    shot = Image.open(BytesIO(page.page.locator(".nbm").screenshot())).convert("RGB")
    shot.save(DOCS / "paint.webp", quality=80, method=6)
    page.page.close()


def draw_notebook() -> None:
    """Run the cells, press Run on the canvas, and keep a picture of the page."""
    with tempfile.TemporaryDirectory() as folder, open_browser() as browser:
        lab = Lab(Path(folder))
        try:
            page = NotebookPage(browser, lab, *CELLS, name="notebook.ipynb")
            page.page.set_viewport_size({"width": 1280, "height": 1460})
            page.run(0)
            page.run(1)
            page.editor.get_by_role("button", name="Run", exact=True).first.click()
            page.node("image").locator("img").first.wait_for()
            page.editor.get_by_role("button", name="Fit", exact=True).click()
            page.run(2)
            page.page.keyboard.press("Control+b")
            page.page.wait_for_timeout(2000)
            page.page.locator(".jp-NotebookPanel").screenshot(path=DOCS / "notebook.png")
            page.execute(1, "editor = studio.edit()\neditor")
            film_canvas(page, DOCS / "canvas.webp")
            draw_paint(browser, lab)
        finally:
            lab.close()


if __name__ == "__main__":
    draw_sweep()
    draw_notebook()
