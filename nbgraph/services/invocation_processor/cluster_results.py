"""What workers send of a session, put into the services of the head as if it had run here."""

import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from io import BytesIO
from time import time
from typing import cast

from PIL import Image

from nbgraph.errors import NbgraphError, NbgraphWarning
from nbgraph.invocations.base import BaseInvocationOutput
from nbgraph.invocations.types import JsonObject
from nbgraph.services.events import events_common
from nbgraph.services.events.events_common import (
    Event,
    NodeCompleted,
    NodeProgress,
    NodeWarned,
    RunLog,
    SessionFinished,
    SessionStarted,
)
from nbgraph.services.images.images_common import ImageQuery, ImageRecord
from nbgraph.services.images.portable_images import from_png, to_png
from nbgraph.services.invocation_cache.invocation_cache_common import CacheEntry
from nbgraph.services.invocation_cache.portable_entries import EntryAnswer, entry_from_wire, entry_to_wire
from nbgraph.services.invocation_processor.cluster_messages import (
    LegResult,
    MailBatch,
    Resource,
    ResourceName,
    ResultRow,
    WorkerFacts,
)
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.invocation_stats.invocation_stats_common import MeasuredRows
from nbgraph.services.latents.latents_common import TensorRecord
from nbgraph.services.latents.tensor_files import from_bytes, to_bytes
from nbgraph.services.retention.retention_common import resources_of
from nbgraph.services.shared.graph.execution_state import GraphExecutionState, depth_first
from nbgraph.services.shared.graph.plan import Key, Prepared, prepared_id
from nbgraph.services.shared.graph.session_json import by_key, load_outputs


class SessionResults:
    """Stores the results of one session at the head. One thread uses it."""

    def __init__(self, session: GraphExecutionState, services: InvocationServices) -> None:
        self.session, self._services = session, services
        self.errors: dict[str, str] = {}
        self._failed: set[Key] = set()
        self._log = RunLog()
        self._journal = services.graph_execution_manager.journal(session)
        self._began = 0.0

    def start(self) -> None:
        """Tell the listeners that the session runs, the first time."""
        if not self._began:
            self._began = time()
            total = len(self.session.plan.nodes)
            self._services.events.dispatch(SessionStarted(self.session.id, total, self._log))

    def missing(self, batches: Sequence[MailBatch], given: Sequence[Resource]) -> list[ResourceName]:
        """Return the resources that batches name and that are neither given nor here."""
        came = {_name_of(resource) for resource in given}
        named = dict.fromkeys(each for batch in batches for each in batch["resources"])
        return [(kind, name) for kind, name in named if name not in came and not self._exists(kind, name)]

    def _exists(self, kind: str, name: str) -> bool:
        return (self._services.images if kind == "image" else self._services.latents).exists(name)

    def store(self, resources: Sequence[Resource]) -> None:
        """Store images and tensors under the names that they have on the worker."""
        for resource in resources:
            kind, record, data = resource
            if self._exists(kind, _name_of(resource)):
                continue
            if kind == "image":
                image_record = ImageRecord(**record)
                self._services.images.restore(image_record, from_png(data, image_record))
            else:
                tensor_record = TensorRecord(**record)
                self._services.latents.restore(tensor_record, from_bytes(data, tensor_record.name))

    def apply(self, batch: MailBatch, worker: WorkerFacts) -> None:
        """Take over one batch; the resources that it names are stored already."""
        session, is_ours = self.session, not worker["shares_folder"]
        session.seeds.update(by_key(session.plan, session.keys, batch["seeds"]))
        rows = [row[:3] for row in batch["outputs"]]
        outputs = load_outputs(session.plan, session.keys, session.expanded, rows)
        session.outputs.update(outputs)
        self._log.rows += batch["rows"]
        self._log.node, self._log.source = batch["node"], batch["source"]
        if is_ours:
            self._keep(batch, worker, outputs)
        for (_, _, _, cached, seconds), (key, output) in zip(batch["outputs"], outputs.items()):
            if not (self._log.reports_steps or self._services.events.hears_nodes):
                break
            prepared, self._log.reports_steps = self._prepared(key), False
            type_name = prepared.planned.node_type.name
            event = NodeCompleted(session.id, prepared.id, prepared.planned.id, type_name, output, cached, seconds)
            self._services.events.dispatch(event)
        for name, values in batch["events"]:
            self._dispatch(name, values)

    def _keep(self, batch: MailBatch, worker: WorkerFacts, outputs: Mapping[Key, BaseInvocationOutput]) -> None:
        """Store what a worker that sees the folder has stored itself: journal, stats, cached results."""
        session, services = self.session, self._services
        if self._journal is not None:
            for key, output in outputs.items():
                self._journal.completed(self._prepared(key), output)
        if batch["rows"]:
            measured = MeasuredRows(session.id, batch["zero"], batch["rows"], worker["name"], worker["device"])
            services.performance_statistics.record(session.id, measured)
        for row in batch["entries"]:
            if (entry := entry_from_wire(row)) is not None:
                services.invocation_cache.save(entry)

    def _dispatch(self, name: str, values: JsonObject) -> None:
        event: Event = getattr(events_common, name)(**values)
        if isinstance(event, NodeProgress) and event.preview is not None:
            event.preview = Image.open(BytesIO(event.preview), formats=("PNG",))
        self._services.events.dispatch(event)
        if isinstance(event, NodeWarned):
            with suppress(NbgraphWarning):  # where warnings are errors it must not end the thread of all sessions
                warnings.warn(f"{event.node}: {event.message}", NbgraphWarning, stacklevel=2)

    def _prepared(self, key: Key) -> Prepared:
        rank, path = self.session.keys.place(key)
        planned = self.session.plan.nodes[rank]
        return Prepared(planned, path, key, prepared_id(planned.id, path))

    def end_leg(self, result: LegResult) -> None:
        """Take over how a leg ended."""
        self.errors.update(result["errors"])
        ranks, keys = self.session.plan.ranks, self.session.keys
        self._failed.update(keys.begin(path) + ranks[node] for node, path in result["failed"] if node in ranks)

    def finish(self, status: str, was_cut: bool) -> None:
        """Take over how the session ended, and tell the listeners; results of parts are put in their usual order."""
        if was_cut:
            begin, ordered = self.session.keys.begin, depth_first(self.session)
            self.session.outputs = {begin(each.path) + each.planned.rank: output for each, output in ordered}
        if status == "cancelled":
            self.session.cancel()
        if self._journal is not None:
            for key in self._failed:
                prepared = self._prepared(key)
                self._journal.failed(prepared, self.errors.get(prepared.id, ""))
            self._journal.flush()
        self.session.adopt_end(self.errors, self._failed)
        self.start()
        self._services.events.dispatch(SessionFinished(self.session.id, status))

    def output_rows(self) -> list[ResultRow]:
        """Return the results that the head has, as JSON has them."""
        return [
            (prepared.planned.id, prepared.path, output.model_dump(mode="json"))
            for prepared, output in self.session.results()
        ]

    def drop_unfinished(self) -> int:
        """Delete images that a lost worker saved for this session and that are no results; return how many.

        It may have been killed between saving an image and naming it in a result. The node ran again elsewhere.
        """
        services = self._services
        found = services.images.records(ImageQuery(session_id=self.session.id, starred=False))
        names = {record.image_name for record in found} - resources_of(self.session)
        names -= services.invocation_cache.named(names)
        return services.images.delete(*names)


def _name_of(resource: Resource) -> str:
    _, record, _ = resource
    return str(record["image_name"] if "image_name" in record else record["name"])


def answer_of(services: InvocationServices, what: str, arguments: Sequence[object]) -> object:
    """Return what a worker without the folder asks for, None if it is not here.

    `entries` takes keys, and gives cached results with the records of the resources that they name; `record` and
    `resource` take kind and name, and give the record, or the bytes.
    """
    if what == "entries":
        found = [services.invocation_cache.peek(key) for key in cast("list[bytes]", arguments[0])]
        return [row for entry in found if entry is not None and (row := _entry_row(services, entry)) is not None]
    kind, name = cast(ResourceName, arguments)
    return _record(services, kind, name) if what == "record" else _file(services, kind, name)


def _record(services: InvocationServices, kind: str, name: str) -> JsonObject | None:
    try:
        return asdict((services.images if kind == "image" else services.latents).record(name))
    except NbgraphError:
        return None


def _file(services: InvocationServices, kind: str, name: str) -> bytes | None:
    try:
        return to_png(services.images.get(name)) if kind == "image" else to_bytes(services.latents.get(name)[0])
    except NbgraphError:
        return None


def _entry_row(services: InvocationServices, entry: CacheEntry) -> EntryAnswer | None:
    row = entry_to_wire(entry)
    if row is None:
        return None
    records: list[tuple[str, JsonObject]] = []
    for name in entry.resources:
        kind = "image" if services.images.exists(name) else "tensors"
        record = _record(services, kind, name)
        if record is None:  # deleted meanwhile: the worker computes the result anew
            return None
        records.append((kind, record))
    return EntryAnswer(**row, records=records)
