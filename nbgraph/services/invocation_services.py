"""The container: every service that sessions share. Only this module imports implementations."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from importlib import import_module
from logging import INFO
from os import PathLike
from pathlib import Path

from nbgraph.config import RecipeParts, Settings
from nbgraph.errors import ClusterError, StoreError
from nbgraph.invocations.types import JsonObject, JsonValue
from nbgraph.loading import load
from nbgraph.services.events.events_base import EventServiceBase
from nbgraph.services.events.events_memory import EventServiceMemory
from nbgraph.services.graph_documents import graph_documents_sqlite
from nbgraph.services.graph_documents.graph_documents_base import GraphDocumentsBase
from nbgraph.services.graph_documents.graph_documents_memory import GraphDocumentsMemory
from nbgraph.services.images import images_remote, images_sqlite
from nbgraph.services.images.images_base import ImageServiceBase
from nbgraph.services.images.images_memory import ImageServiceMemory
from nbgraph.services.invocation_cache import entry_table, invocation_cache_sqlite
from nbgraph.services.invocation_cache.invocation_cache_base import InvocationCacheBase
from nbgraph.services.invocation_cache.invocation_cache_memory import InvocationCacheMemory
from nbgraph.services.invocation_cache.invocation_cache_remote import InvocationCacheRemote
from nbgraph.services.invocation_processor.invocation_processor_base import InvocationProcessorBase
from nbgraph.services.invocation_processor.invocation_processor_default import InvocationProcessorDefault
from nbgraph.services.invocation_processor.node_batches import BatchLimits
from nbgraph.services.invocation_queue import invocation_queue_sqlite
from nbgraph.services.invocation_queue.invocation_queue_base import InvocationQueueBase
from nbgraph.services.invocation_queue.invocation_queue_memory import InvocationQueueMemory
from nbgraph.services.invocation_stats import invocation_stats_sqlite
from nbgraph.services.invocation_stats.invocation_stats_base import InvocationStatsServiceBase
from nbgraph.services.invocation_stats.invocation_stats_memory import InvocationStatsServiceMemory
from nbgraph.services.item_storage import item_storage_sqlite, session_storage_sqlite
from nbgraph.services.item_storage.item_storage_base import ItemStorageBase
from nbgraph.services.item_storage.item_storage_memory import ItemStorageMemory
from nbgraph.services.item_storage.session_storage_base import SessionStorageBase
from nbgraph.services.item_storage.session_storage_memory import SessionStorageMemory
from nbgraph.services.latents import latents_remote, latents_sqlite
from nbgraph.services.latents.latents_base import LatentsServiceBase
from nbgraph.services.latents.latents_memory import LatentsServiceMemory
from nbgraph.services.model_manager.model_manager_base import ModelManagerBase
from nbgraph.services.model_manager.model_manager_default import ModelManagerDefault
from nbgraph.services.retention.retention_base import RetentionBase
from nbgraph.services.retention.retention_common import Limit, Limits
from nbgraph.services.retention.retention_memory import RetentionMemory
from nbgraph.services.retention.retention_sqlite import RetentionSqlite
from nbgraph.services.service import Service
from nbgraph.services.shared.graph.library import LibraryGraph
from nbgraph.services.shared.head import HeadLike
from nbgraph.services.shared.sqlite import resource_files
from nbgraph.services.shared.sqlite.cleaning import CleanReport
from nbgraph.services.shared.sqlite.format_steps import MARKS, STEPS
from nbgraph.services.shared.sqlite.migrations import Formats
from nbgraph.services.shared.sqlite.sqlite_database import SqliteDatabase
from nbgraph.services.shared.sqlite.store_folder import FileKind, StoreFolder
from nbgraph.services.shared.sqlite.upkeep import clean_folder, copy_folder

TABLES = "".join(
    module.TABLES
    for module in (
        resource_files,
        images_sqlite,
        latents_sqlite,
        item_storage_sqlite,
        session_storage_sqlite,
        entry_table,
        invocation_stats_sqlite,
        invocation_queue_sqlite,
        graph_documents_sqlite,
    )
)
FORMATS = Formats(TABLES, STEPS, MARKS)
"""The tables of a new database, and the migrations of an older one."""
RECORDS: dict[FileKind, str] = {
    "images": images_sqlite.RECORDS,
    "thumbnails": images_sqlite.THUMBNAIL_RECORDS,
    "tensors": latents_sqlite.RECORDS,
}


@dataclass
class InvocationServices:
    """All services, in the order in which they start."""

    # stores come before the services that subscribe to them; the processor is last, as its thread may take a session
    # at once
    events: EventServiceBase
    images: ImageServiceBase
    latents: LatentsServiceBase
    model_manager: ModelManagerBase
    graph_execution_manager: SessionStorageBase
    graph_library: ItemStorageBase[LibraryGraph]
    graph_documents: GraphDocumentsBase
    invocation_cache: InvocationCacheBase
    performance_statistics: InvocationStatsServiceBase
    queue: InvocationQueueBase
    retention: RetentionBase
    processor: InvocationProcessorBase
    database: SqliteDatabase | None = None
    recipes: RecipeParts = "all"
    """How much of their recipe saved images carry; not a service, but needed wherever the services are."""

    @classmethod
    def memory(cls, settings: Settings | None = None) -> "InvocationServices":
        """Return services in memory: what they store ends with the process."""
        settings = settings or Settings()
        return cls(
            events=EventServiceMemory(),
            images=ImageServiceMemory(),
            latents=LatentsServiceMemory(),
            model_manager=_models(settings),
            graph_execution_manager=SessionStorageMemory(),
            graph_library=ItemStorageMemory(LibraryGraph),
            graph_documents=GraphDocumentsMemory(),
            invocation_cache=InvocationCacheMemory(settings.cache_entries, settings.cache_bytes),
            performance_statistics=InvocationStatsServiceMemory(),
            queue=InvocationQueueMemory(),
            retention=RetentionMemory(limits_of(settings, settings.memory_runs)),
            processor=InvocationProcessorDefault(BatchLimits(settings.batch_size, settings.batch_pixels)),
            recipes=settings.recipes,
        )

    @classmethod
    def remote(
        cls, settings: Settings, head: HeadLike, localise: Callable[[JsonValue], JsonValue]
    ) -> "InvocationServices":
        """Return services in memory for a worker that does not see the studio's folder.

        Parameters
        ----------
        settings
            Limits, devices and model folders of the worker.
        head
            Has the studio's images, tensors and cached results.
        localise
            Returns the JSON of an output with the paths that its models have on the worker.
        """
        services = cls.memory(settings)
        images, latents = images_remote.ImageServiceRemote(head), latents_remote.LatentsServiceRemote(head)
        services.images, services.latents = images, latents

        def learn(kind: str, record: JsonObject) -> None:
            (images if kind == "image" else latents).learn(record)

        services.invocation_cache = InvocationCacheRemote(
            settings.cache_entries, settings.cache_bytes, head, localise, learn
        )
        return services

    @classmethod
    def sqlite(cls, folder: str | PathLike[str], settings: Settings | None = None) -> "InvocationServices":
        """Return services that store in a folder: one database, and files for images and tensors.

        Several kernels may have the folder open.

        Parameters
        ----------
        folder
            The folder; it is created if it does not exist.
        settings
            Limits, devices and model folders.

        Raises
        ------
        StoreError
            The folder cannot be used; the subclass and the text say why.
        """
        settings = settings or Settings()
        database = SqliteDatabase(StoreFolder(folder), FORMATS, RECORDS)
        return cls(
            events=EventServiceMemory(),
            images=images_sqlite.ImageServiceSqlite(database),
            latents=latents_sqlite.LatentsServiceSqlite(database),
            model_manager=_models(settings),
            graph_execution_manager=session_storage_sqlite.SessionStorageSqlite(database),
            graph_library=item_storage_sqlite.ItemStorageSqlite(LibraryGraph, database),
            graph_documents=graph_documents_sqlite.GraphDocumentsSqlite(database),
            invocation_cache=invocation_cache_sqlite.InvocationCacheSqlite(
                database, settings.cache_entries, settings.cache_bytes
            ),
            performance_statistics=invocation_stats_sqlite.InvocationStatsServiceSqlite(database),
            queue=invocation_queue_sqlite.InvocationQueueSqlite(database),
            retention=RetentionSqlite(database, limits_of(settings)),
            processor=InvocationProcessorDefault(BatchLimits(settings.batch_size, settings.batch_pixels)),
            database=database,
            recipes=settings.recipes,
        )

    def use_cluster(self, cluster: object, settings: Settings) -> None:
        """Run sessions on the workers of a Dask cluster from now on; call it before the services start.

        Parameters
        ----------
        cluster
            As in `Studio`.
        settings
            The settings that workers get.

        Raises
        ------
        ClusterError
            Dask is not installed, the scheduler cannot be reached, or a worker has other versions.
        ChoiceError
            `cluster` is nothing that means a cluster.
        """
        try:
            import_module("distributed")
        except ImportError:
            raise ClusterError(
                "a cluster needs dask.distributed; install it with: pip install 'nbgraph[dask]'"
            ) from None
        connection = load("nbgraph.services.invocation_processor.cluster_connection").connect(cluster, settings)
        module = load("nbgraph.services.invocation_processor.invocation_processor_dask")
        self.processor = module.InvocationProcessorDask(connection)

    def open(self) -> None:
        """Open the folder, before the services start; do nothing if it is open, or in memory."""
        if self.database is not None:
            self.database.open()

    def close(self) -> None:
        """Close the folder, after the services have stopped."""
        if self.database is not None:
            self.database.close()

    def backup(self, folder: str | PathLike[str]) -> Path:
        """Copy the folder into a new one, and return its path; see `copy_folder`.

        Raises
        ------
        StoreError
            The services are in memory, or the new folder is not empty.
        """
        if self.database is None:
            raise StoreError("a studio in memory has no folder to copy; studio.export(path) keeps its runs in a zip")
        # rows that are still buffered would be missing in the copy
        self.flush()
        return copy_folder(self.database, StoreFolder(folder))

    def note(self, text: str, level: int = INFO) -> None:
        """Write a line into the folder's log; do nothing in memory."""
        if self.database is not None:
            self.database.note(text, level)

    def flush(self) -> None:
        """Write what services have buffered."""
        self.invocation_cache.flush()
        self.performance_statistics.flush()
        self.graph_documents.flush()

    def clean(self, grace_seconds: float = 24 * 3600) -> CleanReport:
        """Remove what is no longer needed, and what crashes left in the folder; see `clean_folder`."""
        unneeded = self.retention.tidy() if self.retention.is_started else 0
        # after `tidy`, whose deletions leave room in the database file
        report = CleanReport() if self.database is None else clean_folder(self.database, grace_seconds)
        report.unneeded = unneeded
        return report

    def __iter__(self) -> Iterator[Service]:
        return iter([getattr(self, field.name) for field in fields(self) if field.name not in ("database", "recipes")])


def limits_of(settings: Settings, runs: int | None = None) -> Limits:
    """Return the limits of retention, as the settings have them."""
    return Limits(
        Limit(settings.intermediate_bytes, settings.intermediate_days),
        Limit(settings.session_bytes, settings.session_days),
        Limit(settings.stats_bytes, settings.stats_days),
        Limit(settings.picture_bytes, settings.picture_days),
        runs,
        settings.orphan_days,
    )


def _models(settings: Settings) -> ModelManagerBase:
    return ModelManagerDefault(
        settings.model_folders,
        settings.device,
        settings.dtype,
        settings.model_ram_bytes,
        settings.model_vram_bytes,
        settings.threads,
        settings.offload,
    )
