"""What a run will cost, learnt from what the studio has measured: seconds and memory of each node that would run.

The seconds of a node are those of its earlier executions, scaled by its work: steps times megapixels where it has
steps, megapixels where it only has a size. Where executions of several works are known, a line is fitted through their
medians, since a call also costs something that does not grow with the image.
Executions of the same model on the same device are compared, and those that loaded a model are left out where others
exist. The interval holds 80 % of the earlier executions, scaled alike.

Memory is what a node took beyond what was in use before it, scaled by megapixels times the nodes of one call, as
steps take it one after the other. Where that is more than is free now, the estimate says that it will not fit.

It is honest about what it does not know: a node type that never ran here has no estimate, and one that ran fewer than
`FEW` times is marked. What is cached costs nothing, and is counted as such.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import TYPE_CHECKING

import psutil

from nbgraph.errors import NbgraphError
from nbgraph.experiments.executions import FEW, MEGAPIXEL, Execution, learnt, model_of, predicted, sizes_of, work_of
from nbgraph.frames import MB, frame
from nbgraph.html import Html, element, joined, table
from nbgraph.services.invocation_cache.explanation import Reason, explain
from nbgraph.services.invocation_processor.node_batches import BatchLimits, can_batch
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.texts import seconds_text

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs] - its types are in its code

FURTHEST = 4
"""How many times the largest known image an image may be whose memory is still believed, from one size alone."""
MOST_SAMPLED = 16
"""Cells of a sweep that are looked at to say what all of them cost, before it starts."""
COLUMNS = {
    "node": "str",
    "type": "str",
    "state": "str",
    "seconds": "Float64",
    "low": "Float64",
    "high": "Float64",
    "ram_peak_mb": "Float64",
    "vram_peak_mb": "Float64",
    "learnt_from": "int64",
}


@dataclass(frozen=True)
class NodeCost:
    """What a node will cost; seconds are None where nothing is known of its type. `state`: runs, cached or unknown.

    `ram_peak` and `vram_peak` are the expected bytes in use. `ram` and `vram` are what the node itself takes, beyond
    what is in use before it; None where too little is known to say that it fits.
    """

    node: str
    type: str
    state: str
    seconds: float | None = None
    low: float | None = None
    high: float | None = None
    ram_peak: int | None = None
    vram_peak: int | None = None
    learnt_from: int = 0
    ram: int | None = None
    vram: int | None = None


@dataclass(frozen=True)
class Free:
    """Bytes of memory that are free now; VRAM is None without a device that counts it."""

    ram: int
    vram: int | None = None


class Estimate:
    """What a run, or the cells of a sweep, will cost; a cell shows it in a line and a table."""

    def __init__(self, costs: Iterable[NodeCost], runs: int = 1, free: Free | None = None) -> None:
        self.costs, self.runs, self.free = list(costs), runs, free

    @property
    def seconds(self) -> float | None:
        """The seconds of all nodes together; None if nothing is known of one of them."""
        return None if self.unknown else fsum(each.seconds or 0.0 for each in self.costs)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The seconds within which four of five such runs end; None if nothing is known of a node."""
        if self.unknown:
            return None
        return fsum(each.low or 0.0 for each in self.costs), fsum(each.high or 0.0 for each in self.costs)

    @property
    def unknown(self) -> list[str]:
        """The types of nodes of which no execution is known."""
        return list(dict.fromkeys(each.type for each in self.costs if each.state == "unknown"))

    @property
    def cached(self) -> int:
        """How many nodes are cached."""
        return sum(each.state == "cached" for each in self.costs)

    @property
    def frame(self) -> "pd.DataFrame":
        """One row per prepared node: `state` (runs, cached, unknown), `seconds` with `low` and `high`, memory in MB.

        `learnt_from` is how many executions the row was learnt from. Memory is the expected peak: of the process, and
        of the device, scaled by pixels times the nodes of one call.
        """
        return frame(
            (
                (c.node, c.type, c.state, c.seconds, c.low, c.high, _mb(c.ram_peak), _mb(c.vram_peak), c.learnt_from)
                for c in self.costs
            ),
            COLUMNS,
        )

    @property
    def memory_problem(self) -> str:
        """The node that will not fit into the memory that is free now, and by how much; empty if all fit."""
        if self.free is None:
            return ""
        for kind, free in (("VRAM", self.free.vram), ("RAM", self.free.ram)):
            needs = [(each.vram if kind == "VRAM" else each.ram, each.node) for each in self.costs]
            known = [(need, node) for need, node in needs if need is not None]
            if free is not None and known and max(known)[0] > free:
                need, node = max(known)
                return (
                    f"it will not fit: {node} is expected to take {need / MB:,.0f} MB of {kind}, and"
                    f" {free / MB:,.0f} MB are free; make the image smaller, or set a smaller batch_size"
                )
        return ""

    @property
    def summary(self) -> str:
        """The time and what is cached in a few words: `about 40 s, 12 nodes cached`; empty without nodes."""
        if not self.costs:
            return ""
        cached = f", {self.cached} node{'' if self.cached == 1 else 's'} cached" if self.cached else ""
        if self.cached == len(self.costs):
            return "everything is cached"
        if self.seconds is None:
            return f"{self.unknown[0]} never ran here, so its time is not known{cached}"
        return f"about {seconds_text(self.seconds)}{cached}"

    def __repr__(self) -> str:
        return "; ".join(filter(None, [self._costs_text(), self.memory_problem]))

    def _costs_text(self) -> str:
        cells = f"{self.runs} runs, " if self.runs > 1 else ""
        nodes = f"{cells}{len(self.costs)} node{'' if len(self.costs) == 1 else 's'}, {self.cached} of them cached"
        if self.cached == len(self.costs):
            return f"{nodes}: it takes no time"
        interval = self.interval
        if interval is None or self.seconds is None:
            known = fsum(each.seconds or 0.0 for each in self.costs)
            names = ", ".join(self.unknown)
            others = f"; the others take about {_about(known)}" if known else ""
            return f"{nodes}: too little is known, as {names} never ran here{others}"
        few = list(dict.fromkeys(c.type for c in self.costs if c.state == "runs" and c.learnt_from < FEW))
        note = f"; {', '.join(few)} ran fewer than {FEW} times, so the interval may be too narrow" if few else ""
        low, high = map(_about, interval)
        return f"{nodes}: about {_about(self.seconds)} ({low} to {high}){note}"

    def _repr_html_(self) -> Html:
        rows: dict[str, list[NodeCost]] = {}
        for cost in self.costs:
            rows.setdefault(cost.type, []).append(cost)
        shown = [
            (
                name,
                str(len(found)),
                str(sum(each.state == "cached" for each in found)),
                "never ran here" if found[0].state == "unknown" else _about(fsum(c.seconds or 0.0 for c in found)),
            )
            for name, found in rows.items()
        ]
        return joined([element("p", repr(self)), table(shown, ("type", "nodes", "cached", "time"))])


def _about(seconds: float) -> str:
    return seconds_text(seconds) if seconds else "no time"


def _mb(size: int | None) -> float | None:
    return None if size is None else size / MB


def estimate_sessions(
    sessions: Sequence[GraphExecutionState], services: InvocationServices, limits: BatchLimits, runs: int | None = None
) -> Estimate:
    """Return what sessions will cost that run one after the other; what two of them share is counted once.

    Parameters
    ----------
    sessions
        Sessions that have not run.
    limits
        How many nodes one call may have.
    runs
        How many runs there will be, if the sessions are a sample of them: the first one, and others like the rest.

    Raises
    ------
    NbgraphError
        There is nothing to run.
    """
    if not sessions:
        raise NbgraphError("there is nothing to run, so there is nothing to estimate")
    known = learnt(services)
    device = services.model_manager.device_name
    computed: set[bytes] = set()
    runs = len(sessions) if runs is None else runs
    by_session = [
        _session_costs(session, services, known, computed, _Calls(limits, runs, device)) for session in sessions
    ]
    # those that are not in the sample are like those in it, without what the first one computes for all
    others = by_session[1:] or by_session
    by_session += [others[number % len(others)] for number in range(runs - len(by_session))]
    return Estimate((cost for costs in by_session for cost in costs), runs, free_memory(services))


def sampled(count: int) -> list[int]:
    """Return the places of the runs to look at where there are many: the first, and others spread over all."""
    if count <= MOST_SAMPLED:
        return list(range(count))
    return [round(number * (count - 1) / (MOST_SAMPLED - 1)) for number in range(MOST_SAMPLED)]


def free_memory(services: InvocationServices) -> Free:
    """Return what is free now, on this machine and on the device that models are on."""
    models = services.model_manager
    is_counted = not models.device_name.startswith(("cpu", "mps"))
    return Free(psutil.virtual_memory().available, models.free_bytes if is_counted else None)


def estimate_reasons(
    reasons: Sequence[Reason], graph: Graph, services: InvocationServices, known: Sequence[Execution]
) -> Estimate:
    """Return what a run will cost whose nodes were explained already, as for a canvas, from what is `known`."""
    sizes = sizes_of(graph)
    calls = _Calls(BatchLimits(), 1, services.model_manager.device_name)
    costs = [_cost_of(reason, graph, sizes, known, calls, is_cached=not reason.will_run) for reason in reasons]
    return Estimate(costs, 1, free_memory(services))


@dataclass(frozen=True)
class _Calls:
    """How nodes will be run: by which limits together, in how many runs, and where."""

    limits: BatchLimits
    runs: int
    device: str

    def nodes(self, graph: Graph, node_id: str, megapixels: float, prepared: int) -> int:
        """Return how many nodes one call will have, of those that are `prepared` in each run."""
        if not can_batch(type(graph.nodes[node_id])):
            return 1
        fitting = int(self.limits.pixels / (megapixels * MEGAPIXEL))
        return max(1, min(self.limits.size, fitting, self.runs * prepared))


def _session_costs(
    session: GraphExecutionState,
    services: InvocationServices,
    known: Sequence[Execution],
    computed: set[bytes],
    calls: _Calls,
) -> list[NodeCost]:
    """Return the costs of one session; what is in `computed` is known by then, and what it computes is added."""
    graph, costs = session.graph, list[NodeCost]()
    sizes = sizes_of(graph)
    reasons = explain(session, services)
    counts = Counter(reason.source for reason in reasons)
    for reason in reasons:
        is_cached = not reason.will_run or (reason.key is not None and reason.key in computed)
        costs.append(_cost_of(reason, graph, sizes, known, calls, counts[reason.source], is_cached=is_cached))
        if reason.key is not None:
            computed.add(reason.key)
    return costs


def _cost_of(
    reason: Reason,
    graph: Graph,
    sizes: Mapping[str, float],
    known: Sequence[Execution],
    calls: _Calls,
    prepared: int = 1,
    *,
    is_cached: bool,
) -> NodeCost:
    if is_cached:
        return NodeCost(reason.node, reason.type, "cached", 0.0, 0.0, 0.0)
    same = [each for each in known if each.type == reason.type]
    if not same:
        return NodeCost(reason.node, reason.type, "unknown")
    work = pixels = 1.0
    if reason.source in graph.nodes:
        model = model_of(graph, reason.source)
        same = [each for each in same if each.model == model] or same
        work, size = work_of(graph, reason.source, sizes), sizes[reason.source]
        pixels = size * calls.nodes(graph, reason.source, size, prepared)
    same = [each for each in same if each.device == calls.device] or same
    same = [each for each in same if not each.has_loaded] or same
    seconds, low, high = predicted([each.work for each in same], [each.seconds for each in same], work)
    ram, ram_peak = _memory([(each.pixels, each.ram) for each in same], pixels)
    on_device = [(each.pixels, each.vram) for each in same if each.vram is not None]
    vram, vram_peak = _memory(on_device, pixels) if on_device else (None, None)
    return NodeCost(reason.node, reason.type, "runs", seconds, low, high, ram_peak, vram_peak, len(same), ram, vram)


def _memory(seen: Sequence[tuple[float, tuple[int, int]]], pixels: float) -> tuple[int | None, int]:
    """Return the bytes that a node will take beyond what is in use before it, and the expected peak of all.

    Parameters
    ----------
    seen
        Megapixels of the call, and the bytes before and at the peak, of each earlier execution.
    pixels
        Megapixels of the call that is asked for.

    Returns
    -------
    tuple
        The first is None where few executions are known, or all of much smaller images: what is there for any image
        would be taken to grow with it.
    """
    works = [each for each, _ in seen]
    extra = round(predicted(works, [max(0, peak - before) for _, (before, peak) in seen], pixels)[0])
    is_known = len(seen) >= FEW and (len(set(works)) > 1 or pixels <= FURTHEST * max(works))
    return extra if is_known else None, max(before for _, (before, _) in seen) + extra
