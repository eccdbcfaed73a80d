"""Export runs of a studio to one zip, and import them: sessions, images, stats, library graphs, documents.

Models are only named. Tensors and intermediate images are exported for runs that did not complete, which need them to
continue. Cached results are not; they are computed again. Nothing in the zip is code; imported resources keep their
names.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from os import PathLike
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

from nbgraph.errors import ArchiveError, NbgraphError, NotFoundError, ResourceFileError
from nbgraph.services.archive_file import FORMAT, MANIFEST, ArchiveReader, ArchiveWriter, new_archive, opened_archive
from nbgraph.services.graph_documents.graph_documents_common import DocumentRecord, DocumentVersion
from nbgraph.services.images.images_common import ImageRecord
from nbgraph.services.images.portable_images import from_png, to_png
from nbgraph.services.invocation_queue.invocation_queue_common import ENDED, QueueItem
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.invocation_stats.invocation_stats_common import NodeStats
from nbgraph.services.latents.latents_common import TensorRecord
from nbgraph.services.latents.tensor_files import from_bytes, to_bytes
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.library import LibraryGraph
from nbgraph.services.shared.pagination import Page

Item = TypeVar("Item")
PAGE = 50
# quoted, so that digits inside of other texts are no names
_NAME = re.compile(r'"([0-9a-f]{32})"')
_MODEL = re.compile(r'"path": "((?:[^"\\]|\\.)*)", "fingerprint": "([0-9a-f]+)"')
_IMAGES, _TENSORS = TypeAdapter(list[ImageRecord]), TypeAdapter(list[TensorRecord])


class _Pages(Protocol[Item]):
    """A method that lists items by pages."""

    def __call__(self, *, page: int, per_page: int) -> Page[Item]: ...


class _NamedModel(BaseModel):
    """A model that an exported run uses; the archive only names it."""

    path: str


_MODELS = TypeAdapter(list[_NamedModel])


class _ArchivedRun(BaseModel):
    """A run in an archive; `session` is parsed with its nodes afterwards."""

    session: dict[str, Any]
    queue: QueueItem
    stats: list[NodeStats]


class _ArchivedVersion(BaseModel):
    """One version of a document in an archive; `graph` is parsed as a graph only when it is opened."""

    number: int = Field(ge=1, le=2**53)
    saved: float = Field(ge=0, allow_inf_nan=False)
    nodes: int = Field(ge=0, le=2**53)
    is_kept: bool = False
    graph: dict[str, Any]


class _ArchivedDocument(BaseModel):
    """A document in an archive, with its versions."""

    id: str = Field(pattern=r"^[0-9a-f]{32}$")
    name: str
    versions: list[_ArchivedVersion] = Field(min_length=1, max_length=10_000)


@dataclass
class ArchiveReport:
    """Counts of what was exported or imported; `skipped` has a reason for each item that was not."""

    runs: int = 0
    images: int = 0
    tensors: int = 0
    library: int = 0
    documents: int = 0
    known: int = 0
    skipped: list[str] = field(default_factory=list[str])
    models: list[str] = field(default_factory=list[str])

    def __str__(self) -> str:
        counts = f"{self.runs} runs, {self.images} pictures, {self.tensors} tensors, {self.library} library graphs"
        counts += f", {self.documents} documents" if self.documents else ""
        lines = [counts + (f"; {self.known} existed already" if self.known else "")]
        lines += [f"skipped: {reason}" for reason in self.skipped]
        if self.models:
            lines.append(f"models that are named, not copied: {', '.join(self.models)}")
        return "\n".join(lines)


def export_archive(
    services: InvocationServices, path: str | PathLike[str], runs: Sequence[str] | None = None
) -> ArchiveReport:
    """Write runs into a new zip.

    Parameters
    ----------
    services
        The studio's services.
    path
        The new file.
    runs
        Ids of sessions; None exports all, with all images, library graphs and documents.

    Raises
    ------
    ArchiveError
        The file exists or cannot be written.
    NotFoundError
        There is no such run.
    """
    report = ArchiveReport()
    with new_archive(path) as archive:
        _Export(services, archive, report).write(runs)
    return report


def import_archive(services: InvocationServices, path: str | PathLike[str]) -> ArchiveReport:
    """Import what a zip holds. What exists already is left as it is; a run that cannot be read is skipped.

    Raises
    ------
    ArchiveError
        The zip is not an intact archive.
    """
    report = ArchiveReport()
    with opened_archive(path) as archive:
        _Import(services, archive, report).read()
    return report


class _Export:
    def __init__(self, services: InvocationServices, archive: ArchiveWriter, report: ArchiveReport) -> None:
        self._services, self._archive, self._report = services, archive, report
        self._images: dict[str, ImageRecord] = {}
        self._tensors: dict[str, TensorRecord] = {}
        self._models: dict[str, str] = {}

    def write(self, runs: Sequence[str] | None) -> None:
        for item in self._items(runs):
            self._write_run(item)
        if runs is None:
            for page in _pages(self._services.images.list):
                self._images.update({one.image_name: one for one in page if not one.is_intermediate})
            for page in _pages(self._services.graph_library.list):
                for graph in page:
                    self._report.library += 1
                    self._archive.write_json(f"library/{self._report.library:05}.json", graph.to_dict())
            # canvases save after a pause; the export must have what is drawn now
            self._services.graph_documents.flush()
            for record in self._services.graph_documents.rows():
                self._write_document(record)
        images = [
            # images of earlier formats have no hash until it is requested; the import compares it
            replace(one, content=self._services.images.content(one.image_name))
            for one in self._images.values()
            if self._write_image(one)
        ]
        tensors = [one for one in self._tensors.values() if self._write_tensors(one)]
        self._report.models = sorted(self._models)
        manifest = {
            "format": FORMAT,
            "nbgraph": version("nbgraph"),
            "made": datetime.now(UTC).isoformat(),
            "models": [{"path": path, "fingerprint": mark} for path, mark in sorted(self._models.items())],
            "images": to_jsonable_python([asdict(one) for one in images]),
            "tensors": to_jsonable_python([asdict(one) for one in tensors]),
        }
        self._archive.write_json(MANIFEST, manifest)

    def _items(self, runs: Sequence[str] | None) -> Iterator[QueueItem]:
        last = {item.session_id: item for item in self._services.queue.rows()}
        for session_id in dict.fromkeys(last if runs is None else runs):
            if session_id not in last:
                raise NotFoundError(f"there is no run {session_id!r}; studio.queue.frame lists them")
            if last[session_id].status not in ENDED:
                self._report.skipped.append(f"run {session_id} has not ended")
            else:
                yield last[session_id]

    def _write_run(self, item: QueueItem) -> None:
        try:
            session = self._services.graph_execution_manager.get(item.session_id)
            data = session.to_dict()
        # one damaged run must not keep the others from being exported
        except (NbgraphError, ValueError) as error:
            self._report.skipped.append(f"run {item.session_id}: {str(error)[:200]}")
            return
        rows = self._services.performance_statistics.rows(item.session_id)
        self._report.runs += 1
        queued = to_jsonable_python(asdict(item))
        stats = to_jsonable_python(rows)
        self._archive.write_json(
            f"runs/{self._report.runs:05}.json", {"session": data, "queue": queued, "stats": stats}
        )
        self._take_resources(json.dumps(data), keep_all=item.status != "completed")

    def _write_document(self, record: DocumentRecord) -> None:
        documents = self._services.graph_documents
        versions: list[dict[str, Any]] = []
        for each in reversed(documents.versions(record.name)):
            try:
                graph = documents.data(record.name, each.number)
                facts = {"number": each.number, "saved": each.saved, "nodes": each.nodes}
                versions.append({**facts, "is_kept": each.is_kept, "graph": graph})
            except (NbgraphError, ValueError) as error:
                self._report.skipped.append(f"version {each.number} of {record.name!r}: {str(error)[:200]}")
        if versions:
            self._report.documents += 1
            content = {"id": record.id, "name": record.name, "versions": versions}
            self._archive.write_json(f"documents/{self._report.documents:05}.json", content)

    def _take_resources(self, text: str, keep_all: bool) -> None:
        """Collect the images, tensors and models that a session names.

        The text is searched, not the parsed session: so node types that are not defined here do not matter.
        """
        self._models.update({json.loads(f'"{path}"'): mark for path, mark in _MODEL.findall(text)})
        for name in dict.fromkeys(_NAME.findall(text)):
            if name not in self._images and self._services.images.exists(name):
                record = self._services.images.record(name)
                if keep_all or not record.is_intermediate:
                    self._images[name] = record
            elif keep_all and name not in self._tensors and self._services.latents.exists(name):
                self._tensors[name] = self._services.latents.record(name)

    def _write_image(self, record: ImageRecord) -> bool:
        try:
            data = to_png(self._services.images.get(record.image_name))
        except (NotFoundError, ResourceFileError) as error:
            self._report.skipped.append(f"picture {record.image_name}: {str(error)[:200]}")
            return False
        self._archive.write_bytes(f"images/{record.image_name}.png", data)
        self._report.images += 1
        return True

    def _write_tensors(self, record: TensorRecord) -> bool:
        try:
            tensors, _ = self._services.latents.get(record.name)
        except (NotFoundError, ResourceFileError) as error:
            self._report.skipped.append(f"tensors {record.name}: {str(error)[:200]}")
            return False
        self._archive.write_bytes(f"tensors/{record.name}.safetensors", to_bytes(tensors))
        self._report.tensors += 1
        return True


class _Import:
    def __init__(self, services: InvocationServices, archive: ArchiveReader, report: ArchiveReport) -> None:
        self._services, self._archive, self._report = services, archive, report

    def read(self) -> None:
        manifest = self._archive.manifest
        try:
            images = _IMAGES.validate_python(manifest.get("images", []))
            tensors = _TENSORS.validate_python(manifest.get("tensors", []))
            self._report.models = sorted(model.path for model in _MODELS.validate_python(manifest.get("models", [])))
        except ValidationError as error:
            raise ArchiveError(f"the manifest is invalid: {str(error)[:300]}; nothing was imported") from None
        # resources before runs, so that an imported run never refers to missing ones
        for record in images:
            picture = from_png(self._archive.read_bytes(f"images/{record.image_name}.png"), record)
            self._count("images", self._services.images.restore(record, picture))
        for record in tensors:
            data = self._archive.read_bytes(f"tensors/{record.name}.safetensors")
            self._count("tensors", self._services.latents.restore(record, from_bytes(data, record.name)))
        for member in self._archive.members("library"):
            self._attempt(member, self._read_library)
        for member in self._archive.members("documents"):
            self._attempt(member, self._read_document)
        for member in self._archive.members("runs"):
            self._attempt(member, self._read_run)

    def _count(self, kind: str, is_new: bool) -> None:
        name = kind if is_new else "known"
        setattr(self._report, name, getattr(self._report, name) + 1)

    def _attempt(self, member: str, read: Callable[[object], None]) -> None:
        """Read one member; if it cannot be read here, report it as skipped."""
        data = self._archive.read_json(member)
        try:
            read(data)
        except (NbgraphError, ValueError, TypeError, KeyError) as error:
            self._report.skipped.append(f"{member}: {str(error)[:300]}")

    def _read_library(self, data: object) -> None:
        graph, library = LibraryGraph.from_dict(data), self._services.graph_library
        # "waiting" is there too: its node types may only not be defined yet
        is_new = library.condition(graph.id) == "missing"
        if is_new:
            library.set(graph)
        self._count("library", is_new)

    def _read_document(self, data: object) -> None:
        document = _ArchivedDocument.model_validate(data)
        versions = {
            each.number: (DocumentVersion(each.number, each.saved, each.nodes, 0, "", each.is_kept), each.graph)
            for each in document.versions
        }
        if len(versions) != len(document.versions):
            raise ArchiveError("has two versions of one number")
        is_new = self._services.graph_documents.restore(document.id, document.name, versions.values())
        self._count("documents", is_new)

    def _read_run(self, data: object) -> None:
        run = _ArchivedRun.model_validate(data)
        session, item, stats = GraphExecutionState.from_dict(run.session), run.queue, run.stats
        if (
            item.status not in ENDED
            or item.session_id != session.id
            or any(row.session_id != session.id for row in stats)
        ):
            raise ArchiveError("is not one run that has ended")
        is_new = self._services.graph_execution_manager.condition(session.id) == "missing"
        if is_new:
            self._services.graph_execution_manager.set(session)
            self._services.performance_statistics.record(session.id, stats)
            # last, because the queue item is what makes a run visible
            self._services.queue.restore(item)
        self._count("runs", is_new)


def _pages(list_page: _Pages[Item]) -> Iterator[Sequence[Item]]:
    for number in range(list_page(page=0, per_page=PAGE).pages):
        yield list_page(page=number, per_page=PAGE).items
