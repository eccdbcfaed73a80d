"""What a run will cost, learnt from what the studio has measured: seconds and memory of each node that would run.

The seconds of a node are those of its earlier executions, scaled by its work: steps times megapixels where it has
steps, megapixels where it only has a size. Where executions of several works are known, a line is fitted through their
medians, since a call also costs something that does not grow with the image.
Executions of the same model on the same device are compared, and those that loaded a model are left out where others
exist. The interval holds 80 % of the earlier executions, scaled alike.

It is honest about what it does not know: a node type that never ran here has no estimate, and one that ran fewer than
`FEW` times is marked. What is cached costs nothing, and is counted as such.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import TYPE_CHECKING

import numpy as np

from nbgraph.errors import NbgraphError
from nbgraph.frames import frame
from nbgraph.html import Html, element, joined, table
from nbgraph.readable_stats import shown_seconds
from nbgraph.services.invocation_cache.explanation import Reason, explain
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.invocation_stats.invocation_stats_common import COMPLETED, NodeStats
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.topology import parents_of, topological_order

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs] - its types are in its code

FEW = 3
RECENT_RUNS = 100
"""The newest runs that are learnt from."""
SHARES = (0.1, 0.9)
MEGAPIXEL = 2**20
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
class Execution:
    """One earlier execution of a node: what it was, its work, and what it cost."""

    type: str
    model: str
    work: float
    seconds: float
    ram_peak: int
    vram_peak: int | None
    has_loaded: bool


@dataclass(frozen=True)
class NodeCost:
    """What a node will cost; seconds are None where nothing is known of its type. `state`: runs, cached or unknown."""

    node: str
    type: str
    state: str
    seconds: float | None = None
    low: float | None = None
    high: float | None = None
    ram_peak: int | None = None
    vram_peak: int | None = None
    learnt_from: int = 0


class Estimate:
    """What a run, or the cells of a sweep, will cost; a cell shows it in a line and a table."""

    def __init__(self, costs: Iterable[NodeCost], runs: int = 1) -> None:
        self.costs, self.runs = list(costs), runs

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

        `learnt_from` is how many executions the row was learnt from. Memory is the largest seen for its type.
        """
        return frame(
            (
                (c.node, c.type, c.state, c.seconds, c.low, c.high, _mb(c.ram_peak), _mb(c.vram_peak), c.learnt_from)
                for c in self.costs
            ),
            COLUMNS,
        )

    def __repr__(self) -> str:
        cells = f"{self.runs} runs, " if self.runs > 1 else ""
        nodes = f"{cells}{len(self.costs)} nodes, {self.cached} of them cached"
        interval = self.interval
        if interval is None or self.seconds is None:
            known = fsum(each.seconds or 0.0 for each in self.costs)
            names = ", ".join(self.unknown)
            return f"{nodes}: too little is known, as {names} never ran here; the others take about {_about(known)}"
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
    return shown_seconds(seconds) if seconds else "no time"


def _mb(size: int | None) -> float | None:
    return None if size is None else size / MEGAPIXEL


def estimate_sessions(sessions: Sequence[GraphExecutionState], services: InvocationServices) -> Estimate:
    """Return what sessions will cost that run one after the other; what two of them share is counted once.

    Raises
    ------
    NbgraphError
        There is nothing to run.
    """
    if not sessions:
        raise NbgraphError("there is nothing to run, so there is nothing to estimate")
    known = learnt(services)
    costs: list[NodeCost] = []
    computed: set[bytes] = set()
    for session in sessions:
        sizes = _sizes(session.graph)
        for reason in explain(session, services):
            is_known = not reason.will_run or (reason.key is not None and reason.key in computed)
            costs.append(_cost_of(reason, session.graph, sizes, known, is_cached=is_known))
            if reason.key is not None:
                computed.add(reason.key)
    return Estimate(costs, len(sessions))


def learnt(services: InvocationServices) -> list[Execution]:
    """Return the executions of the newest runs that are stored, without cached, failed and cancelled ones."""
    stats = services.performance_statistics
    found: list[Execution] = []
    for session_id in stats.session_ids()[-RECENT_RUNS:]:
        rows = [row for row in stats.rows(session_id) if row.status == COMPLETED and not row.cached]
        if not rows or services.graph_execution_manager.condition(session_id) != "readable":
            continue
        session = services.graph_execution_manager.get(session_id)
        sizes = _sizes(session.graph)
        models = {node_id: _model_of(session.graph, node_id) for node_id in session.graph.nodes}
        found += [_execution(row, session.graph, sizes, models) for row in rows if row.source in session.graph.nodes]
    return found


def _execution(row: NodeStats, graph: Graph, sizes: Mapping[str, float], models: Mapping[str, str]) -> Execution:
    work = _work(graph, row.source, sizes)
    return Execution(row.type, models[row.source], work, row.seconds, row.ram_peak, row.vram_peak, row.model_loads > 0)


def _model_of(graph: Graph, node_id: str) -> str:
    """Return the names of the models that a node is given: executions of the same ones are compared."""
    names = dict.fromkeys(_named_model(graph, link.source) for link in graph.links(node_id))
    return ", ".join(name for name in names if name)


def _named_model(graph: Graph, node_id: str) -> str:
    model = getattr(graph.nodes[node_id], "model", None)
    return model if isinstance(model, str) else ""


def _work(graph: Graph, node_id: str, sizes: Mapping[str, float]) -> float:
    """Return the work of a node: steps times megapixels, as far as it has them; 1 without."""
    steps = getattr(graph.nodes[node_id], "steps", None)
    return (steps if isinstance(steps, int) and steps > 0 else 1) * sizes[node_id]


def _sizes(graph: Graph) -> dict[str, float]:
    """Return the megapixels of each node: its own width and height, else the largest of what it is made from, else 1.

    Where a size is left out, the model decides, and does so for every run of that model alike.
    """
    sizes: dict[str, float] = {}
    for node_id in topological_order(parents_of(graph))[0]:
        node = graph.nodes[node_id]
        width, height = getattr(node, "width", None), getattr(node, "height", None)
        if isinstance(width, int) and isinstance(height, int):
            sizes[node_id] = width * height / MEGAPIXEL
        else:
            sizes[node_id] = max((sizes[link.source] for link in graph.links(node_id)), default=0.0)
    return {node_id: size or 1.0 for node_id, size in sizes.items()}


def _cost_of(
    reason: Reason, graph: Graph, sizes: Mapping[str, float], known: Sequence[Execution], *, is_cached: bool
) -> NodeCost:
    if is_cached:
        return NodeCost(reason.node, reason.type, "cached", 0.0, 0.0, 0.0)
    same = [each for each in known if each.type == reason.type]
    if not same:
        return NodeCost(reason.node, reason.type, "unknown")
    if reason.source in graph.nodes:
        model = _model_of(graph, reason.source)
        same = [each for each in same if each.model == model] or same
        work = _work(graph, reason.source, sizes)
    else:
        work = 1.0
    same = [each for each in same if not each.has_loaded] or same
    seconds, low, high = predicted([each.work for each in same], [each.seconds for each in same], work)
    peaks = [each.vram_peak for each in same if each.vram_peak is not None]
    ram, vram = max(each.ram_peak for each in same), max(peaks, default=None)
    return NodeCost(reason.node, reason.type, "runs", seconds, low, high, ram, vram, len(same))


def predicted(works: Sequence[float], seconds: Sequence[float], work: float) -> tuple[float, float, float]:
    """Return the seconds of a piece of work, with the interval of four in five, from those of earlier ones.

    Parameters
    ----------
    works, seconds
        Of each earlier execution; at least one.
    work
        What is asked for.
    """
    x, y = np.asarray(works, float), np.asarray(seconds, float)
    expected = _line(x, y)
    center = expected(np.array([work]))[0]
    # how far earlier executions were from what the line says of them, as factors
    factors = y / np.maximum(expected(x), 1e-12)
    low, high = np.quantile(factors, SHARES)
    return float(center * np.median(factors)), float(center * low), float(center * high)


def _line(x: np.ndarray, y: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return seconds as a function of work: a line with a part that does not grow, where there is enough to tell."""
    works = np.unique(x)
    if len(works) >= 2 and len(x) >= FEW:
        # medians first, so that one slow run does not bend the line
        medians = np.array([np.median(y[x == work]) for work in works])
        slope, fixed = np.polyfit(works, medians, 1)
        if slope >= 0 and fixed >= 0:
            return lambda at: fixed + slope * at
    rate = float(np.median(y / x))
    return lambda at: rate * at
