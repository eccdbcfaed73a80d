"""The object a notebook holds: one facade over invoker, services, frames and widgets."""

import gc
from _thread import start_new_thread
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, Any
from weakref import finalize

from nbgraph.config import Settings
from nbgraph.diffusion import load_in_background
from nbgraph.errors import GraphError, NbgraphError, NotFoundError, OwnWorkerError, RecipeError, TargetError
from nbgraph.frames import (
    compared_frame,
    loaded_frame,
    reasons_frame,
    stats_frame,
)
from nbgraph.invocations.base import BaseInvocation
from nbgraph.invocations.fields import ImageField, resources_in
from nbgraph.loading import load
from nbgraph.notebook import is_in_notebook, offer_documents
from nbgraph.progress import ProgressStyle, ProgressTracker, progress_display, shows_view
from nbgraph.recipes.local import shelf_of
from nbgraph.recipes.opened import Opened
from nbgraph.recipes.reading import picture_of, read_recipe
from nbgraph.recipes.replay import Replayed, compared, plan_replay
from nbgraph.run import NodeLike, Run, run_id
from nbgraph.services.invocation_cache.explanation import explain
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.invoker import Invoker
from nbgraph.services.shared.graph.batch import Batch
from nbgraph.services.shared.graph.execution_state import GraphExecutionState, OnError
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.library import LibraryGraph
from nbgraph.services.shared.graph.recent_graphs import RecentGraphs
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
    """Runs graphs and keeps their images, cached results, stats and queue.

    `Studio()` keeps everything in memory; `Studio("folder")` in a folder that outlives the kernel. Results are cached:
    `studio.run(image)` executes only what changed since it last ran.

    Parameters
    ----------
    folder
        The folder to keep everything in, made if it does not exist; None for memory. Several kernels may open the same.
    settings
        Limits, device, model folders; None reads `NBGRAPH_...` environment variables.

    Raises
    ------
    StoreError
        The folder cannot be read or written, is damaged, or was written by a newer nbgraph.

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
        self._recent_graphs = RecentGraphs()
        self._dropped = finalize(self, start_new_thread, _collect_soon, ())
        self._dropped.atexit = False
        offer_documents(self)
        if self.settings.preload and is_in_notebook():
            load_in_background()  # a person now writes a cell; a script would wait for it at its end

    @property
    def services(self) -> InvocationServices:
        """The container of services: images, latents, cache, stats, queue, models, events."""
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
        """Run a node and everything it depends on, or a graph, and wait for the result.

        Parameters
        ----------
        target
            A node, several nodes, a `Graph` or a `LibraryGraph`.
        values
            Other inputs for this run, `{"noise.seed": 8}`; of a library graph also by exposed names, `{"seed": 8}`.
        progress
            True shows the run in the notebook while it goes, with previews, images and Cancel, or a line on stderr in a
            terminal; "text" writes the line in any case; False shows nothing; a function is called with a `Progress`.
        on_error
            "stop" ends the run at the first node that fails; "continue" still runs what does not depend on it.
        strict
            Execute the nodes of an iteration one by one. By default those of one kind share calls of the model, which
            changes images by rounding (below 1e-4 relative).

        Returns
        -------
        Run
            The completed run; with `on_error="continue"`, `run.errors` lists what failed.

        Raises
        ------
        GraphError
            The graph cannot run; nothing was executed, and every problem is listed.
        NodeError
            A node failed, and `on_error` is "stop".
        KeyboardInterrupt
            Stop was pressed: the run is cancelled at its next step, finished results are kept.
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
        """Queue a node and everything it depends on, or a graph, and return at once.

        Parameters
        ----------
        target, values, on_error, strict
            As in `run`.
        prepend
            Run it next, before what is already queued.

        Returns
        -------
        Run
            A handle to wait for, watch or cancel.

        Raises
        ------
        GraphError
            The graph cannot run. A problem that only torch can find is raised by `run.raise_error()` instead, since
            torch may still be loading.
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
        """Run a target once for each combination of values.

        Parameters
        ----------
        target
            As in `run`.
        values
            Lists by address; lists of different addresses are multiplied: `{"denoise.cfg_scale": [2, 4], "noise.seed":
            [1, 2]}` makes four runs. A tuple of addresses zips them: `{("a.x", "b.y"): [(1, 5), (2, 6)]}` makes two.
        node
            The node whose output is shown; needed when the graph ends in more than one.
        runs
            How many times each combination is run.
        progress, strict
            As in `run`.

        Returns
        -------
        Sweep
            Shows itself as a labelled grid of images, or as a table; `.frame` has one row per combination. The cell of
            a run that failed is empty and says why.

        Raises
        ------
        GraphError
            An address or value is wrong, or there are more combinations than `Settings.max_sessions`; nothing was run.
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
        """Continue a run that was interrupted, cancelled or failed; finished nodes are not executed again.

        Parameters
        ----------
        run
            The run or its id; `studio.queue` lists them. Runs of a kernel that died have the status `interrupted`.

        Raises
        ------
        NotFoundError
            No run of that id is stored.
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
        """Say which nodes would run, and why, without running anything.

        Returns
        -------
        DataFrame
            One row per prepared node: `node`, `source`, `type`, `will_run`, `because` (such as "seed 1 -> 2").

        Raises
        ------
        GraphError
            The graph cannot run.
        """
        session = self._session(target, values)
        session.graph.validate()
        return reasons_frame(explain(session, self.services))

    def open(self, source: str | bytes | PathLike[str]) -> Opened:
        """Open a picture, a file or a text that says how a picture was made; nothing is run.

        Parameters
        ----------
        source
            A path, the bytes of a file, or a text: pictures and graphs of nbgraph, ComfyUI, InvokeAI, A1111, Forge,
            Fooocus and NovelAI. Models are looked for among those of this studio.

        Returns
        -------
        Opened
            `.graph` to run or edit, and `.report`: what was taken over exactly, what differs and why, what is missing.

        Raises
        ------
        NotFoundError
            There is no such file.
        RecipeError
            It holds no recipe that can be read.
        GraphError
            It holds a graph that is wrong.
        """
        return read_recipe(source, shelf_of(self.services.model_manager))

    def replay(self, source: str | bytes | PathLike[str]) -> Replayed:
        """Make a picture of nbgraph anew from what it carries, and say whether it is equal, or what differs.

        Models, LoRAs and pictures that went in are looked for in this studio by their content, then by their name.

        Parameters
        ----------
        source
            The path or the bytes of a picture that nbgraph saved, or of the JSON of its recipe.

        Returns
        -------
        Replayed
            `.is_equal`, `.picture`, `.differences` (package, model, code, seed, setting), `.max_difference`, `.ssim`.

        Raises
        ------
        RecipeError
            It holds no recipe of nbgraph.
        GraphError
            A model or a picture that it needs is not here; nothing was run.
        """
        opened = self.open(source)
        if opened.recipe is None:
            raise RecipeError(f"a replay needs a picture of nbgraph, and this is {opened.kind}; run its graph instead")
        recipe = opened.recipe
        plan = plan_replay(recipe, self.services, shelf_of(self.services.model_manager))
        run = self.run(plan.graph, progress=False)
        outputs = run.session.outputs_of(recipe.node)
        made = [field for field in resources_in(outputs.get(recipe.path)) if isinstance(field, ImageField)]
        if not made:
            raise RecipeError(f"the recipe says that node {recipe.node!r} gave the picture, and it gave none")
        return compared(recipe, picture_of(source), self.images.get(made[0].image_name), plan)

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

    def open_on_page(self, document_id: str) -> str:
        """Return the model id of a canvas on a document, for a page whose kernel is gone; empty if it is not here."""
        try:
            names = {record.id: record.name for record in self.services.graph_documents.rows()}
            return str(self._editors.document(names[document_id]).model_id) if document_id in names else ""
        except NbgraphError:  # it was closed, or its folder is gone
            return ""

    @cached_property
    def graphs(self) -> "GraphsView[GraphEditor]":
        """The drawings kept here: `.frame`, `.open(name)`, `.versions(name)`, `.save(graph, name)`; shown, as cards."""
        return GraphsView(self.services, lambda name, version: self._editors.document(name, version))

    def form(self, target: str | Target) -> "GraphForm":
        """Return a form for the exposed inputs of a library graph, or for all unlinked inputs of another graph.

        Parameters
        ----------
        target
            The name of a library graph (`"text to image"`), or a graph or node.

        Returns
        -------
        GraphForm
            Shown by a cell; `form.values` and `form.run()` in code.

        Raises
        ------
        NotFoundError
            There is no library graph of that name; the message lists the names.
        """
        forms = load("nbgraph.widgets.form")
        chosen = (
            load("nbgraph.widgets.library_graphs").find_library_graph(self.services, target)
            if isinstance(target, str)
            else target
        )
        graph = chosen if isinstance(chosen, LibraryGraph) else target_graph(chosen)
        return forms.GraphForm(graph, self.services, self.submit)

    @property
    def stats(self) -> "pd.DataFrame":
        """One row per prepared node of every stored run: seconds, memory in MB, cached, status, error."""
        return stats_frame(self.services.performance_statistics.readable_rows())

    def stats_view(self) -> StatsView:
        """Return the view of the stats: choose runs, columns and a plot; `.frame`, `.draw()`, `.to_csv(path)`."""
        return self._stats_view

    @cached_property
    def _stats_view(self) -> StatsView:
        return StatsView(self.services)

    def compare(self, first: Run | str, second: Run | str) -> "pd.DataFrame":
        """Compare the stats of two runs, given as `Run` or by id.

        Returns
        -------
        DataFrame
            One row per node, the largest slowdown first; `slower` is in seconds, `ratio` is second / first.

        Raises
        ------
        NotFoundError
            There are no stats of one of the runs.
        """
        return compared_frame(self._stats_of(first), self._stats_of(second))

    def _stats_of(self, run: Run | str) -> "pd.DataFrame":
        rows = self.services.performance_statistics.rows(run_id(run))
        if not rows:
            raise NotFoundError(f"there are no stats of {run!r}; studio.stats_view().sessions lists the runs")
        return stats_frame(rows)

    @cached_property
    def cache(self) -> "CacheView":
        """Cached results: `.frame`, `.why(graph)`, `.forget(node)`, `.off()`, `.clear()`; a cell shows a table."""
        return CacheView(self.services)

    @cached_property
    def images(self) -> "ImagesView":
        """The stored images: `.frame`, `.get(name)`, `.star(name)`, `.delete(name)`; a cell shows a gallery."""
        return ImagesView(self.services, lambda graph: self._editors.of_graph(graph), self.submit)

    @cached_property
    def queue(self) -> QueueView:
        """Waiting, running and ended runs: `.frame`, `.cancel(run)`, `.prepend(run)`; a cell shows a live table."""
        return QueueView(self.services)

    @cached_property
    def disk(self) -> DiskView:
        """What takes how many bytes, and how to free it: `.frame`, `.free("intermediates")`, `.free_all()`; a table."""
        return DiskView(self.services)

    @cached_property
    def models(self) -> ModelsView:
        """The models that can be named: `.frame`; `.inspect(path)` says what any model file is; a table in a cell."""
        return ModelsView(self.services)

    def backup(self, folder: str | PathLike[str]) -> Path:
        """Copy the studio's folder into a new one that opens as a studio; other kernels may keep writing meanwhile.

        Parameters
        ----------
        folder
            A path that does not exist yet.

        Returns
        -------
        Path
            The path of the copy.

        Raises
        ------
        StoreError
            The studio is in memory (use `export`), or the copy cannot be written.
        """
        return self.services.backup(folder)

    def export(self, path: str | PathLike[str], runs: Sequence[Run | str] | Run | str | None = None) -> ArchiveReport:
        """Write runs with their images and stats into a new zip file.

        Tensors are included for runs that did not complete, so that they can be resumed elsewhere. Models are named,
        not copied; cached results are left out.

        Parameters
        ----------
        path
            The zip file to write; an existing one is refused.
        runs
            Runs or their ids; None exports all.

        Returns
        -------
        ArchiveReport
            What was written, what was skipped and why.

        Raises
        ------
        ArchiveError
            The file cannot be written.
        """
        chosen = None if runs is None else [run_id(run) for run in ([runs] if isinstance(runs, Run | str) else runs)]
        return export_archive(self.services, path, chosen)

    def import_runs(self, path: str | PathLike[str]) -> ArchiveReport:
        """Import the runs, images and library graphs of a zip that `export` wrote. Existing ones stay as they are.

        Raises
        ------
        ArchiveError
            The zip is damaged, too large, or not such a file; nothing was imported.
        """
        return import_archive(self.services, path)

    def clean(self) -> CleanReport:
        """Delete files and rows that nothing refers to, such as a crash leaves behind, and report what is missing.

        The limits on what is kept otherwise are settings: `Settings(intermediate_bytes=..., session_days=...)`.
        """
        return self.services.clean()

    @property
    def loaded_models(self) -> "pd.DataFrame":
        """One row per model component in memory: device, dtype, MB of parameters and buffers, patches, uses."""
        return loaded_frame(self.services.model_manager.loaded())

    def unload_models(self, name: str | None = None) -> int:
        """Remove a model, or all of them, from memory.

        Parameters
        ----------
        name
            The name or path of a model; None unloads all that no run is using.

        Returns
        -------
        int
            Bytes freed.
        """
        return self.services.model_manager.unload(name)

    def close(self) -> None:
        """Cancel running sessions and stop the services. Closing twice is harmless."""
        self._dropped.detach()
        self._recent_graphs.clear()
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
        """Raise `OwnWorkerError` inside a node that this studio is running: it would wait for itself."""
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
            target = target_graph(target, self._recent_graphs.of).with_values(values)
        graph = target_graph(target, self._recent_graphs.of)
        return GraphExecutionState(graph, max_iterations=self.settings.max_iterations, **how)


def _collect_soon() -> None:
    """Collect what a studio that was dropped without `close` leaves: its services refer to each other in cycles.

    It runs on its own thread a little later: the studio is still alive when the finalizer runs, and a finalizer, which
    may run anywhere, must neither wait nor take a lock.
    """
    sleep(COLLECT_SECONDS)
    gc.collect()


def target_graph(target: Target, collect: Callable[..., Graph] = Graph.of) -> Graph:
    """Return the graph that a target means: a graph itself, or everything that one or several nodes depend on.

    `collect` makes the graph of nodes.

    Raises
    ------
    TargetError
        `target` is none of these.
    """
    if isinstance(target, Graph):
        return target
    if isinstance(target, LibraryGraph):
        return target.graph
    if isinstance(target, BaseInvocation):
        return collect(target)
    nodes = list(target) if isinstance(target, Iterable) else [target]
    if not all(isinstance(node, BaseInvocation) for node in nodes):
        raise TargetError(target)
    return collect(*nodes)
