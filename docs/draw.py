"""Makes the pictures of the README: a real notebook in JupyterLab, and a sweep. `make pictures` runs it."""

import tempfile
from pathlib import Path

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


def draw_sweep() -> None:
    """Prompts against guidance, on the shipped model."""
    values = {
        "prompt.text": ["red apple", "dog face", "grinning face", "rocket", "pizza"],
        "denoise.cfg_scale": [1, 2, 3, 5, 8],
    }
    with Studio() as studio:
        studio.sweep(text_to_image("", seed=7), values, progress="text").image.save(DOCS / "sweep.png")


def draw_notebook() -> None:
    """Run the cells, press Run on the canvas, and keep a picture of the page."""
    with tempfile.TemporaryDirectory() as folder, open_browser() as browser:
        lab = Lab(Path(folder))
        try:
            page = NotebookPage(browser, lab, *CELLS, name="notebook.ipynb")
            page.page.set_viewport_size({"width": 1280, "height": 1180})
            page.run(0)
            page.run(1)
            page.editor.get_by_role("button", name="Run", exact=True).first.click()
            page.node("image").locator("img").first.wait_for()
            page.run(2)
            page.page.keyboard.press("Control+b")
            page.page.wait_for_timeout(2000)
            page.page.locator(".jp-NotebookPanel").screenshot(path=DOCS / "notebook.png")
        finally:
            lab.close()


if __name__ == "__main__":
    draw_sweep()
    draw_notebook()
