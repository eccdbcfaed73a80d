"""The image service: pictures by generated names, with records that can be listed, searched and changed."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from nbgraph.errors import ArchiveError, ImageModeError, NotFoundError
from nbgraph.image_modes import DEEP_MODES, MODES, has_alpha, in_plain_mode, stored_form
from nbgraph.invocations.plain_numbers import with_plain_numbers
from nbgraph.services.images.images_common import ImageCategory, ImageQuery, ImageRecord
from nbgraph.services.service import Service
from nbgraph.services.shared.callbacks import Callbacks
from nbgraph.services.shared.interrupts import defer_interrupt
from nbgraph.services.shared.names import Unless, checked_name, new_name, text_name
from nbgraph.services.shared.pagination import Page, page_bounds

THUMBNAIL_SIZE = 256
REMEDIES = {"La": "LA", "PA": "RGBA", "RGBa": "RGBA"}
"""Modes that are not kept -> those that keep all of theirs, where that is not RGB."""


class ImageServiceBase(Service):
    """Keeps pictures. Names are generated; a picture once saved never changes; who gets one gets a copy."""

    def __init__(self) -> None:
        self._changed: Callbacks[ImageRecord] = Callbacks()
        self._deleted: Callbacks[str] = Callbacks()

    def on_changed(self, callback: Callable[[ImageRecord], None]) -> Callable[[], None]:
        """Call `callback(record)` when a picture was saved or its record changed; returns what ends it."""
        return self._changed.add(callback)

    def on_deleted(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call `callback(image_name)` after a picture is gone; returns what ends it."""
        return self._deleted.add(callback)

    def save(
        self,
        image: Image.Image,
        *,
        category: ImageCategory = "general",
        is_intermediate: bool = False,
        session_id: str = "",
        node_id: str = "",
        metadata: dict[str, Any] | None = None,
    ) -> ImageRecord:
        """Keep a picture; the record has its new name. On return it is kept for good.

        Of `image.info` the transparency and the ICC profile are kept, and nothing else: metadata are given as such.
        Whole numbers of 16 and 32 bits (I, I;16B) are kept as I;16. `ImageModeError` for modes that no PNG file holds,
        such as CMYK, for numbers that 16 bits do not hold, and for a transparency that a mode cannot have.
        """
        if image.mode not in (*MODES, *DEEP_MODES):
            raise mode_error(image.mode)
        try:
            image = stored_form(image)
        except ValueError as error:
            raise ImageModeError(f"this picture of mode {image.mode!r} cannot be kept: {error}") from None
        record = ImageRecord(
            image_name=new_name(),
            width=image.width,
            height=image.height,
            mode=image.mode,
            category=category,
            is_intermediate=is_intermediate,
            starred=False,
            session_id=session_id,
            node_id=node_id,
            created=datetime.now(UTC),
            content=picture_content(image),
            bytes=image.width * image.height * len(image.getbands()),
            metadata=with_plain_numbers(dict(metadata or {})),
        )
        record = self._put(record, image)
        self._changed(record)
        return record

    def restore(self, record: ImageRecord, image: Image.Image) -> bool:
        """Keep a picture of another studio under the name and with the record it had there; False if it is here.

        `ArchiveError` if it is not what the record says, or if there is another picture of that name.
        """
        known = self._get(checked_name(record.image_name))
        if known is not None and known.content == record.content:
            return False
        if known is not None or picture_content(image) != record.content:
            reason = "is another one here" if known is not None else "is not what was saved"
            raise ArchiveError(f"the picture {record.image_name} {reason}; export it again from the studio it is in")
        self._changed(self._put(record, image))
        return True

    def get(self, image_name: str) -> Image.Image:
        """The picture, a copy of the caller's own; `NotFoundError` if there is none."""
        record = self.record(image_name)
        return self._load(record)

    def record(self, image_name: str) -> ImageRecord:
        """What is known of a picture; `NotFoundError` if there is none."""
        record = self._get(checked_name(image_name))
        if record is None:
            raise NotFoundError(f"there is no image {image_name!r}; it was deleted, or belongs to another studio")
        return record

    def exists(self, image_name: str) -> bool:
        """Whether a picture of that name is kept."""
        return self._get(text_name(image_name)) is not None

    def is_intact(self, image_name: str) -> bool:
        """Whether a picture of that name is kept, and what is kept is what was saved."""
        return self._get(image_name) is not None

    def thumbnail(self, image_name: str) -> bytes:
        """The picture as WebP, at most 256 pixels wide and high; `NotFoundError` if there is none."""
        return self._thumbnail(self.record(image_name))

    def path(self, image_name: str) -> Path | None:
        """The file of a picture, to be read only, or None where pictures are not files; `NotFoundError`."""
        return self._path(self.record(image_name))

    def content(self, image_name: str) -> str:
        """The hash of everything a viewer or a node can see: what a cache key goes by, whatever the name.

        Of a picture in a folder of an earlier format it is made when it is first asked for; `ResourceFileError` if its
        file cannot be read then.
        """
        record = self.record(image_name)
        if not record.content:
            record = replace(record, content=picture_content(self._load(record)))
            self._change(record)
        return record.content

    def update(
        self,
        image_name: str,
        *,
        starred: bool | None = None,
        category: ImageCategory | None = None,
        is_intermediate: bool | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> ImageRecord:
        """Change what a record says; None leaves as it is."""
        given = {"starred": starred, "category": category, "is_intermediate": is_intermediate, "metadata": metadata}
        record = replace(self.record(image_name), **{key: value for key, value in given.items() if value is not None})
        self._change(record)
        self._changed(record)
        return record

    def list(self, query: ImageQuery | None = None, page: int = 0, per_page: int = 50) -> Page[ImageRecord]:
        """Records, the newest first."""
        offset, limit = page_bounds(page, per_page)
        items, total = self._rows(query or ImageQuery(), offset, limit)
        return Page(list(items), page, per_page, total)

    def records(self, query: ImageQuery) -> Sequence[ImageRecord]:
        """All records that match, the newest first."""
        return list(self._rows(query, 0, None)[0])

    def delete(self, *image_names: str, unless: Unless | None = None) -> int:
        """Delete pictures; cache entries that name them go too. Returns how many there were; others are no error.

        `unless` is asked in the step that deletes, where kernels that share a folder take turns; nothing goes if it
        gives True.
        """
        names = [checked_name(name) for name in image_names]
        with defer_interrupt():
            gone = self._drop(names, unless)
            for name in gone:
                self._deleted(name)
        return len(gone)

    def delete_intermediates(self) -> int:
        """Delete the pictures marked as intermediate that no session needs; returns how many.

        While a session runs, here or in another kernel, they go after it. Those with a star stay.
        """
        return self.services.retention.delete_intermediates()

    @abstractmethod
    def _put(self, record: ImageRecord, image: Image.Image) -> ImageRecord:
        """Store a new picture and its record, the picture first; returns the record as stored.

        The picture is in its stored form, an object that nobody else has.
        """

    @abstractmethod
    def _load(self, record: ImageRecord) -> Image.Image:
        """The pixels of a record that exists, as a new object."""

    @abstractmethod
    def _get(self, image_name: str) -> ImageRecord | None:
        """The record, or None."""

    @abstractmethod
    def _change(self, record: ImageRecord) -> None:
        """Store a record in place of the one of the same name."""

    @abstractmethod
    def _drop(self, image_names: Sequence[str], unless: Unless | None = None) -> Sequence[str]:
        """Delete pictures, the records first; returns the names of those there were. None if `unless` gives True."""

    @abstractmethod
    def _rows(self, query: ImageQuery, offset: int, limit: int | None) -> tuple[Iterable[ImageRecord], int]:
        """Records that match, newest first, and how many match in all."""

    def _path(self, record: ImageRecord) -> Path | None:
        """The file of a record that exists, or None."""
        return None

    def _thumbnail(self, record: ImageRecord) -> bytes:
        """The thumbnail of a record that exists."""
        return thumbnail_of(self._load(record))


def mode_error(mode: str) -> ImageModeError:
    """What says that pictures of a mode cannot be kept, and how to make one that can be."""
    scaled = "scale its values from 0..1 with .point(lambda value: value * 255 + 0.5).convert('L')"
    remedy = scaled if mode == "F" else f"use .convert({REMEDIES.get(mode, 'RGB')!r})"
    return ImageModeError(f"a picture of mode {mode!r} cannot be kept; {remedy} (possible: {', '.join(MODES)})")


def thumbnail_of(image: Image.Image, size: int = THUMBNAIL_SIZE) -> bytes:
    """A picture as WebP bytes, at most `size` pixels wide and high."""
    plain = in_plain_mode(image)
    small = plain.convert("RGBA" if has_alpha(plain) else "RGB")
    small.thumbnail((size, size))
    file = BytesIO()
    small.save(file, "WEBP", quality=80)
    return file.getvalue()


def picture_content(image: Image.Image) -> str:
    """Return the hash of a picture in its stored form, 32 hexadecimal digits.

    It covers mode, size, pixels, palette, transparency and ICC profile.
    """
    digest = blake2b(f"{image.mode} {image.width} {image.height} ".encode(), digest_size=16)
    if image.mode == "P":
        palette = image.getpalette() or []
        digest.update(f"palette {len(palette)} ".encode() + bytes(palette))
    digest.update(image.tobytes())
    for name in sorted(image.info):
        digest.update(f" {name} {image.info[name]!r}".encode())
    return digest.hexdigest()
