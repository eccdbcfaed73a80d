"""Thumbnails made once: a picture that is saved never changes, so neither does its thumbnail."""

from collections import OrderedDict
from threading import Lock

from nbgraph.errors import NbgraphError
from nbgraph.services.images.images_base import ImageServiceBase

KEPT = 512


class Thumbnails:
    """The newest 512 thumbnails that were asked for, as WebP of at most 256 pixels."""

    def __init__(self, images: ImageServiceBase) -> None:
        self._images = images
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._lock = Lock()

    def get(self, name: str) -> bytes:
        """The thumbnail of a picture; empty where the picture is gone or cannot be read."""
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
                return self._kept[name]
        try:
            made = self._images.thumbnail(name)
        except (NbgraphError, OSError):
            return b""
        with self._lock:
            self._kept[name] = made
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return made
