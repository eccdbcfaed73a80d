"""The queue in a notebook cell: waiting, running and ended runs; cancel, move to the front, clear, pause."""

from typing import Annotated, Any, Literal

import traitlets
from pydantic import Field, TypeAdapter

from nbgraph.errors import NbgraphError
from nbgraph.services.invocation_queue.invocation_queue_common import ENDED, QueueItem
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.widgets.rpc import Answer, Name, Request, RpcWidget, on_other_kernels

SHOWN_ENDED = 50
SHOWN_WAITING = 200
"""The most rows of each kind: a page of thousands would be slow, and nobody reads it."""
TEXT_LENGTH = 80
ERROR_LENGTH = 300


class ListRuns(Request):
    """Return the runs."""

    type: Literal["list"]


class ChangeRun(Request):
    """Cancel a run, or move it to the front."""

    type: Literal["cancel", "prepend"]
    session: Name


class ChangeQueue(Request):
    """Cancel all runs, forget those that have ended, pause, or resume."""

    type: Literal["cancel_all", "clear", "pause", "resume"]


class QueueTable(RpcWidget):
    """The table of the queue."""

    _widget = traitlets.Unicode("queue_table").tag(sync=True)
    _requests = TypeAdapter(Annotated[ListRuns | ChangeRun | ChangeQueue, Field(discriminator="type")])

    def __init__(self, services: InvocationServices) -> None:
        self._services, self._queue = services, services.queue
        self._labels: dict[str, str] = {}
        super().__init__()
        self._endings = [self._queue.on_changed(self._notify), *on_other_kernels(services, self._notify)]

    def _answer(self, request: Any, buffers: list[Any]) -> Answer:
        if isinstance(request, ChangeRun):
            self._change_run(request.type, request.session)
        elif isinstance(request, ChangeQueue):
            processor = self._services.processor
            acts = {
                "cancel_all": processor.cancel_all,
                "clear": self._queue.clear,
                "pause": processor.pause,
                "resume": processor.resume,
            }
            acts[request.type]()
        return self._list(), []

    def _change_run(self, act: str, session_id: str) -> None:
        item = self._queue.item(session_id)
        # The run may have started or ended since the page drew its button, so the result is what counts.
        done = self._queue.prepend(session_id) if act == "prepend" else self._services.processor.cancel(session_id)
        if not done:
            word = "moved" if act == "prepend" else "cancelled"
            raise NbgraphError(f"run {item.number} cannot be {word}: it is {item.status}, or runs in another kernel")

    def _list(self) -> dict[str, Any]:
        rows = self._queue.rows()
        ended = [item for item in rows if item.status in ENDED]
        live = [item for item in rows if item.status not in ENDED]
        shown = [*live[:SHOWN_WAITING], *reversed(ended[-SHOWN_ENDED:])]
        # Labels of runs that are no longer shown are dropped with the old dict.
        self._labels = {item.session_id: self._label(item) for item in shown}
        return {
            "type": "runs",
            "runs": [self._row(item) for item in shown],
            "waiting": sum(item.status == "pending" for item in live),
            "running": sum(item.status == "in_progress" for item in live),
            "ended": len(ended),
            "paused": self._services.processor.is_paused,
        }

    def _row(self, item: QueueItem) -> dict[str, Any]:
        return {
            "session": item.session_id,
            "number": item.number,
            "status": item.status,
            "label": self._labels[item.session_id],
            "submitted": item.submitted,
            "started": item.started,
            "ended": item.ended,
            "error": item.error[:ERROR_LENGTH],
            "mine": item.owner == self._queue.owner,
        }

    def _label(self, item: QueueItem) -> str:
        """Return the label of a run; empty for an ended run of a folder, whose graph would have to be read."""
        known = self._labels.get(item.session_id)
        is_stored = self._services.database is not None and item.status in ENDED
        if known is not None or is_stored:
            return known or ""
        try:
            return graph_label(self._services.graph_execution_manager.get(item.session_id).graph)
        except NbgraphError:
            return ""


def graph_label(graph: Graph) -> str:
    """Return the nodes that no other node needs, and the first typed text: `picture: a red apple`."""
    needed = {link.source for node_id in graph.nodes for link in graph.links(node_id)}
    last = ", ".join([node_id for node_id in graph.nodes if node_id not in needed][:3])
    values = [node.literals().get("text") for node in graph.nodes.values()]
    text = next((value for value in values if isinstance(value, str) and value), "")
    return f"{last}: {text[:TEXT_LENGTH]}" if text else last
