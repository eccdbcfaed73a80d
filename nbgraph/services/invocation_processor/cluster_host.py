"""The services of one studio on one worker, and the legs that run with them.

A worker that sees the studio's folder opens it, as any other kernel does. Another one opens services in memory, which
fetch from the head what they have not (`*_remote.py`).
"""

import logging
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

from nbgraph.config import PREFIX, Settings
from nbgraph.diffusion.fingerprints import fingerprint_path
from nbgraph.errors import CancelledError, ClusterError, NbgraphError, StoreReadOnlyError
from nbgraph.invocations.types import JsonObject
from nbgraph.services.images.portable_images import to_png
from nbgraph.services.invocation_cache.portable_entries import FollowsHead
from nbgraph.services.invocation_processor.cluster_dask import DaskWorker, on_thread, packed, task_is_given_up
from nbgraph.services.invocation_processor.cluster_keys import KnownKeys, LearntKeys
from nbgraph.services.invocation_processor.cluster_legs import LegRunner, RunningLeg
from nbgraph.services.invocation_processor.cluster_link import BEGUN_SECONDS, HeadLink
from nbgraph.services.invocation_processor.cluster_messages import (
    Begun,
    Job,
    LegResult,
    Letter,
    Mail,
    MailBatch,
    Outputs,
    Resource,
    ResourceName,
    StudioFacts,
    WorkerFacts,
    nothing_done,
)
from nbgraph.services.invocation_processor.cluster_session import session_of, with_local_paths
from nbgraph.services.invocation_processor.invocation_processor_base import InvocationProcessorBase, SessionHandle
from nbgraph.services.invocation_processor.node_batches import BatchLimits
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.invoker import Invoker
from nbgraph.services.latents.tensor_files import to_bytes
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.sqlite.store_folder import StoreFolder

logger = logging.getLogger("nbgraph")
COMPARED = ("nbgraph", "torch", "diffusers")
"""The packages of which a worker must have the version that the head has: results may differ between versions."""
OWN_SETTINGS = ("device", "model_folders", "threads")
"""Settings that a worker's environment decides, if it says anything about them."""
STOP_SECONDS = 10.0


@runtime_checkable
class MakesHere(Protocol):
    """A store on a worker that does not see the studio's folder."""

    def is_made_here(self, name: str) -> bool: ...


class WorkerProcessor(InvocationProcessorBase):
    """On a worker the head decides what runs; this only knows whether it is running."""

    def __init__(self) -> None:
        self.thread = 0

    @property
    def is_worker(self) -> bool:
        return threading.get_ident() == self.thread

    def submit(
        self, session: GraphExecutionState, *, prepend: bool = False, is_checked: bool = True, group: object = None
    ) -> SessionHandle:
        raise ClusterError("a worker runs what its head sends; submit the session there")

    def group(self) -> AbstractContextManager[object]:
        return nullcontext()

    def cancel(self, session_id: str) -> bool:
        return False

    def cancel_all(self) -> int:
        return 0

    def pause(self) -> None:
        raise ClusterError("a worker is paused by its head")

    def resume(self) -> None:
        raise ClusterError("a worker is paused by its head")

    @property
    def is_paused(self) -> bool:
        return False


class WorkerHost:
    """What a worker has open for a studio. Its legs run one after the other, or in one group."""

    def __init__(self, studio: StudioFacts, worker: DaskWorker) -> None:
        self.name = str(worker.name)
        self.link = HeadLink(studio.id, worker, self._post)
        self.problem = _different_versions(self.name, studio.versions)
        self._studio, self._worker = studio, worker
        self._turn, self._posting = threading.Lock(), threading.Lock()
        self._legs: dict[str, RunningLeg] = {}
        """Those that run, and those of which the head has not everything."""
        self._letters: dict[str, Letter] = {}
        self._is_closing = False
        self._begun: Begun | None = None
        """Legs that have begun, of which the head has not heard."""
        self._outputs: dict[str, Outputs] = {}
        self._keys = LearntKeys()
        self._processor = WorkerProcessor()
        self._invoker: Invoker | None = None
        self.shares_folder = _sees_folder(studio)
        settings = worker_settings(studio.settings)
        self._limits = BatchLimits(settings.batch_size, settings.batch_pixels)
        if not self.problem:
            try:
                self._invoker = Invoker(self._open(settings))
            except (NbgraphError, OSError) as error:
                self.problem = f"worker {self.name!r} cannot open the studio: {error}"

    def _open(self, settings: Settings) -> InvocationServices:
        services = self._open_folder(settings)
        if services is None:
            services = InvocationServices.remote(settings, self.link, self._localise)
        services.processor = self._processor
        services.performance_statistics.worker = self.name
        return services

    def _open_folder(self, settings: Settings) -> InvocationServices | None:
        """Open the studio's folder; None for a worker that cannot use it, and works without."""
        if not self.shares_folder:
            return None
        try:
            return InvocationServices.sqlite(self._studio.folder, settings)
        except StoreReadOnlyError as error:
            logger.warning("worker %s works in memory: %s", self.name, error)
            self.shares_folder = False
            return None

    def _localise(self, output: object) -> object:
        return with_local_paths(output, self.services.model_manager, self.name)

    @property
    def services(self) -> InvocationServices:
        """The container; raises `ClusterError` if the studio could not be opened here."""
        if self._invoker is None:
            raise ClusterError(self.problem)
        return self._invoker.services

    def close(self) -> None:
        """End what runs, wait for it, and close the services."""
        self._is_closing = True
        # what runs ends at its next step; a step that takes longer ends with the process
        self._turn.acquire(timeout=STOP_SECONDS)
        if self._invoker is not None:
            try:
                self._invoker.stop()
            except (NbgraphError, OSError) as error:  # the folder may be gone
                logger.warning("worker %s could not close the studio: %s", self.name, error)

    def facts(self) -> WorkerFacts:
        """Return what is known of this worker now."""
        models = [] if self._invoker is None else self.services.model_manager.loaded()
        return WorkerFacts(
            name=self.name,
            shares_folder=self.shares_folder,
            device="" if self._invoker is None else self.services.model_manager.device_name,
            models={fingerprint_path(row.model): Path(row.model).name for row in models},
            problem=self.problem,
        )

    # legs

    def run(self, jobs: Sequence[Job]) -> dict[str, Letter]:
        """Run legs on this thread; return the ends of those whose ends were too large to be sent unasked."""
        with self._turn:
            is_given_up = task_is_given_up(self._worker)
            self.link.is_gone = is_gone = lambda: self._is_closing or is_given_up()
            self._letters = {}
            legs = self._begin(jobs)
            if self.problem:
                return {job.leg: Letter(job.leg, [], [], nothing_done("unusable", self.facts())) for job in jobs}
            if not legs:
                return {}
            self._prepare(jobs[0])
            self._processor.thread = threading.get_ident()
            try:
                LegRunner(self, self._limits, is_gone).run(legs)
            finally:
                self._processor.thread = 0
                self._outputs = {}
            return self._letters

    def _begin(self, jobs: Sequence[Job]) -> list[RunningLeg]:
        """Return the legs that may be run here: all of those that were sent to this worker, else the head is asked."""
        legs = [RunningLeg(job) for job in jobs]
        # a task that comes back to the same worker asks too: its first start counts
        is_first = all(job.first == self._worker.address and job.leg not in self._legs for job in jobs)
        if is_first and not self.problem:
            self._legs |= {leg.id: leg for leg in legs}
            self._begun = Begun(self._worker.address, [leg.id for leg in legs], self.facts())
            # a session that ends sooner says both in one message, which takes a fifth of its time less
            self.link.announce(BEGUN_SECONDS)
            return legs
        # a worker was lost, or Dask chose another: the head counts, and knows what has finished meanwhile
        found = cast("list[Outputs | None] | None", self.link.ask("start", [leg.id for leg in legs], self.facts()))
        answers = found or [None] * len(legs)
        self._outputs = {leg.id: rows for leg, rows in zip(legs, answers) if rows}
        legs = [leg for leg, rows in zip(legs, answers) if rows is not None]
        self._legs |= {leg.id: leg for leg in legs}
        return legs

    def _prepare(self, job: Job) -> None:
        cache = self.services.invocation_cache
        if job.is_cache_on != cache.enabled:
            (cache.enable if job.is_cache_on else cache.disable)()
        if job.is_alone:  # memory ran out before: this time all of it is free
            self.services.model_manager.unload()
        if isinstance(cache, FollowsHead):
            known = job.keys or KnownKeys(-1, 0, [])
            if not self._keys.fits(known):
                known = cast("KnownKeys | None", self.link.ask("keys")) or KnownKeys(-1, 0, [])
            cache.begin(*self._keys.learn(known))

    def session_of(self, leg: RunningLeg) -> GraphExecutionState:
        """Return the session of a leg, as far as it is to run here; see `cluster_session.session_of`."""
        return session_of(leg.job, self._outputs.get(leg.id, []), self.services.model_manager, self.name)

    def notify(self) -> None:
        """Have the mail of all legs sent a moment later."""
        self.link.announce()

    def end(self, leg: RunningLeg, result: LegResult) -> None:
        """Send how a leg ended, at once if that is small."""
        if result["status"] == "cancelled" and not leg.is_cancelled and self.link.is_gone():
            return  # nobody cancelled it: this worker ends, and another one runs it
        if not self.shares_folder and leg.session is not None:
            self.services.performance_statistics.reset_stats(leg.session.id)  # the head has them
        with self._posting:  # before it what was sent already, or it would be fetched once more
            if leg.outbox is not None:
                result["batches"] = leg.outbox.rest()
            letter = Letter(leg.id, [], self._made(leg, result["batches"], self._studio.letter_bytes), result)
            self._mark_sent(Letter(leg.id, result["batches"], letter.resources))
            begun, self._begun = self._begun, None
            message = packed(Mail(self._worker.address, [letter], [], begun))
            if len(message) <= self._studio.message_bytes:
                self.link.send(message)
                return
            self._letters[leg.id] = letter
            if begun is not None:
                self.link.tell(Mail(self._worker.address, [], [], begun))

    def cancel(self, leg: str) -> None:
        """Ask a leg to end; one that has ended, or is not here, stays as it is."""
        if (running := self._legs.get(leg)) is not None:
            running.is_cancelled = True

    def forget(self, legs: Sequence[str]) -> None:
        """Forget legs of which the head has everything: what only they needed may be deleted."""
        for each in legs:
            leg = self._legs.pop(each, None)
            if leg is not None and leg.session is not None and not self.shares_folder:
                self.services.retention.ended(leg.session)

    # mail

    async def _post(self) -> None:
        await on_thread(self._post_mail)

    def _post_mail(self) -> None:
        """Send what is new in all legs, if it is small."""
        with self._posting:
            self._post_letters()

    def _post_letters(self) -> None:
        letters: list[Letter] = []
        for leg in list(self._legs.values()):
            if leg.outbox is not None and (batches := leg.outbox.unsent()):
                resources = self._made(leg, batches, self._studio.message_bytes)
                letters.append(Letter(leg.id, batches, resources))
        begun, self._begun = self._begun, None
        if not letters and begun is None:
            return
        message = packed(Mail(self._worker.address, letters, [], begun))
        if len(message) > self._studio.message_bytes:
            message = packed(Mail(self._worker.address, [], [letter.leg for letter in letters], begun))
        else:
            for letter in letters:
                self._mark_sent(letter)
        self.link.send(message)

    def mail(self, leg: str, seen: int) -> Letter:
        """Return the mail of a leg after a batch, with what it names that was made here."""
        running = self._legs.get(leg)
        if running is None or running.outbox is None:
            return Letter(leg, [], [])
        batches = running.outbox.take(seen)
        letter = Letter(leg, batches, self._made(running, batches, self._studio.letter_bytes))
        self._mark_sent(letter)
        return letter

    def _mark_sent(self, letter: Letter) -> None:
        leg = self._legs.get(letter.leg)
        if leg is not None and leg.outbox is not None:
            leg.outbox.mark_sent(letter.batches)
            leg.sent.update(record.get("image_name") or record["name"] for _, record, _ in letter.resources)

    def resources(self, wanted: Sequence[ResourceName]) -> list[Resource]:
        """Return (kind, record, bytes) of images and tensors that are here."""
        return list(self._read(wanted))

    def _read(self, wanted: Sequence[ResourceName]) -> Iterator[Resource]:
        images, latents = self.services.images, self.services.latents
        for kind, name in wanted:
            if kind == "image":
                yield kind, asdict(images.record(name)), to_png(images.get(name))
            else:
                yield kind, asdict(latents.record(name)), to_bytes(latents.get(name)[0])

    def _made(self, leg: RunningLeg, batches: Sequence[MailBatch], most: int) -> list[Resource]:
        """Return what batches name and a leg made here, without what the head has; no more than so many bytes."""
        if self.shares_folder or leg.session is None:
            return []
        named = dict.fromkeys(each for batch in batches for each in batch["resources"] if each[1] not in leg.sent)
        found: list[Resource] = []
        try:
            for each in self._read([name for name in named if self._is_made_here(leg, name)]):
                most -= len(each[2])
                if most < 0:
                    break
                found.append(each)
        except (NbgraphError, OSError, CancelledError):
            return found  # the head asks for what it misses
        return found

    def _is_made_here(self, leg: RunningLeg, named: ResourceName) -> bool:
        kind, name = named
        store = self.services.images if kind == "image" else self.services.latents
        return (
            leg.outbox is not None
            and name in leg.outbox.made
            and isinstance(store, MakesHere)
            and store.is_made_here(name)
        )


def worker_settings(given: JsonObject) -> Settings:
    """Return the head's settings, but those that this worker's environment decides."""
    own = {name for name in OWN_SETTINGS if f"{PREFIX}{name.upper()}" in os.environ}
    return Settings(**{name: value for name, value in given.items() if name not in own})


def installed_versions() -> dict[str, str]:
    """Return the versions of the packages that have to be equal, "" for one that is not installed."""
    found: dict[str, str] = {}
    for name in COMPARED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = ""
    return found


def _different_versions(worker: str, wanted: Mapping[str, str]) -> str:
    """Return what is wrong with the versions on this worker, "" if they are those of the head."""
    found = installed_versions()
    different = [
        f"{name} {found[name] or '(none)'} (here: {wanted[name]})" for name in wanted if found[name] != wanted[name]
    ]
    return f"worker {worker!r} has {', '.join(different)}; install the same versions there" if different else ""


def _sees_folder(studio: StudioFacts) -> bool:
    """Return whether this worker sees the folder of the head: the lock file by which the head shows that it is open."""
    return bool(studio.folder) and StoreFolder(Path(studio.folder)).lease(studio.kernel).exists()
