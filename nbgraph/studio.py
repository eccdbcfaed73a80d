"""The object a notebook holds: it runs, queues, sweeps, explains and replays graphs; the rest is in `StudioBase`."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING

from nbgraph.errors import RecipeError
from nbgraph.frames import reasons_frame
from nbgraph.invocations.fields import ImageField, resources_in
from nbgraph.loading import load
from nbgraph.notebook import is_open
from nbgraph.progress import ProgressStyle, progress_display, shows_view
from nbgraph.readable_frames import explained_note, in_card
from nbgraph.recipes.made import recipe_of
from nbgraph.recipes.upstream import Upstream
from nbgraph.run import Run, run_id
from nbgraph.services.invocation_cache.explanation import explain
from nbgraph.services.shared.graph.execution_state import OnError
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.library import LibraryGraph
from nbgraph.studio_experiments import STOP_SECONDS, StudioExperiments, Values
from nbgraph.targets import Target, target_graph
from nbgraph.views.images import ImagesView

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs] - its types are in its code

    from nbgraph.recipes.lock import Lock
    from nbgraph.recipes.replay import Replayed
    from nbgraph.widgets.form import GraphForm
    from nbgraph.widgets.remix import Remix
    from nbgraph.widgets.run_remix import RunRemix


class Studio(StudioExperiments):
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

    _run_remix: "RunRemix | None" = None

    def run(
        self,
        target: Target,
        values: Values | None = None,
        *,
        progress: ProgressStyle = True,
        on_error: OnError = "stop",
        strict: bool = False,
        profile: bool = False,
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
        profile
            Record the operators of torch in each node: see `run.profile`, and `studio.last_profile` where the run
            failed or was stopped. It takes longer meanwhile; see docs/experiments.md.

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
        self._refuse_profile_on_cluster(profile)
        show = progress_display(progress)
        session = self._session(target, values, on_error=on_error, strict=strict)
        is_checked = self.invoker.check(session)
        run = None
        try:
            run = self._queued(session, is_checked=is_checked, profile=profile)
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
        profile: bool = False,
    ) -> Run:
        """Queue a node and everything it depends on, or a graph, and return at once.

        Parameters
        ----------
        target, values, on_error, strict, profile
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
        self._refuse_profile_on_cluster(profile)
        session = self._session(target, values, on_error=on_error, strict=strict)
        is_checked = self.invoker.check(session)
        return self._queued(session, prepend, is_checked=is_checked, profile=profile)

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
        tracker = self._trackers.track(session_id)
        try:
            handle = self.invoker.resume(session_id)
        except BaseException:
            self._trackers.forget(tracker)
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
        return in_card(reasons_frame(explain(session, self.services)), explained_note)

    def lock(self, path: str | PathLike[str] | None = None, runs: Sequence[Run | str] | Run | None = None) -> "Lock":
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
        locks = load("nbgraph.recipes.lock")
        found: Lock = locks.lock_of(chosen, self.services, skip_missing=runs is None)
        return found if path is None else locks.write_lock(found, path)

    def replay(
        self, source: str | bytes | PathLike[str], lock: "Lock | str | PathLike[str] | None" = None
    ) -> "Replayed":
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
        locks, replays = load("nbgraph.recipes.lock"), load("nbgraph.recipes.replay")
        locked = None if lock is None else locks.read_lock(lock)
        shelf = load("nbgraph.recipes.local").shelf_of(self.services.model_manager)
        plan = replays.plan_replay(recipe, self.services, shelf)
        if locked is not None:
            plan.differences += [
                each for each in locks.lock_differences(locked, recipe) if each not in plan.differences
            ]
        run = self.run(plan.graph, progress=False)
        outputs = run.session.outputs_of(recipe.node)
        made = [field for field in resources_in(outputs.get(recipe.path)) if isinstance(field, ImageField)]
        if not made:
            raise RecipeError(f"the recipe says that node {recipe.node!r} gave the picture, and it gave none")
        picture = self.images.get(made[0].image_name)
        anew = recipe_of(self.services, Upstream(run.session, recipe.node, recipe.path), picture)
        named = {(each.kind, each.name) for each in plan.differences}
        plan.differences += [
            each for each in replays.facts_differences(recipe, anew) if (each.kind, each.name) not in named
        ]
        given = load("nbgraph.recipes.reading").picture_of(source)
        return replays.compared(recipe, given, picture, plan)

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
        return ImagesView(self.services, lambda: self._remix)

    @cached_property
    def _remix(self) -> "Remix":
        def open_on_canvas(graph: Graph) -> str:
            return str(self._editors.of_graph(graph).model_id)

        return load("nbgraph.widgets.remix").Remix(self.services, open_on_canvas, self.submit)

    def remix_on_page(self) -> str:
        """Return the model id of the widget that makes new things from the runs that cells show."""
        shown = self._run_remix
        if shown is None or not is_open(shown):
            shown = self._run_remix = load("nbgraph.widgets.run_remix").RunRemix(self._remix)
        return str(shown.model_id)
