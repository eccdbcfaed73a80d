"""The part of a studio that runs many graphs of one shape: sweeps, and what is learnt from them."""

import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from time import monotonic, time
from typing import TYPE_CHECKING, Any, cast

from PIL.Image import Image

from nbgraph.errors import GraphError, NbgraphError, NbgraphWarning, OwnWorkerError
from nbgraph.experiments.axes import Axis, axis_names, sweep_cells
from nbgraph.experiments.metric_columns import MeasuredGraph, Metric, refuse_taken, with_metrics
from nbgraph.loading import load
from nbgraph.progress import Progress, ProgressStyle, ProgressTracker, ProgressTrackers, progress_display, shows_view
from nbgraph.run import NodeLike, Run
from nbgraph.services.invocation_processor.cluster_common import ClusterLike
from nbgraph.services.invocation_processor.node_batches import BatchLimits
from nbgraph.services.shared.graph.execution_state import GraphExecutionState, OnError
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.library import LibraryGraph
from nbgraph.studio_base import StudioBase
from nbgraph.sweep import OWN_COLUMNS, Sweep, swept_node
from nbgraph.targets import Target, target_graph

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs] - its types are in its code

    from nbgraph.experiments.ablation import Ablation
    from nbgraph.experiments.diff import Source
    from nbgraph.experiments.estimate import Estimate
    from nbgraph.experiments.live import LiveSweep
    from nbgraph.experiments.regressions import Regressions
    from nbgraph.run_profile import Profile
    from nbgraph.widgets.editor import GraphEditor

Values = Mapping[str, Any]
STOP_SECONDS = 30.0
"""The longest that stopped runs are waited for: until the end of the step they are in."""
MOST_COMPARED = 1000
"""The newest runs that are looked at for regressions."""
STARTED = 1000
"""Ids of runs that are remembered for a lock."""


class StudioExperiments(StudioBase):
    """Runs graphs many times with other values; `Studio` adds single runs, explaining and editing."""

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
            `nb.replace("prompt.text", "apple")` in place of an address replaces a part of a text.
        node
            The node whose output is shown; needed when the graph ends in more than one.
        runs
            How many times each combination is run. Seeds that are left open are drawn once each time, so that cells
            differ in nothing but the values.
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
        cells = sweep_cells(measured.graph, values, runs, self.settings.max_sessions)
        axes = [name for axis in values for name in axis_names(axis)]
        refuse_taken(measured.columns, [*OWN_COLUMNS, *axes, *(f"{name}_name" for name in graph[shown].outputs())])
        # One metric that fails must not keep the others from being measured.
        on_error: OnError = "continue" if measured.columns else "stop"
        chosen, graphs = [each for each, _ in cells], [swept for _, swept in cells]

        expected = self._estimate_cells(graphs) if progress in (True, "text", "widget") else None
        filling: LiveSweep | None = None

        def show_cells(runs: list[Run]) -> Callable[[Progress], None] | None:
            nonlocal filling
            if not shows_view(progress):
                return show if progress else None
            begun = self._sweep_of(shown, values, chosen, runs, measured)
            filling = load("nbgraph.experiments.live").LiveSweep(begun, expected)
            return filling

        try:
            runs_of_cells = self._run_cells(graphs, show_cells, strict=strict, on_error=on_error)
        finally:
            if filling is not None:
                filling.close()
        return self._sweep_of(shown, values, chosen, runs_of_cells, measured)

    @staticmethod
    def _sweep_of(
        shown: str, values: Mapping[Axis, Any], chosen: list[dict[str, Any]], runs: list[Run], measured: MeasuredGraph
    ) -> Sweep:
        return Sweep(shown, list(values), list(zip(chosen, runs)), measured.columns)

    def ablate(self, a: Target | Run, b: Target | Run, *, node: NodeLike | None = None) -> "Ablation":
        """Say which of the inputs in which two graphs or runs differ made the image another one, and by how much.

        Each input is changed alone, from both ends: two runs for each, whose common parts are computed once.

        Parameters
        ----------
        a, b
            Nodes, graphs or runs of one structure that differ in values of inputs.
        node
            The node whose image is compared; needed when the graph ends in more than one.

        Returns
        -------
        Ablation
            `.frame` has a row for each input, the strongest first: from `a`, from `b`, their mean, their interaction.
            Distances are mean absolute differences of the pixels, 0 to 255.

        Raises
        ------
        NbgraphError
            They differ in nothing, in nodes or edges, or a seed is left open; or one of the two gives no image.
        GraphError
            A graph cannot run; nothing was run.
        """
        self._refuse_worker()
        ablation = load("nbgraph.experiments.ablation")
        one, other = (
            ablation.graph_of_run(each.session) if isinstance(each, Run) else target_graph(each) for each in (a, b)
        )
        changes = ablation.changed_inputs(one, other)
        shown = swept_node(one, node)

        def run_all(graphs: Sequence[Graph]) -> list[Image | None]:
            runs = self._run_cells(graphs, lambda _: None)
            return Sweep(shown, [], [({}, run) for run in runs]).images

        return ablation.ablate(one, other, run_all, changes)

    def estimate(self, target: Target, values: Mapping[Axis, Any] | None = None, *, sweep: bool = False) -> "Estimate":
        """Say what a run will cost before it starts, learnt from the stats of this studio. Nothing is run.

        Parameters
        ----------
        target, values
            As in `run`; with `sweep`, as in `sweep`.
        sweep
            Whether the values are lists whose combinations are all run.

        Returns
        -------
        Estimate
            `.seconds` and `.interval`, None where too little is known; `.frame` has a row for each node: whether it is
            cached, its seconds, and the memory that its type took before.

        Raises
        ------
        GraphError
            The graph cannot run, or a value does not fit.
        """
        if sweep:
            cells = sweep_cells(target_graph(target), values or {}, 1, self.settings.max_sessions)
            sessions = [self._session(graph, None) for _, graph in cells]
        else:
            sessions = [self._session(target, cast("Values", values))]
        for session in sessions:
            session.graph.validate()
        return load("nbgraph.experiments.estimate").estimate_sessions(sessions, self.services, self._limits)

    @property
    def _limits(self) -> BatchLimits:
        return BatchLimits(self.settings.batch_size, self.settings.batch_pixels)

    def _estimate_cells(self, graphs: Sequence[Graph]) -> "Estimate | None":
        """Return what the cells of a sweep will cost, from a sample of them; None where a graph cannot run."""
        estimates = load("nbgraph.experiments.estimate")
        places: list[int] = estimates.sampled(len(graphs))
        try:
            sessions = [self._session(graphs[place], None) for place in places]
            for session in sessions:
                session.graph.validate()
            found: Estimate = estimates.estimate_sessions(sessions, self.services, self._limits, len(graphs))
        except NbgraphError:  # running them raises it, with all problems
            return None
        if problem := found.memory_problem:
            warnings.warn(problem, NbgraphWarning, stacklevel=3)
        return found

    def show_diff(self, a: "Source", b: "Source") -> "GraphEditor":
        """Return a canvas on the graph of `b`, on which the nodes that `a` lacks, and those that differ, are marked.

        A line above it names the nodes of `a` that `b` has no more. The canvas is one like any other: edit it, run it.

        Parameters
        ----------
        a, b
            As in `nb.diff`.

        Raises
        ------
        NbgraphError, RecipeError
            As in `nb.diff`.
        """
        found = load("nbgraph.experiments.diff").diff(a, b)
        editor = self._editors.of_graph(found.graph.copy())
        editor.mark(found.marks, found.summary)
        return editor

    def summary(self, by: str = "type") -> "pd.DataFrame":
        """Sum up the stats of all stored runs, the longest first.

        Parameters
        ----------
        by
            "type" for a row per node type, "model" for one per model.

        Returns
        -------
        DataFrame
            `executed`, `cached` and `failed` (counts), `seconds` and their `share` of all, `median_seconds` of those
            executed, `model_loads`, and peak memory in MB.

        Raises
        ------
        ChoiceError
            `by` is another word.
        """
        return load("nbgraph.experiments.summaries").summary(self.services, by)

    def regressions(self, days: float = 7, *, recent_days: float = 1) -> "Regressions":
        """Say which nodes became slower: the last days beside the median of the days before, by type and model.

        Parameters
        ----------
        days
            How long before the recent days to look.
        recent_days
            How many days are recent.

        Returns
        -------
        Regressions
            `.sentences`, such as "denoise_latents (emoji) is 18 % slower ...", `.slower`, `.frame`. Where there are
            too few executions on a side, it says so.

        Raises
        ------
        NbgraphError
            A length of time is not positive.
        """
        executions = load("nbgraph.experiments.executions").learnt(self.services, MOST_COMPARED)
        return load("nbgraph.experiments.regressions").regressions(executions, time(), days, recent_days)

    @property
    def last_profile(self) -> "Profile":
        """The profile of the newest run with `profile=True`, also of one that failed or was stopped.

        Raises
        ------
        NbgraphError
            No run of this studio was profiled.
        """
        if self._last_profile is None:
            raise NbgraphError("no run was profiled here; studio.run(..., profile=True) profiles one")
        return self._last_profile

    def _refuse_profile_on_cluster(self, profile: bool) -> None:
        """Raise where nodes run in other processes, whose operators cannot be recorded from here."""
        if profile and isinstance(self.services.processor, ClusterLike):
            raise NbgraphError("a run on a cluster cannot be profiled; run it in a studio without one, nb.Studio(...)")

    def _run_cells(
        self, graphs: Sequence[Graph], show_cells: Callable[[list[Run]], Callable[[Progress], None] | None], **how: Any
    ) -> list[Run]:
        """Run graphs of one shape and wait for all; `show_cells` makes what shows their progress."""
        sessions = [self._session(graph, None, **how) for graph in graphs]
        # All are checked before the first one runs.
        are_checked = [self.invoker.check(session) for session in sessions]
        runs = list[Run]()
        trackers = list[ProgressTracker]()
        try:
            # What they can do in one call of a model is done together.
            with self.services.processor.group() as group:
                for session, is_checked in zip(sessions, are_checked):
                    trackers.append(self._trackers.track(session.id))
                    handle = self.invoker.queue(session, is_checked=is_checked, group=group)
                    self._started.append(session.id)
                    runs.append(Run(handle, self.services, trackers[-1]))
            show = show_cells(runs)
            # with nothing to show, the last is waited for first: each wait wakes this thread beside the worker
            for run in runs if show is not None else runs[:1] + runs[:0:-1]:
                run.wait(show=show).raise_refusal()
        # What is not run yet would go on behind the back of the person who stopped it.
        except (KeyboardInterrupt, GraphError):
            # the last first: the running one ends and begins the next, which must be cancelled by then
            for session in reversed(sessions):
                self.services.processor.cancel(session.id)
            # the running one stops at its next step; waiting for it leaves the kernel ready for the next cell
            self._wait_for(runs)
            raise
        finally:
            self._trackers.forget(*trackers)
        return runs

    @staticmethod
    def _wait_for(runs: Sequence[Run]) -> None:
        """Wait until cancelled runs have ended, at most `STOP_SECONDS` for all."""
        end = monotonic() + STOP_SECONDS
        for run in runs:
            run.wait(max(0.0, end - monotonic()))

    def _refuse_worker(self) -> None:
        """Raise `OwnWorkerError` inside a node that this studio is running: it would wait for itself."""
        if self.services.processor.is_worker:
            raise OwnWorkerError

    def _queued(
        self,
        session: GraphExecutionState,
        prepend: bool = False,
        *,
        is_checked: bool = True,
        group: object = None,
        profile: bool = False,
    ) -> Run:
        # It listens before the session is queued, or it would miss the first events.
        tracker = self._trackers.track(session.id)
        profiler = load("nbgraph.run_profile").RunProfiler(session.id) if profile else None
        try:
            if profiler is not None:
                profiler.listen(self.services.events)
            handle = self.invoker.queue(session, prepend=prepend, is_checked=is_checked, group=group)
        except BaseException:
            self._trackers.forget(tracker)
            if profiler is not None:
                profiler.close()
            raise
        self._started.append(session.id)
        if profiler is None:
            return Run(handle, self.services, tracker)
        self._last_profile = profiler.profile
        return Run(handle, self.services, tracker, profiler.profile)

    def _session(self, target: Target, values: Values | None, **how: Any) -> GraphExecutionState:
        if values and isinstance(target, LibraryGraph):
            target = target.with_values(values)
        elif values:
            target = target_graph(target, self._recent_graphs.of).with_values(values)
        # The same nodes get the graph of their last run, whose plan and validation are known.
        graph = target_graph(target, self._recent_graphs.of)
        return GraphExecutionState(graph, max_iterations=self.settings.max_iterations, **how)

    _last_profile: "Profile | None" = None

    @cached_property
    def _trackers(self) -> ProgressTrackers:
        """Follow the runs that were started here."""
        return ProgressTrackers(self.services.events)

    @cached_property
    def _started(self) -> deque[str]:
        """The ids of the runs that were started here, the newest last."""
        return deque(maxlen=STARTED)
