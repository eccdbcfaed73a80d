"""The object a notebook holds: it runs, queues, sweeps, explains and replays graphs; the rest is in `StudioBase`."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any

from nbgraph.errors import GraphError, OwnWorkerError, RecipeError
from nbgraph.experiments.axes import Axis, batch_data
from nbgraph.experiments.metric_columns import Metric, with_metrics
from nbgraph.frames import reasons_frame
from nbgraph.invocations.fields import ImageField, resources_in
from nbgraph.loading import load
from nbgraph.progress import ProgressStyle, ProgressTracker, progress_display, shows_view
from nbgraph.recipes.local import shelf_of
from nbgraph.recipes.lock import Lock, lock_differences, lock_of, read_lock, write_lock
from nbgraph.recipes.reading import picture_of
from nbgraph.recipes.replay import Replayed, compared, plan_replay
from nbgraph.run import NodeLike, Run, run_id
from nbgraph.services.invocation_cache.explanation import explain
from nbgraph.services.shared.graph.batch import Batch
from nbgraph.services.shared.graph.execution_state import GraphExecutionState, OnError
from nbgraph.services.shared.graph.library import LibraryGraph
from nbgraph.studio_base import StudioBase
from nbgraph.sweep import Sweep, swept_node
from nbgraph.targets import Target, target_graph
from nbgraph.views.images import ImagesView

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs] - its types are in its code

    from nbgraph.widgets.form import GraphForm

Values = Mapping[str, Any]
STOP_SECONDS = 30.0
"""The longest a stopped run is waited for: until the end of the step it is in."""
STARTED = 1000
"""Ids of runs that are remembered for a lock."""


class Studio(StudioBase):
    """Runs graphs and keeps their images, cached results, stats and queue.

    `Studio()` keeps everything in memory; `Studio("folder")` in a folder that outlives the kernel. Results are cached:
    `studio.run(image)` executes only what changed since it last ran.

    Parameters
    ----------
    folder
        The folder to keep everything in, made if it does not exist; None for memory. Several kernels may open the same.
    settings
        Limits, device, model folders; None reads `NBGRAPH_...` environment variables.
    cluster
        Where runs are executed: None for this process, `"local"` for workers on this machine, one for each GPU; the
        address of a Dask scheduler, a `Client` or a `Cluster`. It needs `nbgraph[dask]`; see docs/cluster.md.

    Raises
    ------
    ClusterError
        The cluster cannot be reached, or one of its workers cannot be used.
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
        # Mistakes in the arguments come before anything is queued.
        self._refuse_worker()
        show = progress_display(progress)
        session = self._session(target, values, on_error=on_error, strict=strict)
        is_checked = self.invoker.check(session)
        run = None
        try:
            run = self._queued(session, is_checked=is_checked)
            if shows_view(progress):
                show = run.display()
            # where nothing is shown, the nodes of the run need not be counted
            run.wait(show=show if progress else None)
        except KeyboardInterrupt:
            # The worker stops at its next step; waiting for it leaves the kernel ready for the next cell.
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
        metrics: Sequence[Metric] = (),
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
        metrics
            What is measured of each image, a column each: a name (`"sharpness"`, `"contrast"`, `"colourfulness"`,
            `"entropy"`), a node that compares with a reference (`Ssim(reference=image)`), a class of nodes of one's own
            that gives a number, or the id of such a node of the graph.
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
        measured = with_metrics(graph, shown, metrics)
        batch = Batch(measured.graph, batch_data(values), runs, self.settings.max_sessions)
        # One metric that fails must not keep the others from being measured.
        on_error: OnError = "continue" if measured.columns else "stop"
        sessions = [(chosen, self._session(each, None, strict=strict, on_error=on_error)) for chosen, each in batch]
        # All combinations are checked before the first one runs.
        are_checked = [self.invoker.check(session) for _, session in sessions]
        try:
            # What the cells can do in one call of a model is done together.
            with self.services.processor.group() as group:
                cells = [
                    (chosen, self._queued(session, is_checked=is_checked, group=group))
                    for (chosen, session), is_checked in zip(sessions, are_checked)
                ]
            for _, run in cells:
                run.wait(show=show if progress else None).raise_refusal()
        # What is not run yet would go on behind the back of the person who stopped the sweep.
        except (KeyboardInterrupt, GraphError):
            for _, session in sessions:
                self.services.processor.cancel(session.id)
            raise
        return Sweep(shown, list(values), cells, measured.columns)

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
            handle = self.invoker.resume(session_id)
        except BaseException:
            tracker.close()
            raise
        self._started.append(session_id)
        return Run(handle, self.services, tracker)

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

    def lock(self, path: str | PathLike[str] | None = None, runs: Sequence[Run | str] | Run | None = None) -> Lock:
        """Write what runs ran with into a small file: versions, models, code of nodes, values and drawn seeds.

        `studio.replay(image, lock=path)` names what is another. Put it beside a notebook.

        Parameters
        ----------
        path
            The file to write; None only returns the lock.
        runs
            Runs or their ids; None takes those that were started from this studio and are still kept.

        Raises
        ------
        NbgraphError
            The file cannot be written.
        """
        given: Iterable[Run | str] = [runs] if isinstance(runs, Run) else runs or ()
        chosen = dict.fromkeys(self._started) if runs is None else [run_id(run) for run in given]
        found = lock_of(chosen, self.services, skip_missing=runs is None)
        return found if path is None else write_lock(found, path)

    @cached_property
    def _started(self) -> deque[str]:
        """The ids of the runs that were started here, the newest last."""
        return deque(maxlen=STARTED)

    def replay(self, source: str | bytes | PathLike[str], lock: Lock | str | PathLike[str] | None = None) -> Replayed:
        """Make a picture of nbgraph anew from what it carries, and say whether it is equal, or what differs.

        Models, LoRAs and pictures that went in are looked for in this studio by their content, then by their name.

        Parameters
        ----------
        source
            The path or the bytes of a picture that nbgraph saved, or of the JSON of its recipe.
        lock
            A lock, or its file, that the picture is checked against too: its differences are named as well.

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
        # It finds every missing model and image before anything runs.
        locked = None if lock is None else read_lock(lock)
        plan = plan_replay(recipe, self.services, shelf_of(self.services.model_manager))
        if locked is not None:
            plan.differences += [each for each in lock_differences(locked, recipe) if each not in plan.differences]
        run = self.run(plan.graph, progress=False)
        outputs = run.session.outputs_of(recipe.node)
        made = [field for field in resources_in(outputs.get(recipe.path)) if isinstance(field, ImageField)]
        if not made:
            raise RecipeError(f"the recipe says that node {recipe.node!r} gave the picture, and it gave none")
        return compared(recipe, picture_of(source), self.images.get(made[0].image_name), plan)

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

    @cached_property
    def images(self) -> ImagesView:
        """The stored images: `.frame`, `.get(name)`, `.star(name)`, `.delete(name)`; a cell shows a gallery."""
        return ImagesView(self.services, lambda graph: self._editors.of_graph(graph), self.submit)

    def _refuse_worker(self) -> None:
        """Raise `OwnWorkerError` inside a node that this studio is running: it would wait for itself."""
        if self.services.processor.is_worker:
            raise OwnWorkerError

    def _queued(
        self, session: GraphExecutionState, prepend: bool = False, *, is_checked: bool = True, group: object = None
    ) -> Run:
        # It listens before the session is queued, or it would miss the first events.
        tracker = ProgressTracker(session.id)
        tracker.listen(self.services.events)
        try:
            handle = self.invoker.queue(session, prepend=prepend, is_checked=is_checked, group=group)
        except BaseException:
            tracker.close()
            raise
        self._started.append(session.id)
        return Run(handle, self.services, tracker)

    def _session(self, target: Target, values: Values | None, **how: Any) -> GraphExecutionState:
        if values and isinstance(target, LibraryGraph):
            target = target.with_values(values)
        elif values:
            target = target_graph(target, self._recent_graphs.of).with_values(values)
        # The same nodes get the graph of their last run, whose plan and validation are known.
        graph = target_graph(target, self._recent_graphs.of)
        return GraphExecutionState(graph, max_iterations=self.settings.max_iterations, **how)
