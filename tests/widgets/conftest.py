"""Editors on small graphs, with a page that only keeps what it is told."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect
from widgets.browser import find_browser
from widgets.notebook_page import EDITOR, HOLD, Desk, NotebookPage, open_desk

from nbgraph.invocations import Add, Integer, Noise, Prompt
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.invoker import Invoker
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.widgets.editor import GraphEditor

expect.set_options(timeout=30_000)  # a busy machine may take more than the five seconds of the default
SETUP = """
import nbgraph as nb
from nbgraph.invocations import DenoiseLatents, LatentsToImage, ModelLoader, Noise, Prompt, registry

studio = nb.Studio()

def text_to_image(steps):
    model = ModelLoader(id="model", model="emoji")
    noise, prompt = Noise(id="noise", unet=model, seed=7), Prompt(id="prompt", text="a red apple", clip=model)
    denoise = DenoiseLatents(id="denoise", unet=model, noise=noise, steps=steps, cfg_scale=1, positive=prompt)
    return LatentsToImage(id="picture", latents=denoise, vae=model)

studio.run(text_to_image(1), progress=False)
studio.cache.clear()
"""


class Heard(GraphEditor):
    """An editor whose page is a list: `tell` is what a page sends, `heard` what it got, with its last `buffers`."""

    def __init__(self, graph: Graph, invoker: Invoker | None = None, **options: Any) -> None:
        self.heard: list[dict[str, Any]] = []
        super().__init__(graph, invoker, **options)

    def send(self, content: Any, buffers: Any = None) -> None:
        self.heard.append(content)
        self.buffers = buffers or []

    def tell(self, content: Any, buffers: list[bytes] | None = None) -> list[dict[str, Any]]:
        """Send a message as a page does; returns the answers."""
        self.heard.clear()
        self._handle_custom_msg(content, buffers or [])
        return list(self.heard)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests come last: an open Playwright has an event loop, beside which others cannot start one."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


@pytest.fixture
def graph() -> Graph:
    """total = (one = 1) + (two = 2)"""
    return Graph.of(Add(id="total", a=Integer(id="one", value=1), b=Integer(id="two", value=2)))


@pytest.fixture
def open_graph() -> Graph:
    """A prompt and noise without a model."""
    return Graph([Prompt(id="prompt", text="<b>bold</b>"), Noise(id="noise", seed=1)])


@pytest.fixture
def invoker():
    with Invoker(InvocationServices.memory()) as made:
        yield made


@pytest.fixture
def editor(graph: Graph):
    made = Heard(graph)
    made.tell({"type": "ready", "request": 0})
    yield made
    made.close()


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One JupyterLab and one browser for all files of tests; these are skipped where there is no browser."""
    path, reason = find_browser()
    if not path:
        pytest.skip(reason)
    with open_desk(tmp_path_factory.mktemp("lab")) as opened:
        yield opened


@pytest.fixture(scope="module")
def notebook(desk: Desk, request: pytest.FixtureRequest) -> Iterator[NotebookPage]:
    """One notebook for a whole file of tests."""
    with desk.notebook(request.path.stem, "0", SETUP + HOLD, "2 + 2") as opened:
        yield opened


@pytest.fixture
def book(notebook: NotebookPage):
    """The notebook with text to image on the canvas; no test may leave an error on its page."""
    notebook.errors.clear()
    notebook.execute(EDITOR, "editor = studio.edit(text_to_image(8)); editor")
    expect(notebook.node("picture")).to_be_visible()
    yield notebook
    assert notebook.errors == []
