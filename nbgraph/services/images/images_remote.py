"""Images on a worker of a cluster that does not see the studio's folder: what is not here is fetched from the head."""

from typing import cast

from PIL import Image

from nbgraph.invocations.types import JsonObject
from nbgraph.services.images.images_common import ImageRecord
from nbgraph.services.images.images_memory import ImageServiceMemory
from nbgraph.services.images.portable_images import from_png
from nbgraph.services.shared.head import HeadLike


class ImageServiceRemote(ImageServiceMemory):
    """Stores in memory what nodes make here. Of the head's images it fetches the record first, the pixels when read."""

    def __init__(self, head: HeadLike) -> None:
        super().__init__()
        self._head = head
        self._learned: set[str] = set()

    def learn(self, record: JsonObject) -> None:
        """Take the record of an image that the head has."""
        name = record["image_name"]
        if name not in self._records:
            self._learned.add(name)
            self._records[name] = ImageRecord(**record)

    def is_made_here(self, name: str) -> bool:
        """Return whether a node on this worker made it."""
        return name in self._records and name not in self._learned

    def _get(self, image_name: str) -> ImageRecord | None:
        if image_name not in self._records and (record := self._head.ask("record", "image", image_name)) is not None:
            self.learn(cast(JsonObject, record))
        return self._records.get(image_name)

    def _load(self, record: ImageRecord) -> Image.Image:
        if record.image_name not in self._images:
            data = cast(bytes, self._head.ask("resource", "image", record.image_name))
            self._images[record.image_name] = from_png(data, record)
        return super()._load(record)
