"""Rows as tidy pandas DataFrames with fixed dtypes, also when empty. The only module that imports pandas."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from nbgraph.diffusion.what_is import FileFacts
from nbgraph.loading import load
from nbgraph.services.graph_documents.graph_documents_common import DocumentRecord, DocumentVersion
from nbgraph.services.images.images_common import ImageRecord
from nbgraph.services.invocation_cache.explanation import Reason
from nbgraph.services.invocation_cache.invocation_cache_common import CacheRow
from nbgraph.services.invocation_processor.cluster_common import WorkerRow
from nbgraph.services.invocation_queue.invocation_queue_common import QueueItem
from nbgraph.services.invocation_stats.invocation_stats_common import FAILED, NodeStats
from nbgraph.services.model_manager.model_manager_base import ModelRow
from nbgraph.services.retention.retention_common import Usage

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs] - its types are in its code

MB = 2**20
"""Bytes of a megabyte in all frames."""
TIME = "datetime64[us, UTC]"

STATS = {
    "node": "str",
    "type": "category",
    "status": "category",
    "cached": "bool",
    "seconds": "float64",
    "ram_peak_mb": "float64",
    "vram_peak_mb": "Float64",
    "seed": "Int64",
    "error": "str",
    "started": TIME,
    "path": "str",
    "batch": "int64",
    "model_loads": "int64",
    "model_hits": "int64",
    "ram_before_mb": "float64",
    "ram_after_mb": "float64",
    "vram_before_mb": "Float64",
    "vram_reserved_mb": "Float64",
    "worker": "category",
    "device": "category",
    "source": "str",
    "session": "str",
}
"""What a person looks at first comes first; ids come last."""
CACHE = {
    "node": "str",
    "type": "category",
    "created": TIME,
    "age_seconds": "float64",
    "hits": "int64",
    "bytes": "int64",
    "seconds": "float64",
    "resources": "str",
    "output": "str",
    "key": "str",
}
SESSIONS = {
    "session": "str",
    "started": TIME,
    "nodes": "int64",
    "cached": "int64",
    "failed": "int64",
    "seconds": "float64",
}
COMPARED = {
    "node": "str",
    "type": "str",
    "seconds_a": "Float64",
    "seconds_b": "Float64",
    "slower": "Float64",
    "ratio": "Float64",
    "cached_a": "boolean",
    "cached_b": "boolean",
    "status_a": "str",
    "status_b": "str",
    "ram_peak_mb_a": "Float64",
    "ram_peak_mb_b": "Float64",
    "vram_peak_mb_a": "Float64",
    "vram_peak_mb_b": "Float64",
}
REASONS = {"node": "str", "source": "str", "type": "category", "will_run": "bool", "because": "str"}
IMAGES = {
    "image_name": "str",
    "width": "int64",
    "height": "int64",
    "category": "category",
    "is_intermediate": "bool",
    "starred": "bool",
    "node": "str",
    "session": "str",
    "created": TIME,
    "bytes": "int64",
}
QUEUE = {
    "number": "int64",
    "session": "str",
    "priority": "int64",
    "status": "category",
    "submitted": TIME,
    "started": TIME,
    "ended": TIME,
    "error": "str",
}
DOCUMENTS = {
    "name": "str",
    "changed": TIME,
    "nodes": "int64",
    "version": "int64",
    "versions": "int64",
    "bytes": "int64",
}
VERSIONS = {
    "version": "int64",
    "saved": TIME,
    "nodes": "int64",
    "bytes": "int64",
    "kernel": "str",
    "kept": "bool",
}
LOADED = {
    "model": "str",
    "component": "str",
    "mb": "float64",
    "device": "category",
    "dtype": "category",
    "patches": "int64",
    "in_use": "int64",
    "uses": "int64",
    "last_used": TIME,
    "mode": "category",
}
CLUSTER = {
    "worker": "str",
    "host": "str",
    "device": "str",
    "models": "str",
    "run": "str",
    "memory_mb": "float64",
    "cpu_percent": "float64",
    "gpu_percent": "Float64",
    "threads": "int64",
    "resources": "str",
    "shares_folder": "boolean",
    "address": "str",
    "problem": "str",
}
DISK = {
    "part": "str",
    "count": "int64",
    "bytes": "int64",
    "limit_bytes": "Int64",
    "limit_days": "Float64",
}
MODELS = {
    "name": "str",
    "kind": "str",
    "family": "str",
    "variant": "str",
    "precision": "str",
    "mb": "float64",
    "path": "str",
    "shipped": "bool",
}


def frame(rows: Iterable[Sequence[Any]], columns: dict[str, str]) -> "pd.DataFrame":
    """Return a frame with these columns and dtypes, also for no rows."""
    # Without explicit dtypes, a column of an empty frame or of None alone would be `object`.
    table = pandas_module().DataFrame.from_records(list(rows), columns=list(columns))
    return table.astype(columns)


def stats_frame(rows: Iterable[NodeStats]) -> "pd.DataFrame":
    """Return one row per prepared node: times in seconds, memory in MB (2**20 bytes), VRAM <NA> without a GPU."""
    return frame((_stats_row(row) for row in rows), STATS)


def _stats_row(row: NodeStats) -> tuple[Any, ...]:
    return (
        row.node,
        row.type,
        row.status,
        row.cached,
        row.seconds,
        _mb(row.ram_peak),
        _mb(row.vram_peak),
        row.seed,
        row.error,
        _time(row.started),
        ",".join(map(str, row.path)),
        row.batch,
        row.model_loads,
        row.model_hits,
        _mb(row.ram_before),
        _mb(row.ram_after),
        _mb(row.vram_before),
        _mb(row.vram_reserved),
        row.worker,
        row.device,
        row.source,
        row.session_id,
    )


def _mb(value: int | None) -> float | None:
    return None if value is None else value / MB


def session_frame(rows: Iterable[NodeStats]) -> "pd.DataFrame":
    """Return one row per run, the newest first: its start, nodes, cached and failed ones, and their total seconds."""
    by_session: dict[str, list[NodeStats]] = {}
    for row in rows:
        by_session.setdefault(row.session_id, []).append(row)
    table = frame(
        (
            (
                session,
                _time(min(row.started for row in found)),
                len(found),
                sum(row.cached for row in found),
                sum(row.status == FAILED for row in found),
                sum(row.seconds for row in found),
            )
            for session, found in by_session.items()
        ),
        SESSIONS,
    )
    return table.sort_values("started", ascending=False, ignore_index=True)


def compared_frame(first: "pd.DataFrame", second: "pd.DataFrame") -> "pd.DataFrame":
    """Return one row per node of two runs, the largest slowdown first.

    Returns
    -------
    DataFrame
        `slower` is b - a in seconds, `ratio` is b / a. A node of only one run has <NA> for the other.
    """
    # pandas' stubs leave the types of what most methods return open.
    sides: list[Any] = [
        # Categories of two frames differ, and would not merge.
        data.assign(type=data["type"].astype("str"), status=data["status"].astype("str")).drop_duplicates("node")
        for data in cast("list[Any]", [first, second])
    ]
    columns = ["seconds", "cached", "status", "ram_peak_mb", "vram_peak_mb"]
    both = sides[0][["node", "type", *columns]].merge(
        sides[1][["node", "type", *columns]], on=["node", "type"], how="outer", suffixes=("_a", "_b")
    )
    both["slower"] = both["seconds_b"] - both["seconds_a"]
    # Cached nodes take next to no time; a ratio to 0 says nothing.
    both["ratio"] = (both["seconds_b"] / both["seconds_a"]).where(both["seconds_a"] > 0)
    both[["status_a", "status_b"]] = both[["status_a", "status_b"]].fillna("")
    table = frame(both[list(COMPARED)].itertuples(index=False), COMPARED)
    return table.sort_values("slower", ascending=False, ignore_index=True)


def cache_frame(entries: Iterable[CacheRow], now: float) -> "pd.DataFrame":
    """Return one row per entry; `seconds` is the time it took to compute, `age_seconds` the time since."""
    return frame(
        (
            (
                entry.node,
                entry.type,
                _time(entry.created),
                now - entry.created,
                entry.hits,
                entry.bytes,
                entry.seconds,
                " ".join(entry.resources),
                entry.text,
                entry.key.hex(),
            )
            for entry in entries
        ),
        CACHE,
    )


def reasons_frame(reasons: Iterable[Reason]) -> "pd.DataFrame":
    """Return one row per prepared node: whether it will run, and why."""
    return frame(((r.node, r.source, r.type, r.will_run, r.because) for r in reasons), REASONS)


def images_frame(records: Iterable[ImageRecord]) -> "pd.DataFrame":
    """Return one row per image."""
    return frame(
        (
            (
                r.image_name,
                r.width,
                r.height,
                r.category,
                r.is_intermediate,
                r.starred,
                r.node_id,
                r.session_id,
                r.created,
                r.bytes,
            )
            for r in records
        ),
        IMAGES,
    )


def disk_frame(usage: Iterable[Usage]) -> "pd.DataFrame":
    """Return one row per part of what a studio keeps."""
    return frame(((u.part, u.count, u.bytes, u.limit.bytes, u.limit.days) for u in usage), DISK)


def cluster_frame(rows: Iterable[WorkerRow]) -> "pd.DataFrame":
    """Return one row per worker of a cluster: where it is, what it holds, and what it runs."""
    return frame(((*row[:5], row.memory / MB, *row[6:]) for row in rows), CLUSTER)


def queue_frame(items: Iterable[QueueItem]) -> "pd.DataFrame":
    """Return one row per session in the queue."""
    return frame(
        (
            (
                i.number,
                i.session_id,
                i.priority,
                i.status,
                _time(i.submitted),
                _time(i.started),
                _time(i.ended),
                i.error,
            )
            for i in items
        ),
        QUEUE,
    )


def documents_frame(records: Iterable[DocumentRecord]) -> "pd.DataFrame":
    """Return one row per document: its newest version, the number of versions, and the bytes of all."""
    return frame(((r.name, _time(r.changed), r.nodes, r.newest, r.versions, r.bytes) for r in records), DOCUMENTS)


def versions_frame(versions: Iterable[DocumentVersion]) -> "pd.DataFrame":
    """Return one row per version of a document; `kept` are those that another author replaced without seeing them."""
    return frame(((v.number, _time(v.saved), v.nodes, v.bytes, v.kernel, v.is_kept) for v in versions), VERSIONS)


def models_frame(rows: Iterable[ModelRow], facts: Mapping[str, FileFacts]) -> "pd.DataFrame":
    """Return one row per model, sizes in MB; the facts about single files are given by path."""
    return frame((_model_row(row, facts.get(row.path)) for row in rows), MODELS)


def _model_row(row: ModelRow, facts: FileFacts | None) -> tuple[Any, ...]:
    if facts is None:
        return (row.name, "folder", "", "", "", float("nan"), row.path, row.shipped)
    size = facts.bytes / MB
    return (row.name, facts.kind, facts.family, facts.variant, facts.precision, size, row.path, row.shipped)


def loaded_frame(rows: Iterable[Any]) -> "pd.DataFrame":
    """Return one row per model component in memory, with the MB (2**20 bytes) of its parameters and buffers."""
    return frame(
        (
            (
                r.model,
                r.component,
                r.bytes / MB,
                r.device,
                r.dtype,
                r.patches,
                r.in_use,
                r.uses,
                _time(r.last_used),
                r.mode,
            )
            for r in rows
        ),
        LOADED,
    )


def pandas_module() -> Any:
    """Import pandas when the first frame is made: it takes most of a second, which a first studio does not need."""
    return load("pandas")


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
