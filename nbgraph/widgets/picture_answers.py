"""The answers to pages about stored pictures: one in full size with its recipe and graph, or two compared."""

from typing import Any

from nbgraph.errors import NbgraphError
from nbgraph.recipes.saved_pictures import picture_of_record
from nbgraph.services.images.images_common import ImageRecord
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.shared.drawing.svg import draw_graph
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.views.comparison import differences, graph_of, label_of, made_with, metadata_text
from nbgraph.widgets.pictures import png
from nbgraph.widgets.rpc import Answer


class PictureAnswers:
    """Answers questions about single pictures; labels, which are read from the graphs, are kept."""

    MAX_LABELS = 4000

    def __init__(self, services: InvocationServices) -> None:
        self._services = services
        self._labels: dict[str, str] = {}

    def facts(self, record: ImageRecord) -> dict[str, Any]:
        """Return what a page shows of a record."""
        # A label needs the graph of the run, which is read from the database.
        if len(self._labels) > self.MAX_LABELS:
            self._labels.clear()
        if record.image_name not in self._labels:
            self._labels[record.image_name] = label_of(record, self._services)
        return {
            "name": record.image_name,
            "label": self._labels[record.image_name],
            "width": record.width,
            "height": record.height,
            "mode": record.mode,
            "category": record.category,
            "starred": record.starred,
            "intermediate": record.is_intermediate,
            "node": record.node_id,
            "session": record.session_id,
            "created": record.created.timestamp(),
            "bytes": record.bytes,
        }

    def opened(self, name: str) -> Answer:
        """Return a picture as a PNG file with its recipe, and its graph as SVG where it is known."""
        record = self._services.images.record(name)
        picture = self._services.images.get(name)
        pictures = [png(picture_of_record(picture, self._services, record))]
        graph, problem = graph_of(record, self._services)
        if graph is not None:
            pictures.append(draw_graph(graph).encode())
        content = {
            "type": "picture",
            "picture": self.facts(record),
            "metadata": metadata_text(record),
            "values": made_with(record, self._services),
            "graph": problem,
            "python": _python(graph),
        }
        return content, pictures

    def compared(self, names: list[str]) -> Answer:
        """Return two pictures as PNG files, and the inputs that were set differently for them."""
        first, second = (self._services.images.record(name) for name in names)
        content = {
            "type": "compared",
            "pictures": [self.facts(first), self.facts(second)],
            "differences": differences(first, second, self._services),
        }
        return content, [png(self._services.images.get(name)) for name in names]

    def star(self, names: list[str], starred: bool) -> Answer:
        """Star pictures, or take their stars; none if one of them is gone."""
        # All records first, so that a deleted image changes none of the others.
        records = [self._services.images.record(name) for name in names]
        for record in records:
            self._services.images.update(record.image_name, starred=starred)
        return {"type": "done"}, []


def _python(graph: Graph | None) -> str:
    try:
        return "" if graph is None else graph.to_python()
    except (NbgraphError, ValueError) as error:
        return f"# {error}"
