"""The handle of a submitted session. It refers to results by name, so a Run in a cell keeps no tensor alive."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import fsum
from typing import TYPE_CHECKING, Any, cast, overload

from PIL.Image import Image as Picture

from nbgraph.errors import ChoiceError, NbgraphError, NodeError, NotFoundError, suggest
from nbgraph.frames import MB, stats_frame
from nbgraph.invocations.base import BaseInvocation, Ref
from nbgraph.invocations.fields import ImageField, resources_in
from nbgraph.loading import load
from nbgraph.notebook import is_in_notebook, shell
from nbgraph.progress import UPDATE_SECONDS, Progress, ProgressTracker
from nbgraph.readable_frames import readable
from nbgraph.recipes.saved_pictures import picture_of_run
from nbgraph.results import NodeResult, Pictures
from nbgraph.services.images.kept_pictures import picture_or_why
from nbgraph.services.invocation_processor.invocation_processor_base import SessionHandle
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.shared.graph.execution_state import GraphExecutionState, depth_first
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.plan import Prepared
from nbgraph.texts import value_text

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs] - its types are in its code

    from nbgraph.plots import RunPlots
    from nbgraph.run_profile import Profile

NodeLike = str | BaseInvocation


class Run:
    """The handle of a submitted graph: `run[node]`, `run.images`, `run.stats`, `run.graph`, `run.cancel()`.

    Examples
    --------
    >>> import nbgraph as nb
    >>> from nbgraph.invocations import Add, Iterate, Range
    >>> each = Add(id="each", a=Iterate(collection=Range(stop=3)), b=10)
    >>> with nb.Studio() as studio:
    ...     run = studio.submit(each).wait()
    >>> run.status
    'completed'
    >>> [result.value for result in run.outputs(each)]
    [10, 11, 12]
    >>> run.outputs(each, path=(1,)).value
    11
    >>> run.outputs(each.output("value"))
    [10, 11, 12]
    """

    def __init__(
        self,
        handle: SessionHandle,
        services: InvocationServices,
        tracker: ProgressTracker,
        profile: "Profile | None" = None,
    ) -> None:
        self._handle, self.services, self.tracker, self._profile = handle, services, tracker, profile
        self._shown_in: int | None = None
        self.session = handle.session

    # while it runs

    @property
    def id(self) -> str:
        """The id of the session."""
        return self.session.id

    @property
    def status(self) -> str:
        """`pending`, `running`, `completed`, `failed` or `cancelled`."""
        return self._handle.status if self.is_done else self.progress.status

    @property
    def is_done(self) -> bool:
        """Whether the run has ended, whatever its status."""
        return self._handle.wait(0)

    @property
    def progress(self) -> Progress:
        """How far the run is: nodes done, the step of the running node, seconds."""
        return self.tracker.progress

    def wait(self, seconds: float | None = None, show: Callable[[Progress], None] | None = None) -> "Run":
        """Wait until the run has ended. An interrupt ends the waiting, not the run.

        Parameters
        ----------
        seconds
            The longest to wait; None waits without limit. Not used together with `show`.
        show
            Called with the current `Progress` four times a second and once at the end.

        Returns
        -------
        Run
            The run itself; `is_done` says whether it has ended.
        """
        if show is None:
            self._handle.wait(seconds)
            return self
        while not self._handle.wait(UPDATE_SECONDS):
            show(self.progress)
        show(self.progress)
        return self

    def cancel(self) -> None:
        """Ask the run to stop, before its next node or at the running one's next step; finished results are kept."""
        self.services.processor.cancel(self.id)

    def raise_error(self) -> "Run":
        """Return the run, or raise the error of the first node that failed.

        Raises
        ------
        NodeError
            A node failed.
        GraphError
            The graph cannot run, and this could only be found after torch had been loaded.
        """
        self.raise_refusal()
        if self.is_done and self.errors:
            raise self.errors[0]
        if self.is_done and self.status == "failed":
            raise NbgraphError("; ".join(f"{node}: {message}" for node, message in self.session.errors.items()))
        return self

    def raise_refusal(self) -> "Run":
        """Return the run, or raise the `GraphError` that the worker thread found before it ran the first node."""
        if self._handle.refusal is not None:
            raise self._handle.refusal
        return self

    @property
    def errors(self) -> list[NodeError]:
        """The errors of nodes that failed, in order. They hold texts only, no exception and no tensor."""
        return self._handle.failures

    # what it gave

    @property
    def graph(self) -> Graph:
        """A copy of the graph as it was submitted, with the values it ran with."""
        return self.session.graph_snapshot().copy()

    @overload
    def __getitem__(self, node: NodeLike) -> "NodeResult": ...

    @overload
    def __getitem__(self, node: Ref) -> Any: ...

    def __getitem__(self, node: NodeLike | Ref) -> Any:
        """Return the result of a node that ran once, or, for `node.output("name")`, the value of that output.

        Raises
        ------
        NbgraphError
            The node ran several times, under an iteration; use `outputs`.
        NotFoundError
            The run has no such node, or it gave no result; the message says why.
        """
        if isinstance(node, Ref):
            return getattr(self[node.node], node.field)
        found = self._outputs_of(node)
        if len(found) > 1:
            name = self.session.graph.id_of(node)
            raise NbgraphError(
                f"{name!r} ran {len(found)} times; use run.outputs({name!r}), or with path=(0,) for one of them"
            )
        return next(iter(found.values()))

    def outputs(self, node: NodeLike | Ref, path: Sequence[int] | int | None = None) -> Any:
        """Return the results of a node that ran under an iteration.

        Parameters
        ----------
        node
            The node, its id, or one of its outputs (`node.output("value")`).
        path
            The iteration path, such as `(1, 0)`: index 1 of the outer iteration, 0 of the inner one. None takes all
            paths.

        Returns
        -------
        list or NodeResult or value
            Results (or values of the output) in path order; with a `path`, the single one there.

        Raises
        ------
        NotFoundError
            There is no such node, or it has no result at `path`.
        """
        if isinstance(node, Ref):
            found = self.outputs(node.node, path)
            return [getattr(one, node.field) for one in found] if path is None else getattr(found, node.field)
        found = self._outputs_of(node)
        if path is None:
            return list(found.values())
        place = tuple(path) if isinstance(path, Iterable) else (path,)
        if place not in found:
            paths = ", ".join(map(str, list(found)[:10]))
            raise NotFoundError(f"{self.session.graph.id_of(node)!r} has no result at path {place} (there is: {paths})")
        return found[place]

    @property
    def images(self) -> Pictures:
        """The images of the run in path order, as PIL images. Intermediate images and unreadable files are left out."""
        giving = {
            planned.rank
            for planned in self.session.plan.nodes
            if not planned.values["is_intermediate"] and "image" in planned.node.outputs()
        }
        # With several nodes that give images, the images of one path come together.
        found = depth_first(self.session) if len(giving) > 1 else self.session.results()
        makers: dict[str, Prepared] = {}
        for prepared, output in found:
            if prepared.planned.rank in giving:
                fields = [field for field in resources_in(output) if isinstance(field, ImageField)]
                makers.update({field.image_name: prepared for field in fields if field.image_name not in makers})
        return Pictures(self._kept(name, prepared) for name, prepared in makers.items())

    def _kept(self, image_name: str, maker: Prepared) -> Picture | str:
        """The picture with its recipe, or why it cannot be shown."""
        found = picture_or_why(self.services.images, image_name)
        place = maker.planned.id, maker.path
        return found if isinstance(found, str) else picture_of_run(found, self.services, self.session, *place)

    @property
    def stats(self) -> "pd.DataFrame":
        """One row per prepared node: seconds, memory (MB), cached, error.

        A cell shows at most eight columns; `.wide` shows all of them. If a denoiser had a step cache or was compiled,
        which changes images, a column `speedup` says so.
        """
        rows = list(self.services.performance_statistics.rows(self.id))
        frame = stats_frame(rows)
        used = _speedups(self.session)
        if any(used.values()):
            found = [used.get((row.source, row.path), "") for row in rows]
            frame.insert(list(frame.columns).index("seconds"), "speedup", found)
        return readable(frame)

    @property
    def node_seconds(self) -> float:
        """Total seconds of all nodes, cached ones included. Builds no DataFrame."""
        return fsum(row.seconds for row in self.services.performance_statistics.rows(self.id))

    @property
    def plot(self) -> "RunPlots":
        """Plots of the stats: `run.plot.timeline()`, `run.plot.vram()`, `run.plot.memory()`, `run.plot.by_type()`."""
        models = self.services.model_manager
        in_use = sum(each.bytes for each in models.loaded() if each.device == models.device_name)
        # matplotlib is loaded when the first one is asked for
        return load("nbgraph.plots").RunPlots(self.stats, in_use / MB, (models.budget_bytes or 0) / MB)

    @property
    def profile(self) -> "Profile":
        """The operators of torch in each node, of a run with `profile=True`: `.frame`, `.plot()`; shown, as a table.

        Raises
        ------
        NbgraphError
            The run was not profiled, or has not ended.
        """
        if self._profile is None:
            raise NbgraphError("this run was not profiled; studio.run(..., profile=True) profiles one")
        if not self.is_done:
            raise NbgraphError("the run has not ended, and its profile is read at the end: run.wait().profile")
        return self._profile

    def _outputs_of(self, node: NodeLike) -> dict[tuple[int, ...], "NodeResult"]:
        given = cast(object, node)
        if not isinstance(given, NodeLike):
            raise NotFoundError(f"a run is asked for a node, its id or one of its outputs, not for {value_text(given)}")
        graph = self.session.graph
        if isinstance(node, BaseInvocation) and node not in graph and not node.id:
            raise NotFoundError(f"that {node.type!r} is not a node of this run{suggest(node.type, graph.nodes)}")
        node_id = graph.id_of(node) if not isinstance(node, str) or node in graph.nodes else node
        found = self.session.outputs_of(node_id)
        if not found:
            self._explain_missing(node_id)
        return {
            path: NodeResult(output, self.services, self.session, (node_id, path)) for path, output in found.items()
        }

    def _explain_missing(self, node_id: str) -> None:
        ranks = self.session.plan.ranks
        if node_id not in ranks and node_id not in self.session.expanded.outlets:
            raise NotFoundError(f"the run has no node {node_id!r}{suggest(node_id, ranks)}")
        self.raise_error()
        state = self.session.why_missing(node_id) or f"the run is {self.status}"
        raise NotFoundError(f"{node_id!r} has no result: {state}")

    def _ipython_key_completions_(self) -> list[str]:
        return list(self.session.graph.nodes)

    def __iter__(self) -> Iterator[str]:
        return iter(self.session.graph.nodes)

    def __repr__(self) -> str:
        return f"Run({self.status}, {len(self.session)} nodes, {self.progress.seconds:.2f} s)"

    # in a notebook

    def display(self) -> Any:
        """Return the display of this run for the output of the current cell; `wait(show=...)` keeps it up to date."""
        self._shown_in = _cell_number()
        return load("nbgraph.widgets.run_view").RunDisplay(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return load("nbgraph.widgets.run_static").static_bundle(self)

    def _display_(self) -> Any:
        """Return the view that marimo shows."""
        return load("nbgraph.widgets.run_view").following_view(self)

    def _ipython_display_(self) -> None:
        if not is_in_notebook():
            raise NotImplementedError
        if self._shown_in != _cell_number():
            self.display().follow()


def _cell_number() -> int:
    return getattr(shell(), "execution_count", 0)


def run_id(run: Run | str) -> str:
    """Return the id of a run given as a `Run` or as its id.

    Raises
    ------
    ChoiceError
        `run` is neither.
    """
    given = cast(object, run)
    if isinstance(given, Run):
        return given.id
    if isinstance(given, str):
        return given
    raise ChoiceError("a run", given, ["a Run", "the id of a run, as in studio.queue.frame"])


def _speedups(session: GraphExecutionState) -> dict[tuple[str, tuple[int, ...]], str]:
    """Return the step cache and the compiler of the denoiser that a node ran with, by node and path, as a text."""
    found: dict[tuple[str, tuple[int, ...]], str] = {}
    # other nodes pass a denoiser on, or read its sizes
    denoising = {cls for cls in session.plan.node_types if {"unet", "positive"} <= cls.inputs().keys()}
    nodes = session.plan.nodes if denoising else ()
    for planned in nodes:
        if type(planned.node) not in denoising:
            continue
        edge = next((each for each in planned.inputs if each.field == "unet"), None)
        if edge is None:
            continue
        given = session.outputs_of(nodes[edge.parent].id)
        for path in session.outputs_of(planned.id):
            source = given.get(path if edge.keep is None else tuple(path[place] for place in edge.keep))
            if source is not None:
                patches = getattr(source, edge.output).model.patches
                found[planned.id, path] = ", ".join(filter(None, map(_speedup, patches)))
    return found


def _speedup(patch: Any) -> str:
    """Return how a patch of a model makes its denoiser faster, "" for one that does not."""
    if patch.kind == "step_cache":
        return f"{patch.method} cache"
    return f"compiled by {patch.backend}" if patch.kind == "compile" else ""
