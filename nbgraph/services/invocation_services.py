"""The container: every service that sessions share. The only module that knows which implementations there are."""

from collections.abc import Iterator
from dataclasses import dataclass, fields

from nbgraph.config import Settings
from nbgraph.services.events.events_base import EventServiceBase
from nbgraph.services.events.events_memory import EventServiceMemory
from nbgraph.services.images.images_base import ImageServiceBase
from nbgraph.services.images.images_memory import ImageServiceMemory
from nbgraph.services.invocation_cache.invocation_cache_base import InvocationCacheBase
from nbgraph.services.invocation_cache.invocation_cache_memory import InvocationCacheMemory
from nbgraph.services.invocation_processor.invocation_processor_base import InvocationProcessorBase
from nbgraph.services.invocation_processor.invocation_processor_default import InvocationProcessorDefault
from nbgraph.services.invocation_queue.invocation_queue_base import InvocationQueueBase
from nbgraph.services.invocation_queue.invocation_queue_memory import InvocationQueueMemory
from nbgraph.services.invocation_stats.invocation_stats_base import InvocationStatsServiceBase
from nbgraph.services.invocation_stats.invocation_stats_memory import InvocationStatsServiceMemory
from nbgraph.services.item_storage.item_storage_base import ItemStorageBase
from nbgraph.services.item_storage.item_storage_memory import ItemStorageMemory
from nbgraph.services.latents.latents_base import LatentsServiceBase
from nbgraph.services.latents.latents_memory import LatentsServiceMemory
from nbgraph.services.model_manager.model_manager_base import ModelManagerBase
from nbgraph.services.model_manager.model_manager_default import ModelManagerDefault
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.library import LibraryGraph
from nbgraph.services.shared.service import Service


@dataclass
class InvocationServices:
    """All services, in the order in which they start."""

    events: EventServiceBase
    images: ImageServiceBase
    latents: LatentsServiceBase
    model_manager: ModelManagerBase
    graph_execution_manager: ItemStorageBase[GraphExecutionState]
    graph_library: ItemStorageBase[LibraryGraph]
    invocation_cache: InvocationCacheBase
    performance_statistics: InvocationStatsServiceBase
    queue: InvocationQueueBase
    processor: InvocationProcessorBase

    @classmethod
    def memory(cls, settings: Settings | None = None) -> "InvocationServices":
        """Everything in memory: it ends with the process."""
        settings = settings or Settings()
        return cls(
            events=EventServiceMemory(),
            images=ImageServiceMemory(),
            latents=LatentsServiceMemory(),
            model_manager=_models(settings),
            graph_execution_manager=ItemStorageMemory(GraphExecutionState),
            graph_library=ItemStorageMemory(LibraryGraph),
            invocation_cache=InvocationCacheMemory(settings.cache_entries, settings.cache_bytes),
            performance_statistics=InvocationStatsServiceMemory(),
            queue=InvocationQueueMemory(),
            processor=InvocationProcessorDefault(),
        )

    def __iter__(self) -> Iterator[Service]:
        return iter([getattr(self, field.name) for field in fields(self)])


def _models(settings: Settings) -> ModelManagerBase:
    return ModelManagerDefault(
        settings.model_folders,
        settings.device,
        settings.dtype,
        settings.model_ram_bytes,
        settings.model_vram_bytes,
    )
