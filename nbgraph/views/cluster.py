"""The view of the workers of a studio: `studio.cluster`."""

from typing import TYPE_CHECKING

from nbgraph.frames import cluster_frame
from nbgraph.html import Html, element, joined, table
from nbgraph.services.invocation_processor.cluster_common import ClusterLike, WorkerRow

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs] - its types are in its code

HEAD = ("worker", "device", "models in memory", "runs", "memory", "CPU", "folder")
MB = 2**20


class ClusterView:
    """The workers of the cluster: `.frame`, `.dashboard`; a cell shows a table of what each holds and runs."""

    def __init__(self, processor: ClusterLike) -> None:
        self._processor = processor

    @property
    def frame(self) -> "pd.DataFrame":
        """One row per worker: device, models in memory, the run, memory in MB, utilisation, resources, problem."""
        return cluster_frame(self._processor.worker_rows())

    @property
    def dashboard(self) -> str:
        """The link to Dask's dashboard; empty where there is none (it needs the package bokeh)."""
        return self._processor.dashboard

    def __repr__(self) -> str:
        rows = self._processor.worker_rows()
        lines = [f"Cluster({len(rows)} workers at {self._processor.scheduler})"]
        return "\n".join([*lines, *(f"  {', '.join(filter(None, _cells(row)))}" for row in rows)])

    def _repr_html_(self) -> Html:
        rows = self._processor.worker_rows()
        note = element("p", f"{len(rows)} workers at {self._processor.scheduler}")
        link = self.dashboard
        # a scheduler names its own link, so only what a browser opens as a page is made one
        is_page = link.startswith(("http://", "https://"))
        more = element("p", element("a", "dashboard", href=link, target="_blank", rel="noopener")) if is_page else ""
        return joined([table(map(_cells, rows), HEAD), note, more])


def _cells(row: WorkerRow) -> tuple[str, ...]:
    folder = {True: "shared", False: "sends results", None: ""}[row.shares_folder]
    runs = row.problem or (f"run {row.run[:8]}" if row.run else "idle")
    where = f"{row.device or '?'} on {row.host}"
    use = f"CPU {row.cpu_percent:.0f} %" + ("" if row.gpu_percent is None else f", GPU {row.gpu_percent:.0f} %")
    return f"worker {row.worker}", where, row.models, runs, f"{row.memory / MB:,.0f} MB", use, folder
