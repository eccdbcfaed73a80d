"""New things made from a stored picture: a graph on a canvas, the input of another graph, another seed."""

from collections.abc import Callable
from typing import Any

from nbgraph.errors import NbgraphError
from nbgraph.invocations.fields import ImageField
from nbgraph.recipes.saved_pictures import graph_of_record
from nbgraph.services.images.images_common import ImageRecord
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.templates import image_to_image

OpenGraph = Callable[[Graph], str]
"""Opens a graph on a canvas of its own; returns the model id of its widget."""


class Remix:
    """Makes new things from pictures. `open_graph` opens canvases, `submit` queues a graph.

    `canvas` and `again` raise `NbgraphError` where no run made the picture, or its run is gone or cannot be read.
    """

    def __init__(self, services: InvocationServices, open_graph: OpenGraph, submit: Callable[[Graph], Any]) -> None:
        self.services, self.open_graph, self._submit = services, open_graph, submit

    def graph_of(self, record: ImageRecord) -> Graph:
        """Return the graph that made a picture, with the seeds that were drawn."""
        return graph_of_record(self.services, record)

    def canvas(self, record: ImageRecord) -> str:
        """Open the graph that made a picture, with the seeds that were drawn; return the canvas' model id."""
        return self.open_graph(self.graph_of(record))

    def as_input(self, record: ImageRecord) -> str:
        """Open a graph from image to image that begins from a picture, with the prompts and model that made it."""
        try:
            given = prompts_of(self.graph_of(record))
        except NbgraphError:  # a picture that was uploaded has neither
            given = {}
        node = image_to_image(
            ImageField(image_name=record.image_name),
            given.get("prompt", ""),
            negative=given.get("negative", ""),
            model=given.get("model", "emoji"),
        )
        return self.open_graph(Graph.of(node))

    def again(self, graph: Graph) -> Any:
        """Queue a graph with other random seeds and return its run.

        Raises
        ------
        NbgraphError
            The graph has no seed, so it would give the same picture.
        """
        seeds = seeds_of(graph)
        if not seeds:
            raise NbgraphError("the graph of this picture has no seed, so it would give the same picture again")
        return self._submit(graph.with_values(dict.fromkeys(seeds)))


def seeds_of(graph: Graph) -> list[str]:
    """Return the addresses of the seeds that are written into a graph, such as `noise.seed`."""
    return [
        f"{node_id}.{name}"
        for node_id, node in graph.nodes.items()
        for name, spec in node.inputs().items()
        if spec.seed and name in node.literals()
    ]


def graph_of_session(session: GraphExecutionState) -> Graph:
    """Return the graph of a session with the seeds that were drawn; those under an iteration are drawn anew."""
    drawn: dict[str, int] = {}
    for key, seeds in session.seeds.items():
        rank, path = session.keys.place(key)
        drawn.update({} if path else {f"{session.plan.nodes[rank].id}.{name}": seed for name, seed in seeds.items()})
    return session.graph_snapshot().copy().with_values(drawn)


def prompts_of(graph: Graph) -> dict[str, str]:
    """Return the prompts and the model that were typed into a graph: `{"prompt", "negative", "model"}`."""
    found: dict[str, str] = {}
    for node_id, node in graph.nodes.items():
        if node.type == "model_loader" and isinstance(model := node.literals().get("model"), str):
            found.setdefault("model", model)
        for link in graph.links(node_id):
            if link.field in ("positive", "negative"):
                text = graph.nodes[link.source].literals().get("text")
                if isinstance(text, str):
                    found.setdefault("prompt" if link.field == "positive" else "negative", text)
    return found
