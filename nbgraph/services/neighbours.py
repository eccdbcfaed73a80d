"""Protocols for what services use of each other: calling anything else of another service is a type error.

So it is for the run loop, and for the context through which a node reaches services.

The bases of services implement them; a type checker verifies this in `invocation_services.py`. The bases refer to each
other through the container, so importing each other instead of these protocols would be a cycle.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from logging import INFO
from typing import TYPE_CHECKING, Literal, Protocol

from PIL.Image import Image

from nbgraph.invocations.context import ModelsForNodes
from nbgraph.invocations.fields import ImageCategory, ModelField, TensorKind
from nbgraph.invocations.node_output import BaseInvocationOutput
from nbgraph.invocations.types import JsonObject
from nbgraph.latch import Bell
from nbgraph.services.events.events_common import Event
from nbgraph.services.images.images_common import ImageQuery, ImageRecord
from nbgraph.services.invocation_cache.invocation_cache_common import CacheEntry, CacheRow, CacheStatus
from nbgraph.services.invocation_queue.invocation_queue_common import QueueItem, QueueStatus
from nbgraph.services.latents.latents_common import TensorDict, TensorRecord, Tensors
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.library import LibraryGraph
from nbgraph.services.shared.names import Unless
from nbgraph.services.shared.pagination import Page

if TYPE_CHECKING:
    from nbgraph.diffusion.cache_reports import LoadedComponent
    from nbgraph.diffusion.meters import DeviceMeter
    from nbgraph.services.invocation_cache.kept_runs import KeptRuns
    from nbgraph.services.invocation_stats.probe import Probe
    from nbgraph.services.item_storage.item_storage_base import Journal

Condition = Literal["readable", "waiting", "missing"]
"""An item can be read, waits for node types that are not defined in this kernel yet, or is deleted or damaged."""
Stop = Callable[[], None]
"""A function that unsubscribes."""
Names = set[str]


class Events(Protocol):
    """Sends events to listeners."""

    @property
    def hears_nodes(self) -> bool: ...

    @property
    def is_heard(self) -> bool: ...

    def dispatch(self, event: Event) -> None: ...


class Images(Protocol):
    """Stores images."""

    def get(self, image_name: str) -> Image: ...

    def save(
        self,
        image: Image,
        *,
        category: ImageCategory = "general",
        is_intermediate: bool = False,
        session_id: str = "",
        node_id: str = "",
        metadata: Mapping[str, object] | None = None,
    ) -> ImageRecord: ...

    def content(self, image_name: str) -> str: ...

    def on_changed(self, callback: Callable[[ImageRecord], None]) -> Stop: ...

    def on_deleted(self, callback: Callable[[str], None]) -> Stop: ...

    def record(self, image_name: str) -> ImageRecord: ...

    def records(self, query: ImageQuery) -> Sequence[ImageRecord]: ...

    def is_intact(self, image_name: str) -> bool: ...

    def delete(self, *image_names: str, unless: Unless | None = None) -> int: ...


class Latents(Protocol):
    """Stores tensors."""

    def get(self, name: str) -> tuple[TensorDict, JsonObject]: ...

    def save(
        self, tensors: Tensors, *, kind: TensorKind = "latents", metadata: Mapping[str, object] | None = None
    ) -> TensorRecord: ...

    def content(self, name: str) -> str: ...

    def on_changed(self, callback: Callable[[TensorRecord], None]) -> Stop: ...

    def on_deleted(self, callback: Callable[[str], None]) -> Stop: ...

    def record(self, name: str) -> TensorRecord: ...

    def records(self) -> Sequence[TensorRecord]: ...

    def is_intact(self, name: str) -> bool: ...

    def delete(self, *names: str, unless: Unless | None = None) -> int: ...


class Models(ModelsForNodes, Protocol):
    """Loads models; see `ModelManagerBase` for what is counted and measured."""

    @property
    def free_bytes(self) -> int: ...

    def free_memory(self) -> None: ...

    def loaded(self) -> "list[LoadedComponent]": ...

    def content(self, model: ModelField) -> dict[str, object]: ...

    @property
    def uses(self) -> int: ...

    @property
    def counts(self) -> tuple[int, int]: ...

    @property
    def meters(self) -> "DeviceMeter | None": ...

    @property
    def device_name(self) -> str: ...

    def is_current(self, model: ModelField) -> bool: ...

    def step_down(self, model: ModelField, *names: str) -> str: ...


class Sessions(Protocol):
    """Stores sessions."""

    def get(self, item_id: str) -> GraphExecutionState: ...

    def set(self, item: GraphExecutionState) -> None: ...

    def journal(self, item: GraphExecutionState) -> "Journal | None": ...

    def delete(self, item_id: str) -> bool: ...

    def live(self) -> list[GraphExecutionState]: ...

    def sizes(self) -> dict[str, int]: ...

    def names_in(self, session_ids: Iterable[str]) -> Names: ...

    def condition(self, item_id: str) -> Condition: ...

    def __len__(self) -> int: ...


class Library(Protocol):
    """Stores library graphs."""

    def list(self, page: int = 0, per_page: int = 10) -> Page[LibraryGraph]: ...


class Cache(Protocol):
    """Stores results of nodes."""

    misses: int
    runs: "KeptRuns"

    @property
    def enabled(self) -> bool: ...

    def get(self, key: bytes) -> CacheEntry | None: ...

    def get_all(self, keys: Sequence[bytes], outputs: Sequence[BaseInvocationOutput]) -> bool: ...

    def peek(self, key: bytes) -> CacheEntry | None: ...

    def save(self, entry: CacheEntry, may_wait: bool = False) -> None: ...

    def write_pending(self) -> None: ...

    def discard(self, entry: CacheEntry, because: str) -> None: ...

    def why_discarded(self, node: str) -> str: ...

    def went_with_resource(self, key: bytes) -> bool: ...

    def changed_models(self, key: bytes) -> list[str]: ...

    def on_released(self, callback: Callable[[Collection[str]], None]) -> Stop: ...

    def named(self, resources: Collection[str]) -> set[str]: ...

    def entries(self, node: str | None = None) -> list[CacheRow]: ...

    def status(self) -> CacheStatus: ...

    def clear(self) -> int: ...

    def tidy(self) -> None: ...

    def flush(self) -> None: ...


class Stats(Protocol):
    """Stores a row for each node that ran."""

    def probe(self, session_id: str) -> "Probe": ...

    def sizes(self) -> dict[str, int]: ...

    def session_ids(self) -> list[str]: ...

    def reset_stats(self, session_id: str | None = None) -> None: ...

    def flush(self) -> None: ...


class Queue(Protocol):
    """Holds the sessions that wait, run or have ended, in order."""

    @property
    def bell(self) -> Bell: ...

    @property
    def owner(self) -> str: ...

    def changed(self) -> None: ...

    def put(self, session_id: str, *, prepend: bool = False) -> QueueItem: ...

    def take(self) -> QueueItem | None: ...

    def finish(self, session_id: str, status: QueueStatus, error: str = "") -> None: ...

    def cancel(self, session_id: str) -> bool: ...

    def clear(self) -> int: ...

    def forget(self, session_ids: Collection[str]) -> None: ...

    def rows(self) -> list[QueueItem]: ...

    def is_alive(self, owner: str) -> bool: ...

    def runs_elsewhere(self) -> bool: ...


class Retention(Protocol):
    """Deletes what is no longer needed."""

    def running(self) -> AbstractContextManager[None]: ...

    def ended(self, session: GraphExecutionState) -> None: ...

    def collect(self) -> int: ...

    def delete_intermediates(self) -> int: ...


class Processor(Protocol):
    """Runs sessions."""

    @property
    def is_worker(self) -> bool: ...


class Services(Protocol):
    """The container, as services see it."""

    @property
    def events(self) -> Events: ...

    @property
    def images(self) -> Images: ...

    @property
    def latents(self) -> Latents: ...

    @property
    def model_manager(self) -> Models: ...

    @property
    def graph_execution_manager(self) -> Sessions: ...

    @property
    def graph_library(self) -> Library: ...

    @property
    def invocation_cache(self) -> Cache: ...

    @property
    def performance_statistics(self) -> Stats: ...

    @property
    def queue(self) -> Queue: ...

    @property
    def retention(self) -> Retention: ...

    @property
    def processor(self) -> Processor: ...

    def note(self, text: str, level: int = INFO) -> None: ...
