"""The latents service: latents, encoded prompts and masks, stored as named tensors with metadata."""

import json
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from ctypes import string_at
from datetime import UTC, datetime
from hashlib import blake2b

from nbgraph.errors import ArchiveError, NotFoundError
from nbgraph.invocations.fields import TensorKind
from nbgraph.invocations.types import JsonObject
from nbgraph.services.latents.latents_common import TensorDict, TensorRecord, Tensors
from nbgraph.services.service import Service
from nbgraph.services.shared.callbacks import Callbacks
from nbgraph.services.shared.interrupts import defer_interrupt
from nbgraph.services.shared.names import Unless, checked_name, new_name, text_name
from nbgraph.services.shared.pagination import Page, page_bounds


class LatentsServiceBase(Service):
    """Stores sets of named torch tensors on the CPU, under generated names. A stored set never changes.

    This module does not import torch, because a graph without images never needs it.
    """

    def __init__(self) -> None:
        self._changed: Callbacks[TensorRecord] = Callbacks()
        self._deleted: Callbacks[str] = Callbacks()

    def on_changed(self, callback: Callable[[TensorRecord], None]) -> Callable[[], None]:
        """Call `callback(record)` when tensors were saved.

        Returns
        -------
        Callable
            A function that unsubscribes.
        """
        return self._changed.add(callback)

    def on_deleted(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call `callback(name)` after tensors were deleted.

        Returns
        -------
        Callable
            A function that unsubscribes.
        """
        return self._deleted.add(callback)

    def save(
        self, tensors: Tensors, *, kind: TensorKind = "latents", metadata: Mapping[str, object] | None = None
    ) -> TensorRecord:
        """Store detached CPU copies of tensors under a new name.

        Parameters
        ----------
        tensors
            Tensors by name, of any shape, dtype and device.
        kind
            `latents` or `conditioning`.
        metadata
            Plain JSON values: size in pixels, seeds, model family.

        Returns
        -------
        TensorRecord
            The record, with the new name and the content hash.
        """
        # a clone, since the caller may change its tensors later; detached, or the whole autograd graph would be kept
        kept = {name: tensor.detach().to("cpu").contiguous().clone() for name, tensor in tensors.items()}
        facts = dict(metadata or {})
        record = TensorRecord(
            name=new_name(),
            kind=kind,
            created=datetime.now(UTC),
            content=tensor_content(kept, facts),
            bytes=sum(tensor.numel() * tensor.element_size() for tensor in kept.values()),
            metadata=facts,
        )
        record = self._put(record, kept)
        self._changed(record)
        return record

    def restore(self, record: TensorRecord, tensors: Tensors) -> bool:
        """Store tensors of another studio under the name and record they have there.

        Returns
        -------
        bool
            False if they are stored already.

        Raises
        ------
        ArchiveError
            The tensors are not those of the record, or others have that name.
        """
        # the archive may be hostile; its name becomes part of a path
        known = self._get(checked_name(record.name))
        if known is not None and known.content == record.content:
            return False
        if known is not None or tensor_content(tensors, record.metadata) != record.content:
            reason = "differ from those stored here" if known is not None else "are not what was saved"
            raise ArchiveError(f"the tensors {record.name} {reason}; export them again from the studio they are in")
        self._changed(self._put(record, dict(tensors)))
        return True

    def get(self, name: str) -> tuple[TensorDict, JsonObject]:
        """Return copies of the tensors by name, and their metadata.

        Raises
        ------
        NotFoundError
            No tensors have that name.
        ResourceFileError
            Their file is missing or damaged.
        """
        record = self.record(name)
        return self._load(record), dict(record.metadata)

    def record(self, name: str) -> TensorRecord:
        """Return the record: kind, content hash, bytes, metadata.

        Raises
        ------
        NotFoundError
            No tensors have that name.
        """
        record = self._get(checked_name(name))
        if record is None:
            raise NotFoundError(f"there are no tensors {name!r}; they were deleted, or belong to another studio")
        return record

    def exists(self, name: str) -> bool:
        """Return whether tensors have that name.

        Raises
        ------
        InvalidNameError
            The name is not a text.
        """
        return self._get(text_name(name)) is not None

    def is_intact(self, name: str) -> bool:
        """Return whether tensors have that name and their file is what was saved.

        Raises
        ------
        StoreError
            The folder cannot be read.
        """
        return self._get(name) is not None

    def content(self, name: str) -> str:
        """Return the hash of all tensors and metadata. Cache keys contain it in place of the name.

        Raises
        ------
        NotFoundError
            No tensors have that name.
        """
        return self.record(name).content

    def list(self, kind: TensorKind | None = None, page: int = 0, per_page: int = 50) -> Page[TensorRecord]:
        """Return a page of records, newest first.

        Parameters
        ----------
        kind
            Only records of this kind; None lists all.
        page, per_page
            The number of the page, from 0, and its size.
        """
        offset, limit = page_bounds(page, per_page)
        items, total = self._rows(kind, offset, limit)
        return Page(list(items), page, per_page, total)

    def records(self) -> Sequence[TensorRecord]:
        """Return all records, newest first."""
        return [*self._rows(None, 0, None)[0]]

    def delete(self, *names: str, unless: Unless | None = None) -> int:
        """Delete tensors; cache entries that name them are dropped too.

        Parameters
        ----------
        names
            Names that no tensors have are ignored.
        unless
            Called within the deleting transaction; if it returns True, nothing is deleted.

        Returns
        -------
        int
            The number of names deleted.
        """
        wanted = [checked_name(name) for name in names]
        # an interrupt in between would leave cache entries that name deleted tensors
        with defer_interrupt():
            gone = self._drop(wanted, unless)
            for name in gone:
                self._deleted(name)
        return len(gone)

    @abstractmethod
    def _put(self, record: TensorRecord, tensors: TensorDict) -> TensorRecord:
        """Store the tensors, then the record, and return the record as stored."""

    @abstractmethod
    def _load(self, record: TensorRecord) -> TensorDict:
        """Return the tensors of an existing record, as new objects."""

    @abstractmethod
    def _get(self, name: str) -> TensorRecord | None:
        """Return the record, or None."""

    @abstractmethod
    def _drop(self, names: Sequence[str], unless: Unless | None = None) -> Sequence[str]:
        """Delete records, then tensors; return the names that existed. Deletes nothing if `unless()` is True."""

    @abstractmethod
    def _rows(self, kind: TensorKind | None, offset: int, limit: int | None) -> tuple[Iterable[TensorRecord], int]:
        """Return records of a kind, newest first, and the number of all."""


def tensor_content(tensors: Tensors, metadata: Mapping[str, object]) -> str:
    """Return the hash of names, dtypes, shapes, bytes and metadata: 32 hexadecimal digits."""
    digest = blake2b(json.dumps(metadata, sort_keys=True).encode(), digest_size=16)
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        # the memory itself: a copy by numpy would double it, and numpy has no bfloat16
        digest.update(string_at(tensor.data_ptr(), tensor.numel() * tensor.element_size()))
    return digest.hexdigest()
