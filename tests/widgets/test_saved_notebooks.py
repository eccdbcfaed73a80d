"""Notebooks with canvases in them, executed and converted by nbconvert."""

import re
from base64 import b64decode

import nbformat
import pytest
from nbconvert import HTMLExporter
from nbconvert.preprocessors import ExecutePreprocessor

SETUP = """
import nbgraph as nb
from nbgraph.invocations import DenoiseLatents, LatentsToImage, ModelLoader, Noise, Prompt

def text_to_image(text):
    model = ModelLoader(id="model", model="emoji")
    noise, prompt = Noise(id="noise", unet=model, seed=7), Prompt(id="prompt", text=text, clip=model)
    denoise = DenoiseLatents(id="denoise", unet=model, noise=noise, steps=8, cfg_scale=1, positive=prompt)
    return LatentsToImage(id="picture", latents=denoise, vae=model)

studio = nb.Studio()
"""
WORDS = ("an apple", "a <b>pear</b>", "a plum")
IMAGE = re.compile(r'<img alt="Graph\(5 nodes, 7 edges\)"[^>]*src="data:image/svg\+xml;base64,([^"]+)"')


@pytest.mark.parametrize(("with_state", "limit"), [(True, 700_000), (False, 50_000)])
def test_a_notebook_with_three_editors_stays_small_and_shows_the_graphs(with_state, limit, tmp_path):
    cells = [SETUP, *(f"studio.edit(text_to_image({words!r}))" for words in WORDS)]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    ExecutePreprocessor(timeout=300, store_widget_state=with_state).preprocess(
        notebook, {"metadata": {"path": tmp_path}}
    )
    assert len(nbformat.writes(notebook).encode()) <= limit
    page, _ = HTMLExporter().from_notebook_node(notebook)
    drawings = [b64decode(found).decode() for found in IMAGE.findall(page)]
    assert [words.replace("<", "&lt;").replace(">", "&gt;") in drawn for words, drawn in zip(WORDS, drawings)] == [
        True
    ] * 3
    assert ("application/vnd.jupyter.widget-state+json" in page) == with_state
