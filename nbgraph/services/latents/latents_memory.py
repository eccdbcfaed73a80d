"""Tensors in memory, for a studio that ends with its kernel."""

from collections.abc import Iterable, Sequence

from nbgraph.invocations.fields import TensorKind
from nbgraph.services.latents.latents_base import LatentsServiceBase
from nbgraph.services.latents.latents_common import TensorDict, TensorRecord
from nbgraph.services.shared.names import Unless


class LatentsServiceMemory(LatentsServiceBase):
    """Stores tensors in a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self._records: dict[str, TensorRecord] = {}
        self._tensors: dict[str, TensorDict] = {}

    def _put(self, record: TensorRecord, tensors: TensorDict) -> TensorRecord:
        # before the record, by which other threads find them
        self._tensors[record.name] = tensors
        self._records[record.name] = record
        return record

    def _load(self, record: TensorRecord) -> TensorDict:
        # a node may change what it gets
        return {name: tensor.clone() for name, tensor in self._tensors[record.name].items()}

    def _get(self, name: str) -> TensorRecord | None:
        return self._records.get(name)

    def _drop(self, names: Sequence[str], unless: Unless | None = None) -> Sequence[str]:
        if unless is not None and unless():
            return []
        gone = [name for name in names if self._records.pop(name, None) is not None]
        for name in gone:
            self._tensors.pop(name, None)
        return gone

    def _rows(self, kind: TensorKind | None, offset: int, limit: int | None) -> tuple[Iterable[TensorRecord], int]:
        found = [record for record in reversed(self._records.values()) if kind in (None, record.kind)]
        return found[offset : None if limit is None else offset + limit], len(found)
