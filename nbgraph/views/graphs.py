"""The view of the documents of a studio: `studio.graphs`."""

from collections.abc import Callable
from time import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from nbgraph.errors import NbgraphError
from nbgraph.frames import documents_frame, versions_frame
from nbgraph.html import Card, Html, cards_html, noted
from nbgraph.invocations.base import BaseInvocation
from nbgraph.services.graph_documents.graph_documents_common import DocumentRecord
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.shared.drawing.svg import draw_graph
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.views.base import widget_class

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs] - its types are in its code

Canvas = TypeVar("Canvas")
SHOWN = 24
MAX_DRAWN = 300
"""The most nodes of a graph that is drawn on a card; a larger one would be a grey area."""
UNITS = ((86400.0, "day"), (3600.0, "hour"), (60.0, "minute"))


class GraphsView(Generic[Canvas]):
    """The documents of a studio: graphs by name, with their versions. The canvas saves its drawing here.

    `.open(name)`, `.versions(name)`, `.save(graph, name)`, `.rename(name, new)`, `.delete(name)`, `.frame`. A cell
    shows those changed last as cards, each with the last image that it produced.
    """

    def __init__(self, services: InvocationServices, open_document: Callable[[str, int | None], Canvas]) -> None:
        self._services, self._open = services, open_document
        self._documents = services.graph_documents

    @property
    def frame(self) -> "pd.DataFrame":
        """One row per document, the last changed first: name, changed, nodes, version, versions, bytes."""
        # A canvas saves after a pause; here its newest state counts.
        self._documents.flush()
        return documents_frame(self._documents.rows())

    def open(self, name: str, version: int | None = None) -> Canvas:
        """Open a document on a canvas.

        Parameters
        ----------
        name
            Its name.
        version
            One of `.versions(name)`; None for the newest. An older one becomes the newest when it is changed; the one
            that was the newest stays as a version.

        Raises
        ------
        NotFoundError
            There is no such document or version; the message names those that there are.
        """
        return self._open(name, version)

    def versions(self, name: str) -> "pd.DataFrame":
        """Return one row per version of a document, the newest first: version, saved, nodes, bytes, kernel, kept."""
        self._documents.flush()
        return versions_frame(self._documents.versions(name))

    def save(self, graph: Graph | BaseInvocation, name: str) -> int:
        """Save a graph as the newest version of a document and return the number of that version.

        Parameters
        ----------
        graph
            A graph, or a node with everything it depends on. Nothing is written if the newest version is equal.
        name
            The name of the document, new or existing.

        Raises
        ------
        InvalidNameError
            A document cannot have that name.
        """
        chosen = graph if isinstance(graph, Graph) else Graph.of(graph)
        return self._documents.save(name, chosen).record.newest

    def rename(self, name: str, new: str) -> None:
        """Rename a document; open canvases follow. `InvalidNameError` if the name is taken."""
        self._documents.flush()
        self._documents.rename(name, new)

    def delete(self, name: str) -> None:
        """Delete a document and its versions. A canvas that is still open on it saves it again with its next edit."""
        self._documents.flush()
        self._documents.delete(name)

    def _ipython_key_completions_(self) -> list[str]:
        return [record.name for record in self._documents.rows()]

    def __getitem__(self, name: str) -> Canvas:
        return self.open(name)

    def __len__(self) -> int:
        return len(self._documents.rows())

    def __repr__(self) -> str:
        records = self._documents.rows()
        names = ", ".join(repr(record.name) for record in records[:3])
        more = ", ..." if len(records) > 3 else ""
        return f"Graphs({len(records)}{f': {names}{more}' if names else ''})"

    def _repr_html_(self) -> Html:
        self._documents.flush()
        records = self._documents.rows()
        now = time()
        # The call on a card must open this document, so names of library graphs are looked up once for all cards.
        taken: set[str] = widget_class("library_graphs", "exact_names")(self._services.graph_library)
        opening_call: Callable[[str, set[str]], str] = widget_class("library_graphs", "opening_call")
        cards = [self._card(record, now, opening_call(record.name, taken)) for record in records[:SHOWN]]
        more = len(records) - len(cards)
        if not records:
            return noted("Graphs(none yet)", 'studio.edit("portrait") opens a canvas that is kept under that name.')
        note = f"{count(len(records), 'document')}{f', {more} more in studio.graphs.frame' if more else ''}"
        return cards_html(cards, note)

    def _card(self, record: DocumentRecord, now: float, call: str) -> Card:
        facts = [count(record.nodes, "node"), count(record.versions, "version"), age_text(now - record.changed)]
        return Card(record.name, ", ".join(facts), call, self._cover(record))

    def _cover(self, record: DocumentRecord) -> bytes | str:
        """Return the last picture that a graph gave, else its drawing, else why there is none."""
        if picture := self._documents.thumbnail(record.id):
            return picture
        if record.nodes > MAX_DRAWN:
            return f"{record.nodes:,} nodes"
        # A card must not fail: one document that cannot be read would hide all others.
        open_graph: Any = widget_class("graph_file", "open_graph")
        try:
            graph, _ = open_graph(self._documents.data(record.name))
        except (NbgraphError, ValueError, TypeError, KeyError):
            return "cannot be read"
        return draw_graph(graph).encode() if len(graph) else "nothing drawn"


def count(number: int, noun: str) -> str:
    """Return a number with its noun: `1 node`, `1,200 nodes`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def age_text(seconds: float) -> str:
    """Return a time as people say it: `just now`, `5 minutes ago`, `2 days ago`."""
    for unit, word in UNITS:
        if seconds >= unit:
            return f"{count(int(seconds // unit), word)} ago"
    return "just now"
