"""The first run of a kernel, its Stop and Cancel, and a canvas whose kernel is restarted, in a real JupyterLab."""

import re

import pytest
from playwright.sync_api import expect
from widgets.notebook_page import EDITOR, LONG, PYTHON

from nbgraph.services.shared.graph.graph import Graph

pytestmark = pytest.mark.browser
SETUP = """
import sys
import time
from importlib.machinery import PathFinder
from pathlib import Path

class Gate:
    "Nobody imports diffusers before the notebook's folder has a file `go`, so that one can see what a run waits for."

    def find_spec(self, name, path=None, target=None):
        if name != "diffusers.utils":
            return None
        spec = PathFinder.find_spec(name, path, target)
        execute = spec.loader.exec_module

        def wait(module):
            while not Path("go").exists():
                time.sleep(0.02)
            execute(module)

        spec.loader.exec_module = wait
        return spec

Path("go").unlink(missing_ok=True)
sys.meta_path.insert(0, Gate())
import nbgraph as nb
from nbgraph.invocations import DenoiseLatents, LatentsToImage, ModelLoader, Noise, Prompt

studio = nb.Studio()

def text_to_image(steps):
    model = ModelLoader(id="model", model="emoji")
    noise, prompt = Noise(id="noise", unet=model, seed=7), Prompt(id="prompt", text="a red apple", clip=model)
    denoise = DenoiseLatents(id="denoise", unet=model, noise=noise, steps=steps, cfg_scale=1, positive=prompt)
    return LatentsToImage(id="picture", latents=denoise, vae=model)
"""

LATE_SUBSHELL = """(() => {
  const send = WebSocket.prototype.send;
  let held = [];
  WebSocket.prototype.send = function (data) {
    const text = typeof data === "string" ? data : new TextDecoder().decode(data);
    if (text.includes("create_subshell_request")) return void held.push(() => send.call(this, data));
    send.call(this, data);
    if (!text.includes('"ready"')) return;
    for (const late of held) late();
    held = [];
  };
})();"""
"""JupyterLab asks for the widgets' subshell only after a widget has said its first words, as on a busy machine."""


@pytest.fixture(scope="module")
def lab(desk, request):
    with desk.notebook(request.path.stem, "0", SETUP, fresh=True) as opened:
        opened.page.add_init_script(LATE_SUBSHELL)
        yield opened
        opened.lab.end_sessions()  # the gate goes with its kernel
        assert opened.errors == []


@pytest.fixture
def fresh(lab):
    """The notebook with a kernel in which torch was never loaded."""
    lab.lab.end_sessions()
    lab.open()
    lab.run(PYTHON)
    return lab


def test_the_first_run_says_what_it_loads_and_after_stop_the_next_run_works(fresh):
    cell = fresh.start(EDITOR, "run = studio.run(text_to_image(3))")
    expect(cell.locator(".nbp-head-line")).to_contain_text("loading torch and diffusers")
    fresh.page.get_by_role("button", name=re.compile("Interrupt")).first.click()
    expect(cell.locator(".jp-OutputArea")).to_contain_text("KeyboardInterrupt")
    expect(cell.locator(".nbgraph-run")).to_contain_text("cancelled")
    fresh.go.touch()
    fresh.execute(PYTHON, "print(studio.run(text_to_image(3), progress=False).status)")
    assert "completed" in fresh.output(PYTHON)


def test_the_first_run_on_the_canvas_and_in_a_form_says_what_it_loads_and_can_be_cancelled(fresh):
    fresh.execute(EDITOR, "editor = studio.edit(text_to_image(3)); editor")
    fresh.button("Run").click()
    line = fresh.editor.locator(".nbg-run-line")
    expect(line).to_contain_text("loading torch and diffusers")
    fresh.button("Cancel").click()
    expect(line).to_contain_text("cancelled")
    fresh.go.touch()
    cell = fresh.start(EDITOR, "form = studio.form('text to image'); form")
    cell.locator("button.jupyter-button", has_text="Run").click()
    expect(cell.locator(".nbp-run img[data-picture]")).to_be_visible(timeout=LONG)


def test_a_canvas_whose_kernel_was_restarted_says_so_and_gives_what_it_holds(fresh):
    fresh.execute(EDITOR, "editor = studio.edit(text_to_image(3)); editor")
    fresh.field("noise", "seed").fill("31415")
    expect(fresh.button("Undo")).to_be_enabled()
    fresh.page.get_by_role("button", name=re.compile("Restart the kernel")).first.click()
    fresh.page.locator(".jp-Dialog .jp-mod-accept").click()
    banner = fresh.editor.get_by_role("alert").filter(has_text="kernel was restarted")
    expect(banner).to_be_visible()
    expect(fresh.button("Run")).to_be_disabled()
    fresh.choose("prompt")
    fresh.press("Delete")
    expect(fresh.node("prompt")).to_be_attached()
    banner.get_by_role("button", name="Copy JSON").click()
    graph = Graph.from_json(banner.get_by_label("the graph as JSON").input_value())
    assert graph.nodes["noise"].literals()["seed"] == 31415
    assert len(graph.edges) == 7
    fresh.run(PYTHON)
    fresh.execute(EDITOR, "editor = studio.edit(text_to_image(3)); editor")
    expect(fresh.editor.get_by_role("alert").filter(has_text="kernel was restarted")).to_have_count(0)
    expect(fresh.button("Run")).to_be_enabled()
