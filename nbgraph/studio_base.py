"""The part of a studio that runs nothing: services, views of what they keep, copies, and graphs that are opened."""

import gc
from _thread import start_new_thread
from collections.abc import Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, Self
from weakref import finalize

from nbgraph import painting
from nbgraph.config import Settings
from nbgraph.errors import ClusterError, NbgraphError, NotFoundError
from nbgraph.frames import compared_frame, loaded_frame, stats_frame
from nbgraph.loading import load
from nbgraph.notebook import offer_documents
from nbgraph.readable_frames import compared_note, in_card, loaded_note, readable
from nbgraph.run import Run, run_id
from nbgraph.services.invocation_processor.cluster_common import ClusterLike
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.invoker import Invoker
from nbgraph.services.shared.sqlite.cleaning import CleanReport
from nbgraph.targets import RecentGraphs, Target, target_graph
from nbgraph.views.cache import CacheView
from nbgraph.views.cluster import ClusterView
from nbgraph.views.disk import DiskView
from nbgraph.views.graphs import GraphsView
from nbgraph.views.models import ModelsView
from nbgraph.views.queue import QueueView
from nbgraph.views.stats import StatsView
from nbgraph.views.studio import studio_html

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs] - its types are in its code

    from nbgraph.painting import Paintable
    from nbgraph.recipes.opened import Opened
    from nbgraph.services.studio_archive import ArchiveReport
    from nbgraph.widgets.editor import GraphEditor
    from nbgraph.widgets.open_editors import OpenEditors
    from nbgraph.widgets.paint import MaskPainter

COLLECT_SECONDS = 0.2


class StudioBase:
    """What a studio keeps and how it is looked at; `Studio` adds running, explaining and editing of graphs."""

    def __init__(
        self,
        folder: str | PathLike[str] | None = None,
        settings: Settings | None = None,
        *,
        cluster: object = None,
    ) -> None:
        self.settings = settings or Settings()
        services = (
            InvocationServices.memory(self.settings)
            if folder is None
            else InvocationServices.sqlite(folder, self.settings)
        )
        if cluster is not None:
            services.use_cluster(cluster, self.settings)
        self.folder = folder
        self.invoker = Invoker(services)
        self._recent_graphs = RecentGraphs()
        self._dropped = finalize(self, start_new_thread, _collect_soon, ())
        self._dropped.atexit = False  # at exit the memory goes anyway
        offer_documents(self)
        painting.opened(self)

    @property
    def services(self) -> InvocationServices:
        """The container of services: images, latents, cache, stats, queue, models, events."""
        return self.invoker.services

    def open(self, source: str | bytes | PathLike[str]) -> "Opened":
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
        # who opens no picture does not wait for what reads the files of other programs
        shelf = load("nbgraph.recipes.local").shelf_of(self.services.model_manager)
        return load("nbgraph.recipes.reading").read_recipe(source, shelf)

    def edit(self, target: Target | str | PathLike[str] = ()) -> "GraphEditor":
        """Return a canvas: a graph in a cell, edited and run there; `editor.graph` is the graph.

        The drawing is saved in the studio as a document a moment after each change: see `studio.graphs`.

        Parameters
        ----------
        target
            A graph or nodes, saved as `untitled`; nothing for an empty canvas. A path is a graph file, saved under its
            name. A text is the first of these that exists: a graph file at that path, a library graph of that name (a
            copy is opened), a document of that name; else a new document, which the same call opens again in the next
            kernel.

        Returns
        -------
        GraphEditor
            Of a file, nodes of types that are not installed are kept; a damaged or newer file opens read-only, and the
            canvas names what could not be read.

        Raises
        ------
        NotFoundError
            There is no file at a path.
        RecipeError, GraphError
            The file holds nothing that can be read.
        InvalidNameError
            The text cannot be the name of a document.
        """
        # A text is a sequence too, so it comes before nodes.
        if isinstance(target, str | PathLike):
            return self._editors.of_text(target)
        return self._editors.of_graph(target_graph(target))

    def paint(self, image: "Paintable", mask: "Paintable | None" = None) -> "MaskPainter":
        """Return an image on which a mask is painted by brush; a cell shows it.

        What is painted is stored in the studio a moment after each stroke, and offered again when the same image is
        painted on later, in the next kernel too.

        Parameters
        ----------
        image
            An image of the studio (a field, a result such as `run[node]`, or a name), a PIL image, or the path of a
            PNG, JPEG or WebP file.
        mask
            A mask to begin with, of the size of the image: white is painted anew, black is kept, transparent counts as
            black.

        Returns
        -------
        MaskPainter
            `.mask` is the mask for the inputs of nodes, `.image` the image that it belongs to.

        Raises
        ------
        NotFoundError
            The image or the mask was deleted, or belongs to another studio.
        NbgraphError
            There is no image, it cannot be read or is too large, or the mask is of another size.
        """
        return load("nbgraph.widgets.paint").MaskPainter(self.services, image, mask)

    @cached_property
    def _editors(self) -> "OpenEditors":
        return load("nbgraph.widgets.open_editors").OpenEditors(self.invoker, self.settings.max_iterations)

    def open_on_page(self, document_id: str) -> str:
        """Open a document for a page whose kernel is gone.

        Parameters
        ----------
        document_id
            The id of the document that the page shows.

        Returns
        -------
        str
            The model id of a canvas on it; empty if the document is not in this studio.
        """
        try:
            # The page knows the id; the document may have been renamed since.
            names = {record.id: record.name for record in self.services.graph_documents.rows()}
            return str(self._editors.document(names[document_id]).model_id) if document_id in names else ""
        except NbgraphError:  # the studio was closed, or its folder is gone
            return ""

    def remix_on_page(self) -> str:
        """Return the model id of the widget that makes new things from the runs that cells show; empty without one."""
        return ""

    @cached_property
    def graphs(self) -> "GraphsView[GraphEditor]":
        """The drawings kept here: `.frame`, `.open(name)`, `.versions(name)`, `.save(graph, name)`; shown, as cards."""
        return GraphsView(self.services, lambda name, version: self._editors.document(name, version))

    @property
    def stats(self) -> "pd.DataFrame":
        """One row per prepared node of every stored run: seconds, memory in MB, cached, status, error.

        A cell shows at most eight columns; `.wide` shows all of them.
        """
        return readable(stats_frame(self.services.performance_statistics.readable_rows()))

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
        return in_card(compared_frame(self._stats_of(first), self._stats_of(second)), compared_note)

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
    def queue(self) -> QueueView:
        """Waiting, running and ended runs: `.frame`, `.cancel(run)`, `.prepend(run)`; a cell shows a live table."""
        return QueueView(self.services)

    @cached_property
    def cluster(self) -> ClusterView:
        """The workers of the cluster: `.frame`, `.dashboard`; a cell shows what each holds and runs.

        Raises
        ------
        ClusterError
            The studio runs in this process.
        """
        if not isinstance(self.services.processor, ClusterLike):
            raise ClusterError("this studio runs in this process; give it a cluster, nb.Studio(cluster='local')")
        return ClusterView(self.services.processor)

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

    def export(self, path: str | PathLike[str], runs: Sequence[Run | str] | Run | str | None = None) -> "ArchiveReport":
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
        # One run is exported as often as several, so it need not be put into a list.
        chosen = None if runs is None else [run_id(run) for run in ([runs] if isinstance(runs, Run | str) else runs)]
        return load("nbgraph.services.studio_archive").export_archive(self.services, path, chosen)

    def import_runs(self, path: str | PathLike[str]) -> "ArchiveReport":
        """Import the runs, images and library graphs of a zip that `export` wrote. Existing ones stay as they are.

        Raises
        ------
        ArchiveError
            The zip is damaged, too large, or not such a file; nothing was imported.
        """
        return load("nbgraph.services.studio_archive").import_archive(self.services, path)

    def clean(self) -> CleanReport:
        """Delete files and rows that nothing refers to, such as a crash leaves behind, and report what is missing.

        The limits on what is kept otherwise are settings: `Settings(intermediate_bytes=..., session_days=...)`.
        """
        return self.services.clean()

    @property
    def loaded_models(self) -> "pd.DataFrame":
        """One row per model component in memory: device, dtype, MB of parameters and buffers, patches, uses."""
        return in_card(loaded_frame(self.services.model_manager.loaded()), loaded_note)

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
        self._dropped.detach()  # a closed studio needs no collection
        painting.closed(self)
        self._recent_graphs.clear()  # they hold nodes of the person, which may hold images
        self.invoker.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _repr_html_(self) -> str:
        return studio_html(self.services, self.folder)

    def __repr__(self) -> str:
        where = "in memory" if self.folder is None else str(self.folder)
        cached = self.services.invocation_cache.status().size
        return f"Studio({where}: {self.services.images.list(per_page=1).total} images, {cached} cached results)"


def _collect_soon() -> None:
    """Collect what a studio that was dropped without `close` leaves: its services refer to each other in cycles.

    It runs a little later on a thread of its own: the studio is still alive when the finalizer runs, and a finalizer
    may run anywhere, so it must neither wait nor take a lock.
    """
    sleep(COLLECT_SECONDS)
    gc.collect()
