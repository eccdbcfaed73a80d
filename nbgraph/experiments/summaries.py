"""The stats of all stored runs, summed up by node type or by model: where time and memory go."""

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

from nbgraph.errors import ChoiceError
from nbgraph.experiments.executions import model_of
from nbgraph.frames import MB, frame
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.invocation_stats.invocation_stats_common import COMPLETED, FAILED, NodeStats

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs] - its types are in its code

BY = ("type", "model")
NO_MODEL = "(no model)"
COLUMNS = {
    "executed": "int64",
    "cached": "int64",
    "failed": "int64",
    "seconds": "float64",
    "share": "float64",
    "median_seconds": "float64",
    "model_loads": "int64",
    "ram_peak_mb": "float64",
    "vram_peak_mb": "Float64",
}


def summary(services: InvocationServices, by: str = "type") -> "pd.DataFrame":
    """Return one row per node type or model, the one that took longest first.

    Parameters
    ----------
    services
        Those of a studio.
    by
        "type" or "model"; of runs whose graph cannot be read the model is not known, and they are left out.

    Raises
    ------
    ChoiceError
        `by` is another word.
    """
    if by not in BY:
        raise ChoiceError("by", by, BY)
    groups: dict[str, list[NodeStats]] = {}
    models: dict[str, dict[str, str]] = {}
    for row in services.performance_statistics.readable_rows():
        name = row.type
        if by == "model":
            if row.session_id not in models:
                models[row.session_id] = _models(services, row.session_id)
            if row.source not in models[row.session_id]:
                continue
            name = models[row.session_id][row.source] or NO_MODEL
        groups.setdefault(name, []).append(row)
    whole = sum(row.seconds for rows in groups.values() for row in rows) or 1.0
    table = frame(((name, *_sums(rows, whole)) for name, rows in groups.items()), {by: "str", **COLUMNS})
    return table.sort_values("seconds", ascending=False, ignore_index=True)


def _models(services: InvocationServices, session_id: str) -> dict[str, str]:
    """Return the models of the nodes of a run; none where its graph cannot be read."""
    if services.graph_execution_manager.condition(session_id) != "readable":
        return {}
    graph = services.graph_execution_manager.get(session_id).graph
    return {node_id: model_of(graph, node_id) for node_id in graph.nodes}


def _sums(rows: Sequence[NodeStats], whole: float) -> tuple[object, ...]:
    executed = [row.seconds for row in rows if row.status == COMPLETED and not row.cached]
    seconds = sum(row.seconds for row in rows)
    peaks = [row.vram_peak for row in rows if row.vram_peak is not None]
    return (
        len(executed),
        sum(row.cached for row in rows),
        sum(row.status == FAILED for row in rows),
        seconds,
        seconds / whole,
        median(executed) if executed else float("nan"),
        sum(row.model_loads for row in rows),
        max(row.ram_peak for row in rows) / MB,
        max(peaks) / MB if peaks else None,
    )
