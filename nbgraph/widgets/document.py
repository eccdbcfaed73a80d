"""The document: one graph with two authors. The canvas sends changes, Python edits the graph, each sees the other's.

Every edit goes through `GraphDocument`, which numbers revisions. An edit from a page names the revision it was made on;
one that was made on an older revision is refused, and the page makes it again on the newest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from threading import RLock
from time import monotonic
from typing import Any

from nbgraph.errors import NbgraphError, Problem
from nbgraph.services.shared.callbacks import Callbacks
from nbgraph.services.shared.drawing.layout import (
    GAP_ACROSS,
    GAP_DOWN,
    NODE_WIDTH,
    missing_positions,
    node_height,
)
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.widgets.changes import GONE, Change, Owner, State, merged
from nbgraph.widgets.graph_changes import apply_changes
from nbgraph.widgets.graph_state import NODE, GraphState

DEPTH = 64
"""Steps that can be undone."""
GROUP_SECONDS = 2.0
"""Edits of one group, such as the letters of a text, are one step while they follow within this time."""


@dataclass(frozen=True)
class Step:
    """One step of undo: the changes, their reverse, and the group that later changes may join."""

    forward: list[Change]
    backward: list[Change]
    group: str
    seconds: float


class History:
    """Undo and redo, 64 steps deep, for both authors."""

    def __init__(self) -> None:
        self._done: list[Step] = []
        self._undone: list[Step] = []

    def add(self, step: Step) -> None:
        """Add a step; steps that had been undone are forgotten."""
        # An edit after an undo begins another history: what was undone no longer fits.
        self._undone.clear()
        last = self._done[-1] if self._done else None
        if last and step.group and step.group == last.group and step.seconds - last.seconds < GROUP_SECONDS:
            forward, backward = merged(last.forward + step.forward), merged(step.backward + last.backward)
            self._done[-1] = Step(forward, backward, step.group, step.seconds)
            return
        self._done.append(step)
        del self._done[:-DEPTH]

    def undo(self) -> Step | None:
        """Return the step to undo and count it as undone; None if there is none."""
        return self._move(self._done, self._undone)

    def redo(self) -> Step | None:
        """Return the step to redo and count it as done; None if there is none."""
        return self._move(self._undone, self._done)

    @property
    def depths(self) -> tuple[int, int]:
        """The number of steps that can be undone, and of those that can be redone."""
        return len(self._done), len(self._undone)

    @staticmethod
    def _move(source: list[Step], target: list[Step]) -> Step | None:
        if not source:
            return None
        step = source.pop()
        target.append(step)
        return step


class StaleRevisionError(NbgraphError):
    """An edit was made on a document that has changed since; look at the changes, then make it again."""


class ReadOnlyError(NbgraphError):
    """The document is read-only; the message says why."""


@dataclass(frozen=True)
class Update:
    """A revision of a document: the changes since the one before, and their author."""

    revision: int
    changes: list[Change]
    author: str


class GraphDocument:
    """A graph, its revision and its history. Every edit makes a new revision or changes nothing.

    `refresh` finds out whether the graph was edited in Python. All methods may be called from any thread.
    """

    def __init__(self, graph: Graph, read_only: str = "") -> None:
        self.graph, self.read_only = graph, read_only
        self.revision = 0
        self.lock = RLock()
        self._state = GraphState()
        self._history = History()
        self._updated: Callbacks[Update] = Callbacks()
        self._read(self._state.changed(graph))

    @property
    def state(self) -> State:
        """The flat state at this revision."""
        return self._state.whole()

    def on_update(self, callback: Callable[[Update], None]) -> Callable[[], None]:
        """Call `callback(update)` after each new revision; return a function that unsubscribes."""
        return self._updated.add(callback)

    def edit(self, changes: list[Change], base: int | None = None, author: str = "python", group: str = "") -> int:
        """Make changes on the revision `base` (None: the newest) and return the new revision.

        Raises
        ------
        StaleRevisionError
            The document has changed since `base`.
        ReadOnlyError
            The document is read-only.
        GraphError
            The changes do not fit, with every problem; nothing is changed.
        """
        with self.lock:
            # Edits made in Python come first, as a step of their own, or undo would take both back at once.
            self.refresh()
            if base is not None and base != self.revision:
                raise StaleRevisionError(
                    f"this edit was made on revision {base}, and the document is at {self.revision}"
                )
            if self.read_only:
                raise ReadOnlyError(self.read_only)
            touched = self._touched(changes)
            apply_changes(self.graph, changes)
            return self._note(author, group, touched)

    def refresh(self) -> bool:
        """Record edits made in Python since the last revision; return whether there were any."""
        with self.lock:
            before = self.revision
            return self._note("python", "", self._state.changed(self.graph)) != before

    def undo(self) -> bool:
        """Undo the last step; return False if there is none."""
        return self._apply_step(self._history.undo, lambda step: step.backward)

    def redo(self) -> bool:
        """Redo the last step that was undone; return False if there is none."""
        return self._apply_step(self._history.redo, lambda step: step.forward)

    @property
    def depths(self) -> tuple[int, int]:
        """The number of steps that can be undone, and of those that can be redone."""
        return self._history.depths

    def problems(self) -> list[Problem]:
        """Return every problem the engine's validator finds, and the nodes of types that are not installed."""
        with self.lock:
            return self.graph.problems() + self.unknown_types()

    def unknown_types(self) -> list[Problem]:
        """Return a problem for each node whose type is not installed."""
        return [
            Problem("unknown_type", f"no node of type {one['data'].get('type')!r} is installed; it cannot run", node_id)
            for node_id, one in self.graph.layout.get("unknown", {}).items()
        ]

    def _apply_step(self, move: Callable[[], Step | None], side: Callable[[Step], list[Change]]) -> bool:
        with self.lock:
            self.refresh()
            if self.read_only:
                raise ReadOnlyError(self.read_only)
            # `refresh` may just have added a step: only now is the last one known.
            step = move()
            if step is None:
                return False
            touched = self._touched(side(step))
            apply_changes(self.graph, side(step), restored=True)
            changes, _ = self._read(touched)
            self._publish(changes, "history")
            return True

    def _touched(self, changes: list[Change]) -> list[Owner]:
        """Return the owners that changes reach: when a node is deleted, its edges go from the nodes they lead to."""
        # The changes name only the deleted node; its edges are entries of the nodes that they lead to.
        gone = {change.id for change in changes if change.kind == "node" and change.value is GONE}
        touched = dict.fromkeys(change.owner for change in changes)
        if gone:
            graph = self.graph
            children = [id for id in graph.nodes if any(link.source in gone for link in graph.links(id))]
            touched.update(dict.fromkeys((NODE, id) for id in children))
        return list(touched)

    def _note(self, author: str, group: str, owners: list[Owner]) -> int:
        """Compare these owners with the last revision, and make a new revision if they differ."""
        changes, backward = self._read(owners)
        if changes:
            self._history.add(Step(changes, backward, group, monotonic()))
            self._publish(changes, author)
        return self.revision

    def _publish(self, changes: list[Change], author: str) -> None:
        self.revision += 1
        self._updated(Update(self.revision, changes, author))

    def _read(self, owners: list[Owner]) -> tuple[list[Change], list[Change]]:
        """Read the present state of these owners; give nodes without a position one."""
        known, unknown = self.graph.layout.get("nodes", {}), self.graph.layout.get("unknown", {})
        # A node that Python adds has no position, and a canvas cannot draw it without.
        shown = [id for _, id in owners if id in self.graph.nodes or id in unknown]
        if any(not {"x", "y"} <= known.get(id, {}).keys() for id in shown):
            self._place_nodes()
        return self._state.update(self.graph, owners)

    def _place_nodes(self) -> None:
        places = missing_positions(self.graph)
        known = self.graph.layout.get("nodes", {})
        places |= placeholder_positions(self.graph, {**known, **places})
        if places:
            nodes = {**known, **{node_id: {**known.get(node_id, {}), **place} for node_id, place in places.items()}}
            self.graph.layout = {**self.graph.layout, "nodes": nodes}


def placeholder_positions(graph: Graph, places: dict[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return positions for nodes of unknown types that have none: in a row below all others."""
    missing = [id for id in graph.layout.get("unknown", {}) if not {"x", "y"} <= places.get(id, {}).keys()]
    if not missing:
        return {}
    others = {id: places[id] for id in graph.nodes}
    left = min((own["x"] for own in others.values()), default=0.0)
    below = max((own["y"] + node_height(graph, id) for id, own in others.items()), default=0.0)
    return {
        id: {"x": left + number * (NODE_WIDTH + GAP_ACROSS), "y": below + GAP_DOWN} for number, id in enumerate(missing)
    }
