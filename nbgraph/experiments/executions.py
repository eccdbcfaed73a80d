"""Earlier executions of nodes: what they were, their work and what they cost, and the line through them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.invocation_stats.invocation_stats_common import COMPLETED, NodeStats
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.topology import parents_of, topological_order

FEW = 3
RECENT_RUNS = 100
"""The newest runs that are learnt from."""
SHARES = (0.1, 0.9)
MEGAPIXEL = 2**20


@dataclass(frozen=True)
class Execution:
    """One earlier execution of a node: what it was, its work, and what it cost."""

    type: str
    model: str
    device: str
    work: float
    pixels: float
    """Megapixels of all nodes of its call."""
    seconds: float
    ram: tuple[int, int]
    """Bytes before it, and at its peak."""
    vram: tuple[int, int] | None
    has_loaded: bool
    batch: int = 1
    started: float = 0.0
    """UTC in seconds since 1970."""


def learnt(services: InvocationServices, runs: int = RECENT_RUNS) -> list[Execution]:
    """Return the executions of the newest runs that are stored, without cached, failed and cancelled ones."""
    stats = services.performance_statistics
    found: list[Execution] = []
    for session_id in stats.session_ids()[-runs:]:
        rows = [row for row in stats.rows(session_id) if row.status == COMPLETED and not row.cached]
        if not rows or services.graph_execution_manager.condition(session_id) != "readable":
            continue
        session = services.graph_execution_manager.get(session_id)
        sizes = sizes_of(session.graph)
        models = {node_id: model_of(session.graph, node_id) for node_id in session.graph.nodes}
        found += [_execution(row, session.graph, sizes, models) for row in rows if row.source in session.graph.nodes]
    return found


def _execution(row: NodeStats, graph: Graph, sizes: Mapping[str, float], models: Mapping[str, str]) -> Execution:
    vram = None if row.vram_before is None or row.vram_peak is None else (row.vram_before, row.vram_peak)
    return Execution(
        type=row.type,
        model=models[row.source],
        device=row.device or "cpu",
        work=work_of(graph, row.source, sizes),
        pixels=sizes[row.source] * row.batch,
        seconds=row.seconds,
        ram=(row.ram_before, row.ram_peak),
        vram=vram,
        has_loaded=row.model_loads > 0,
        batch=row.batch,
        started=row.started,
    )


def model_of(graph: Graph, node_id: str) -> str:
    """Return the names of the models that a node is given: executions of the same ones are compared."""
    names = dict.fromkeys(_named_model(graph, link.source) for link in graph.links(node_id))
    return ", ".join(name for name in names if name)


def _named_model(graph: Graph, node_id: str) -> str:
    model = getattr(graph.nodes[node_id], "model", None)
    return model if isinstance(model, str) else ""


def work_of(graph: Graph, node_id: str, sizes: Mapping[str, float]) -> float:
    """Return the work of a node: steps times megapixels, as far as it has them; 1 without."""
    steps = getattr(graph.nodes[node_id], "steps", None)
    return (steps if isinstance(steps, int) and steps > 0 else 1) * sizes[node_id]


def sizes_of(graph: Graph) -> dict[str, float]:
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
    expected = line_through(works, seconds)
    center = expected(np.array([work]))[0]
    # how far earlier executions were from what the line says of them, as factors
    factors = y / np.maximum(expected(x), 1e-12)
    low, high = np.quantile(factors, SHARES)
    return float(center * np.median(factors)), float(center * low), float(center * high)


def line_through(works: Sequence[float], seconds: Sequence[float]) -> Callable[[np.ndarray], np.ndarray]:
    """Return seconds as a function of work: a line with a part that does not grow, where there is enough to tell."""
    x, y = np.asarray(works, float), np.asarray(seconds, float)
    different = np.unique(x)
    if len(different) >= 2 and len(x) >= FEW:
        # medians first, so that one slow run does not bend the line
        medians = np.array([np.median(y[x == work]) for work in different])
        slope, fixed = np.polyfit(different, medians, 1)
        if slope >= 0 and fixed >= 0:
            return lambda at: fixed + slope * at
    rate = float(np.median(y / x))
    return lambda at: rate * at
