"""Cut a large iteration into parts that run on several workers at the same time.

**Policy.** A session is sent as a whole unless workers would be idle meanwhile. Then its outermost iterations are cut:
first what their nodes need from outside is run, on one worker (so that a seed is drawn once, and a prompt encoded
once); then ranges of indices of the iteration, each by a worker; at last the rest, such as a collect, as a session in
which all that is finished. A range is a multiple of the batch size, so that automatic batches are those of one worker.

**Example.** `noise` and `denoise` run for each of 40 seeds, with batches of 8, on two workers:

    part 1   loader, prompt                      on one worker
    part 2   noise[0] ... denoise[23]            24 and 16 indices, at the same time
    part 3   noise[24] ... denoise[39]
    rest     collect

A graph with conditional nodes or inner library graphs, and a session with targets of its own, is not cut.
"""

from collections.abc import Collection
from typing import cast

from nbgraph.services.invocation_processor.cluster_messages import Part
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.plan import Axis, PlannedNode

PARTS_PER_WORKER = 2
"""More parts than workers, so that a slow worker ends up with fewer."""


def next_parts(session: GraphExecutionState, workers: int, batch_size: int, tried: set[str]) -> list[Part]:
    """Return the parts that can run now; empty if the session is best run as it is.

    Parameters
    ----------
    session
        The session, with what has finished.
    workers
        The number of workers that have nothing to do.
    batch_size
        The number of nodes that run in one call.
    tried
        What was cut before, in which some may have failed; what is cut now is added.
    """
    plan = session.plan
    if workers < 2 or session.targets is not None or session.expanded.outlets:
        return []
    if any(planned.branches for planned in plan.nodes):
        return []
    for axis in plan.axes:
        if axis.outer or not (parts := _parts_of(session, axis, workers, batch_size)):
            continue
        what = f"{plan.nodes[axis.rank].id} {bool(parts[0]['iterate'])}"
        if what not in tried:
            tried.add(what)
            return parts
    return []


def _parts_of(session: GraphExecutionState, axis: Axis, workers: int, batch_size: int) -> list[Part]:
    plan = session.plan
    number = plan.axes.index(axis)
    inside = [planned for planned in plan.nodes if number in planned.axes and planned.axes[0] == number]
    if not inside or _has_begun(session, inside):
        return []
    needed = _needed(session, inside)
    total = _length(session, axis)
    if total is not None and total < 2 * batch_size:
        return []
    if unfinished := [planned.id for planned in needed if not _is_done(session, planned)]:
        # without edges from outside, or with a list that is typed, this is soon done
        return [Part(targets=unfinished, iterate="", first=0, last=0, total=0)] if _can_run(needed) else []
    if total is None:
        return []
    size = -(-total // (workers * PARTS_PER_WORKER * batch_size)) * batch_size
    iterate, targets = plan.nodes[axis.rank].id, [planned.id for planned in inside]
    starts = range(0, total, size)
    return [
        Part(targets=targets, iterate=iterate, first=first, last=min(total, first + size), total=total)
        for first in starts
    ]


def _needed(session: GraphExecutionState, inside: list[PlannedNode]) -> list[PlannedNode]:
    """Return the nodes outside of an iteration that its nodes depend on directly."""
    ranks = {planned.rank for planned in inside}
    parents = {edge.parent for planned in inside for edge in planned.inputs}
    return [session.plan.nodes[rank] for rank in sorted(parents - ranks)]


def _can_run(needed: Collection[PlannedNode]) -> bool:
    """Return whether none of the nodes is itself in an iteration, which is cut before, or runs as it is."""
    return not any(planned.axes for planned in needed)


def _is_done(session: GraphExecutionState, planned: PlannedNode) -> bool:
    return not planned.axes and planned.rank in session.outputs


def _has_begun(session: GraphExecutionState, inside: list[PlannedNode]) -> bool:
    """Return whether some of an iteration has run: the rest of a resumed session runs as it is."""
    return any(session.keys.at(planned.rank, (0,)) in session.outputs for planned in inside)


def _length(session: GraphExecutionState, axis: Axis) -> int | None:
    """Return the number of items of an iteration, None if its list is not known yet."""
    if axis.source is None:
        listed = session.plan.nodes[axis.rank].values["collection"]
        return len(cast(list[object], listed)) if isinstance(listed, list) else 0
    output = session.outputs.get(axis.source.parent)
    return None if output is None else len(vars(output)[axis.source.output])
