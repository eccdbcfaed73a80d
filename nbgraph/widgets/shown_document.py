"""A document as a page is told of it: whole, or by what an update changed."""

from typing import Any

from nbgraph.widgets.changes import difference
from nbgraph.widgets.derived import Derived
from nbgraph.widgets.document import GraphDocument, Update
from nbgraph.widgets.exact_numbers import to_page
from nbgraph.widgets.schema import node_types


class ShownDocument:
    """A document with what follows from it; `patch` must be given each of its updates, in order."""

    def __init__(self, document: GraphDocument) -> None:
        self._document, self._derived = document, Derived(document)

    def renew(self) -> None:
        """Work out anew what follows from the document, node types having been defined since, perhaps."""
        self._derived.renew()

    def snapshot(self, path: list[str]) -> dict[str, Any]:
        """All of it; `path` are the library graphs that are open around it."""
        document = self._document
        with document.lock:
            types = sorted({node.type for node in document.graph.nodes.values()} - {"graph"})
            return {
                "revision": document.revision,
                "changes": [change.to_json() for change in difference({}, document.state)],
                "types": to_page(node_types(types)),
                "readOnly": document.read_only,
                "path": path,
                **self._history(),
                **{part: dict(own) for part, own in self._derived.parts.items()},
            }

    def patch(self, update: Update) -> dict[str, Any]:
        """What an update changed; small in a graph of any size."""
        return {
            "type": "patch",
            "revision": update.revision,
            "changes": [change.to_json() for change in update.changes],
            "author": update.author,
            **self._history(),
            **self._derived.update(update),
        }

    def _history(self) -> dict[str, int]:
        undo, redo = self._document.depths
        return {"undo": undo, "redo": redo}
