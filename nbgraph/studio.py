"""Studio: what a notebook holds. One object over invoker, services, frames and widgets."""

import gc
from _thread import start_new_thread
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, Any
from weakref import finalize

from nbgraph.config import Settings
from nbgraph.errors import GraphError, NotFoundError, OwnWorkerError, TargetError
from nbgraph.frames import (
    compared_frame,
    loaded_frame,
    reasons_frame,
    stats_frame,
)
from nbgraph.invocations.base import BaseInvocation
from nbgraph.loading import load
from nbgraph.progress import ProgressStyle, ProgressTracker, progress_display, shows_view
from nbgraph.run import NodeLike, Run, run_id
from nbgraph.services.invocation_cache.explanation import explain
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.invoker import Invoker
from nbgraph.services.shared.graph.batch import Batch
from nbgraph.services.shared.graph.execution_state import GraphExecutionState, OnError
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.library import LibraryGraph
from nbgraph.services.shared.sqlite.cleaning import CleanReport
from nbgraph.services.studio_archive import ArchiveReport, export_archive, import_archive
from nbgraph.sweep import Axis, Sweep, batch_data, swept_node
from nbgraph.views.cache import CacheView
from nbgraph.views.disk import DiskView
from nbgraph.views.graphs import GraphsView
from nbgraph.views.images import ImagesView
from nbgraph.views.models import ModelsView
from nbgraph.views.queue import QueueView
from nbgraph.views.stats import StatsView

if TYPE_CHECKING:
    import pandas as pd

    from nbgraph.widgets.editor import GraphEditor
    from nbgraph.widgets.form import GraphForm
    from nbgraph.widgets.open_editors import OpenEditors

Target = BaseInvocation | Graph | LibraryGraph | Sequence[BaseInvocation]
Values = Mapping[str, Any]
STOP_SECONDS = 30.0
"""The longest a stopped run is waited for: until the end of the step it is in."""
COLLECT_SECONDS = 0.2


class Studio:
    """`studio = Studio()` in memory, `Studio("folder")` in a folder that outlives the kernel.

    `studio.run(image)` runs what `image` needs and gives a `Run`; only what changed since is computed anew.

    Examples
    --------
    >>> import nbgraph as nb
    >>> from nbgraph.invocations import Add
    >>> studio = nb.Studio()
    >>> total = Add(id="total", a=2, b=3)
    >>> studio.run(total, progress=False)[total].value
    5
    >>> studio.explain(total, {"total.b": 9}).because[0]
    'total.b 3 -> 9'
    >>> studio.run(total, {"total.b": 9}, progress=False)[total].value
    11
    >>> studio.close()
    """

    def __init__(self, folder: str | PathLike[str] | None = None, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        services = (
            InvocationServices.memory(self.settings)
            if folder is None
            else InvocationServices.sqlite(folder, self.settings)
        )
        self.folder = folder
        self.invoker = Invoker(services)
        self._dropped = finalize(self, start_new_thread, _collect_soon, ())
        self._dropped.atexit = False

    @property
    def services(self) -> InvocationServices:
        """The container."""
        return self.invoker.services

    def run(
        self,
        target: Target,
        values: Values | None = None,
        *,
        progress: ProgressStyle = True,
        on_error: OnError = "stop",
        strict: bool = False,
    ) -> Run:
        """Run a node and all it needs, or a graph, and wait; `values` are other inputs: `{"noise.seed": 8}`.

        Of a library graph, also by the names it exposes: `{"seed": 8}`.

        In a notebook the run shows itself meanwhile, with previews, pictures and Cancel; `progress="text"` writes a
        line on stderr, `False` shows nothing, a function is called with a `Progress` four times a second.
        Pictures under an iteration are drawn several at once; `strict` draws each by itself, which differs by rounding.
        Raises `GraphError` before anything runs if the graph cannot run, `NodeError` if a node failed. With
        `on_error="continue"` what does not depend on it still runs, and `run.errors` has what failed. The Stop button
        cancels the run and raises `KeyboardInterrupt` here.
        """
        self._refuse_worker()
        show = progress_display(progress)
        session = self._session(target, values, on_error=on_error, strict=strict)
        is_checked = self.invoker.check(session)
        run = None
        try:
            run = self._queued(session, is_checked=is_checked)
            if shows_view(progress):
                show = run.display()
            run.wait(show=show)
        except KeyboardInterrupt:
            self.services.processor.cancel(session.id)
            if run is not None:
                run.wait(STOP_SECONDS)
                show(run.progress)
            raise
        return run.raise_error() if on_error == "stop" else run.raise_refusal()

    def submit(
        self,
        target: Target,
        values: Values | None = None,
        *,
        on_error: OnError = "stop",
        strict: bool = False,
        prepend: bool = False,
    ) -> Run:
        """Queue a node and all it needs, or a graph, and return at once.

        `GraphError` if it cannot run; what only torch can tell is found while it is loaded, and raised by
        `run.raise_error()` then.
        """
        session = self._session(target, values, on_error=on_error, strict=strict)
        is_checked = self.invoker.check(session)
        return self._queued(session, prepend, is_checked=is_checked)

    def sweep(
        self,
        target: Target,
        values: Mapping[Axis, Any],
        *,
        node: NodeLike | None = None,
        runs: int = 1,
        progress: ProgressStyle = True,
        strict: bool = False,
    ) -> Sweep:
        """Run a node or a graph for each combination of values: `{"denoise.cfg_scale": [2, 4], "noise.seed": [1, 2]}`.

        Values of one address are multiplied with those of the others; `{("a.x", "b.y"): [(1, 5), (2, 6)]}` goes through
        two together. Too many combinations, and values that are seen to be wrong, are an error before anything runs. A
        cell that fails stays empty and the others go on; an interrupt cancels what is left. Of a graph, what the node
        gives is shown that it ends in; where there are several, or another is meant, `node` says which.
        """
        self._refuse_worker()
        show = progress_display(progress)
        graph = target_graph(target)
        shown = swept_node(graph, node)
        batch = Batch(graph, batch_data(values), runs, self.settings.max_sessions)
        sessions = [(chosen, self._session(each, None, strict=strict)) for chosen, each in batch]
        are_checked = [self.invoker.check(session) for _, session in sessions]
        try:
            cells = [
                (chosen, self._queued(session, is_checked=is_checked))
                for (chosen, session), is_checked in zip(sessions, are_checked)
            ]
            for _, run in cells:
                run.wait(show=show).raise_refusal()
        except (KeyboardInterrupt, GraphError):
            for _, session in sessions:
                self.services.processor.cancel(session.id)
            raise
        return Sweep(shown, list(values), cells)

    def resume(self, run: Run | str) -> Run:
        """Go on with a run, given itself or its id, that was interrupted, cancelled or failed; only the rest is run.

        `studio.queue` lists the runs; those that a kernel left when it died are `interrupted`.
        """
        session_id = run_id(run)
        tracker = ProgressTracker(session_id)
        tracker.listen(self.services.events)
        try:
            ticket = self.invoker.resume(session_id)
        except BaseException:
            tracker.close()
            raise
        return Run(ticket, self.services, tracker)

    def explain(self, target: Target, values: Values | None = None) -> "pd.DataFrame":
        """One row for each node: whether it will run or is cached, and because of what."""
        session = self._session(target, values)
        session.graph.validate()
        return reasons_frame(explain(session, self.services))

    def edit(self, target: Target | str | PathLike[str] = ()) -> "GraphEditor":
        """The canvas: a graph in a cell, edited and run there; `editor.graph` is the graph. Without one it is empty.

        What is drawn is kept in the studio as a document, a moment after it was drawn: see `studio.graphs`. Opened by
        a text, the first of these that there is: a graph file at that path, a library graph of that name (a copy of
        it), a document of that name; else a new document, `studio.edit("portrait")`, which the next kernel opens by the
        same call. Graphs, nodes and files are kept as `untitled`, or under the name of the file.

        In a file, nodes of types that are not installed are kept as they are, and what is damaged, or of a newer
        version, may be looked at, with what could not be read named.
        """
        if isinstance(target, str | PathLike):
            return self._editors.of_text(target)
        return self._editors.of_graph(target_graph(target))

    @cached_property
    def _editors(self) -> "OpenEditors":
        return load("nbgraph.widgets.open_editors").OpenEditors(self.invoker, self.settings.max_iterations)

    @cached_property
    def graphs(self) -> "GraphsView[GraphEditor]":
        """The drawings kept here: `.frame`, `.open(name)`, `.versions(name)`, `.save(graph, name)`; shown, as cards."""
        return GraphsView(self.services, lambda name, version: self._editors.document(name, version))

    def form(self, target: str | Target) -> "GraphForm":
        """A form of a library graph's exposed inputs, by its name or the graph: `studio.form("text to image")`.

        Of another graph, all that is not linked. `form.values`, `form.run()`; an unknown name is an error with names.
        """
        forms = load("nbgraph.widgets.form")
        chosen = (
            load("nbgraph.widgets.library_names").find_library_graph(self.services, target)
            if isinstance(target, str)
            else target
        )
        graph = chosen if isinstance(chosen, LibraryGraph) else target_graph(chosen)
        return forms.GraphForm(graph, self.services, self.submit)

    @property
    def stats(self) -> "pd.DataFrame":
        """One row for each prepared node of every run; of those with nodes made in cells, once these cells have run."""
        return stats_frame(self.services.performance_statistics.readable_rows())

    def stats_view(self) -> StatsView:
        """The stats in a notebook: choose runs, columns and a plot; `.frame`, `.draw()`, `.to_csv(path)`."""
        return self._stats_view

    @cached_property
    def _stats_view(self) -> StatsView:
        return StatsView(self.services)

    def compare(self, first: Run | str, second: Run | str) -> "pd.DataFrame":
        """One row for each node of two runs, given themselves or their ids: what got slower, and by how much."""
        return compared_frame(self._stats_of(first), self._stats_of(second))

    def _stats_of(self, run: Run | str) -> "pd.DataFrame":
        rows = self.services.performance_statistics.rows(run_id(run))
        if not rows:
            raise NotFoundError(f"there are no stats of {run!r}; studio.stats_view().sessions lists the runs")
        return stats_frame(rows)

    @cached_property
    def cache(self) -> "CacheView":
        """The invocation cache: `.frame`, `.why(graph)`, `.forget(node)`, `.off()`, `.clear()`; shown, a table."""
        return CacheView(self.services)

    @cached_property
    def images(self) -> "ImagesView":
        """The pictures: `.frame`, `.get(name)`, `.star(name)`, `.delete(name)`; a gallery in a notebook."""
        return ImagesView(self.services)

    @cached_property
    def queue(self) -> QueueView:
        """The runs that wait, run or have ended: `.frame`, `.cancel(run)`, `.prepend(run)`; a live table in a cell."""
        return QueueView(self.services)

    @cached_property
    def disk(self) -> DiskView:
        """What takes how much, and how to free it: `.frame`, `.free("intermediates")`, `.free_all()`; a table."""
        return DiskView(self.services)

    @cached_property
    def models(self) -> ModelsView:
        """The models that can be named: `.frame`; `.inspect(path)` says what any model file is; a table in a cell."""
        return ModelsView(self.services)

    def backup(self, folder: str | PathLike[str]) -> Path:
        """Copy the studio's folder, as it is now, into a new one, which opens as a studio; returns its path.

        Other kernels may go on meanwhile. A studio in memory has no folder: see `export`.
        """
        return self.services.backup(folder)

    def export(self, path: str | PathLike[str], runs: Sequence[Run | str] | Run | str | None = None) -> ArchiveReport:
        """Write runs, given themselves or their ids, into a new zip with their pictures and stats; without any, all.

        Of runs that did not complete the tensors go too, so that they can be resumed elsewhere. Models are named, not
        copied; cached results are left out. The report says what was skipped, and why.
        """
        chosen = None if runs is None else [run_id(run) for run in ([runs] if isinstance(runs, Run | str) else runs)]
        return export_archive(self.services, path, chosen)

    def import_runs(self, path: str | PathLike[str]) -> ArchiveReport:
        """Bring in the runs, pictures and library graphs of a zip that `export` wrote; what is here stays as it is.

        All of the zip is checked first: `ArchiveError` if it is damaged, too large, or not such a zip at all.
        """
        return import_archive(self.services, path)

    def clean(self) -> CleanReport:
        """Remove what nothing names any more and what crashes left in the folder; report it, and what is missing.

        Limits on what is kept are settings: `Settings(intermediate_bytes=..., session_days=...)`.
        """
        return self.services.clean()

    @property
    def loaded_models(self) -> "pd.DataFrame":
        """One row for each component of a model that is in memory now."""
        return loaded_frame(self.services.model_manager.loaded())

    def unload_models(self, name: str | None = None) -> int:
        """Drop a model, or all, from memory; returns the bytes freed."""
        return self.services.model_manager.unload(name)

    def close(self) -> None:
        """Cancel what runs and stop the services."""
        self._dropped.detach()
        self.invoker.stop()

    def __enter__(self) -> "Studio":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        where = "in memory" if self.folder is None else str(self.folder)
        cached = self.services.invocation_cache.status().size
        return f"Studio({where}: {self.images.count} images, {cached} cached results)"

    def _refuse_worker(self) -> None:
        """`OwnWorkerError` inside a node that this studio runs, before anything is queued."""
        if self.services.processor.is_worker:
            raise OwnWorkerError

    def _queued(self, session: GraphExecutionState, prepend: bool = False, *, is_checked: bool = True) -> Run:
        tracker = ProgressTracker(session.id)
        tracker.listen(self.services.events)
        try:
            ticket = self.invoker.queue(session, prepend=prepend, is_checked=is_checked)
        except BaseException:
            tracker.close()
            raise
        return Run(ticket, self.services, tracker)

    def _session(self, target: Target, values: Values | None, **how: Any) -> GraphExecutionState:
        if values and isinstance(target, LibraryGraph):
            target = target.with_values(values)
        elif values:
            target = target_graph(target).with_values(values)
        return GraphExecutionState(target_graph(target), max_iterations=self.settings.max_iterations, **how)


def _collect_soon() -> None:
    """Free what a studio that was dropped without `close` leaves: services refer to each other in cycles.

    In a thread of its own, a little later: when this is started the studio is not gone yet, and a finalizer, which may
    run anywhere, must neither wait nor take a lock.
    """
    sleep(COLLECT_SECONDS)
    gc.collect()


def target_graph(target: Target) -> Graph:
    """The graph that is meant: a graph as it is, or all that one or several nodes need; else `TargetError`."""
    if isinstance(target, Graph):
        return target
    if isinstance(target, LibraryGraph):
        return target.graph
    if isinstance(target, BaseInvocation):
        return Graph.of(target)
    nodes = list(target) if isinstance(target, Iterable) else [target]
    if not all(isinstance(node, BaseInvocation) for node in nodes):
        raise TargetError(target)
    return Graph.of(*nodes)
