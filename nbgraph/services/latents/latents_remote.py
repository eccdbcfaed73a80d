"""Tensors on a worker of a cluster that does not see the studio's folder: what is not here is fetched from the head."""

from typing import cast

from nbgraph.invocations.types import JsonObject
from nbgraph.services.latents.latents_common import TensorDict, TensorRecord
from nbgraph.services.latents.latents_memory import LatentsServiceMemory
from nbgraph.services.latents.tensor_files import from_bytes
from nbgraph.services.shared.head import HeadLike


class LatentsServiceRemote(LatentsServiceMemory):
    """Stores in memory what nodes make here. Of the head's tensors it fetches the record first, the rest when read."""

    def __init__(self, head: HeadLike) -> None:
        super().__init__()
        self._head = head
        self._learned: set[str] = set()

    def learn(self, record: JsonObject) -> None:
        """Take the record of tensors that the head has."""
        name = record["name"]
        if name not in self._records:
            self._learned.add(name)
            self._records[name] = TensorRecord(**record)

    def is_made_here(self, name: str) -> bool:
        """Return whether a node on this worker made it."""
        return name in self._records and name not in self._learned

    def _get(self, name: str) -> TensorRecord | None:
        if name not in self._records and (record := self._head.ask("record", "tensors", name)) is not None:
            self.learn(cast(JsonObject, record))
        return self._records.get(name)

    def _load(self, record: TensorRecord) -> TensorDict:
        if record.name not in self._tensors:
            data = cast(bytes, self._head.ask("resource", "tensors", record.name))
            self._tensors[record.name] = from_bytes(data, record.name)
        return super()._load(record)
