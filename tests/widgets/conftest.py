"""Editors on small graphs, with a page that only keeps what it is told."""

from typing import Any

import pytest

from nbgraph.invocations import Add, Integer, Noise, Prompt
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.invoker import Invoker
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.widgets.editor import GraphEditor


class Heard(GraphEditor):
    """An editor whose page is a list: `tell` is what a page sends, `heard` what it got."""

    def __init__(self, graph: Graph, invoker: Invoker | None = None, **options: Any) -> None:
        self.heard: list[dict[str, Any]] = []
        super().__init__(graph, invoker, **options)

    def send(self, content: Any, buffers: Any = None) -> None:
        self.heard.append(content)

    def tell(self, content: Any, buffers: list[bytes] | None = None) -> list[dict[str, Any]]:
        """Send a message as a page does; returns the answers."""
        self.heard.clear()
        self._handle_custom_msg(content, buffers or [])
        return list(self.heard)


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
