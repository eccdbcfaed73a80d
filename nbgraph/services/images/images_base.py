"""The image service: images by generated names, with records that can be listed, searched and changed."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import blake2b
from io import BytesIO
from pathlib import Path

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
"""Modes that cannot be stored -> the mode to convert to without loss, where that is not RGB."""


class ImageServiceBase(Service):
    """Stores images under generated names. A stored image never changes, and every caller gets a copy."""

    def __init__(self) -> None:
        self._changed: Callbacks[ImageRecord] = Callbacks()
        self._deleted: Callbacks[str] = Callbacks()

    def on_changed(self, callback: Callable[[ImageRecord], None]) -> Callable[[], None]:
        """Call `callback(record)` when an image was saved or its record changed.

        Returns
        -------
        Callable
            A function that unsubscribes.
        """
        return self._changed.add(callback)

    def on_deleted(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call `callback(image_name)` after an image was deleted.

        Returns
        -------
        Callable
            A function that unsubscribes.
        """
        return self._deleted.add(callback)

    def save(
        self,
        image: Image.Image,
        *,
        category: ImageCategory = "general",
        is_intermediate: bool = False,
        session_id: str = "",
        node_id: str = "",
        metadata: Mapping[str, object] | None = None,
    ) -> ImageRecord:
        """Store an image durably and return its record, which has its new name.

        Parameters
        ----------
        image
            Transparency and ICC profile are kept, other entries of `image.info` are not. Modes I and I;16B become I;16.
        category, is_intermediate, session_id, node_id, metadata
            Facts of the record; metadata are plain JSON values.

        Raises
        ------
        ImageModeError
            The mode has no lossless PNG form (CMYK, F), a value does not fit 16 bits, or the transparency is invalid.
        """
        # refused, not converted: dropping the values of mode F silently would lose the image
        if image.mode not in (*MODES, *DEEP_MODES):
            raise mode_error(image.mode)
        try:
            image = stored_form(image)
        except ValueError as error:
            raise ImageModeError(f"this picture of mode {image.mode!r} cannot be stored: {error}") from None
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
        """Store an image of another studio under the name and record it has there.

        Returns
        -------
        bool
            False if it is stored already.

        Raises
        ------
        ArchiveError
            The pixels are not those of the record, or another image has that name.
        """
        # the archive may be hostile; its name becomes part of a path
        known = self._get(checked_name(record.image_name))
        if known is not None and known.content == record.content:
            return False
        if known is not None or picture_content(image) != record.content:
            reason = "differs from the one stored here" if known is not None else "is not what was saved"
            raise ArchiveError(f"the picture {record.image_name} {reason}; export it again from the studio it is in")
        self._changed(self._put(record, image))
        return True

    def get(self, image_name: str) -> Image.Image:
        """Return a copy of an image.

        Raises
        ------
        NotFoundError
            No image has that name.
        ResourceFileError
            Its file is missing or damaged.
        """
        record = self.record(image_name)
        return self._load(record)

    def record(self, image_name: str) -> ImageRecord:
        """Return the record of an image: size, mode, category, content hash, metadata.

        Raises
        ------
        NotFoundError
            No image has that name.
        """
        record = self._get(checked_name(image_name))
        if record is None:
            raise NotFoundError(f"there is no image {image_name!r}; it was deleted, or belongs to another studio")
        return record

    def exists(self, image_name: str) -> bool:
        """Return whether an image has that name.

        Raises
        ------
        InvalidNameError
            The name is not a text.
        """
        return self._get(text_name(image_name)) is not None

    def is_intact(self, image_name: str) -> bool:
        """Return whether an image has that name and its file is what was saved.

        Raises
        ------
        StoreError
            The folder cannot be read.
        """
        return self._get(image_name) is not None

    def thumbnail(self, image_name: str) -> bytes:
        """Return the image as WebP bytes, at most 256 pixels wide and high.

        Raises
        ------
        NotFoundError
            No image has that name.
        """
        return self._thumbnail(self.record(image_name))

    def path(self, image_name: str) -> Path | None:
        """Return the file of an image, for reading only; None where images are not files.

        Raises
        ------
        NotFoundError
            No image has that name.
        """
        return self._path(self.record(image_name))

    def content(self, image_name: str) -> str:
        """Return the hash of everything a viewer or a node can see. Cache keys contain it in place of the name.

        Raises
        ------
        ResourceFileError
            The image is from a folder of an earlier format, whose hashes are made on demand, and its file cannot be
            read.
        """
        record = self.record(image_name)
        # hashing needs all pixels, so folders of an earlier format are not hashed when they are migrated
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
        metadata: Mapping[str, object] | None = None,
    ) -> ImageRecord:
        """Change fields of a record; None leaves a field as it is.

        Raises
        ------
        NotFoundError
            No image has that name.
        """
        facts = None if metadata is None else dict(metadata)
        given = {"starred": starred, "category": category, "is_intermediate": is_intermediate, "metadata": facts}
        record = replace(self.record(image_name), **{key: value for key, value in given.items() if value is not None})
        self._change(record)
        self._changed(record)
        return record

    def list(self, query: ImageQuery | None = None, page: int = 0, per_page: int = 50) -> Page[ImageRecord]:
        """Return a page of records, newest first.

        Parameters
        ----------
        query
            Which images; None lists all.
        page, per_page
            The number of the page, from 0, and its size.
        """
        offset, limit = page_bounds(page, per_page)
        items, total = self._rows(query or ImageQuery(), offset, limit)
        return Page(list(items), page, per_page, total)

    def records(self, query: ImageQuery) -> Sequence[ImageRecord]:
        """Return all matching records, newest first.

        Returns
        -------
        Sequence of ImageRecord
            One that cannot be read is left out.
        """
        return list(self._rows(query, 0, None)[0])

    def delete(self, *image_names: str, unless: Unless | None = None) -> int:
        """Delete images; cache entries that name them are dropped too.

        Parameters
        ----------
        image_names
            Names that no image has are ignored.
        unless
            Called within the deleting transaction; if it returns True, nothing is deleted.

        Returns
        -------
        int
            The number of images deleted.
        """
        names = [checked_name(name) for name in image_names]
        # an interrupt in between would leave cache entries that name deleted images
        with defer_interrupt():
            gone = self._drop(names, unless)
            for name in gone:
                self._deleted(name)
        return len(gone)

    def delete_intermediates(self) -> int:
        """Delete the intermediate images that no session needs, and return how many.

        Images that a running session needs, here or in another kernel, are deleted after it; starred ones are kept.
        """
        return self.services.retention.delete_intermediates()

    @abstractmethod
    def _put(self, record: ImageRecord, image: Image.Image) -> ImageRecord:
        """Store the pixels, then the record, and return the record as stored. The image belongs to the callee."""

    @abstractmethod
    def _load(self, record: ImageRecord) -> Image.Image:
        """Return the pixels of an existing record, as a new object."""

    @abstractmethod
    def _get(self, image_name: str) -> ImageRecord | None:
        """Return the record, or None."""

    @abstractmethod
    def _change(self, record: ImageRecord) -> None:
        """Replace the record of the same name."""

    @abstractmethod
    def _drop(self, image_names: Sequence[str], unless: Unless | None = None) -> Sequence[str]:
        """Delete records, then pixels; return the names that existed. Deletes nothing if `unless()` is True."""

    @abstractmethod
    def _rows(self, query: ImageQuery, offset: int, limit: int | None) -> tuple[Iterable[ImageRecord], int]:
        """Return matching records, newest first, and the number of all that match."""

    def _path(self, record: ImageRecord) -> Path | None:
        """Return the file of an existing record, or None."""
        return None

    def _thumbnail(self, record: ImageRecord) -> bytes:
        """Return the thumbnail of an existing record."""
        return thumbnail_of(self._load(record))


def mode_error(mode: str) -> ImageModeError:
    """Return the error for a mode that cannot be stored, with the conversion that can."""
    scaled = "scale its values from 0..1 with .point(lambda value: value * 255 + 0.5).convert('L')"
    remedy = scaled if mode == "F" else f"use .convert({REMEDIES.get(mode, 'RGB')!r})"
    return ImageModeError(f"a picture of mode {mode!r} cannot be stored; {remedy} (possible: {', '.join(MODES)})")


def thumbnail_of(image: Image.Image, size: int = THUMBNAIL_SIZE) -> bytes:
    """Return an image as WebP bytes, at most `size` pixels wide and high."""
    plain = in_plain_mode(image)
    # WebP has no grey and no palette modes
    small = plain.convert("RGBA" if has_alpha(plain) else "RGB")
    small.thumbnail((size, size))
    file = BytesIO()
    small.save(file, "WEBP", quality=80)
    return file.getvalue()


def picture_content(image: Image.Image) -> str:
    """Return the hash of an image in its stored form, 32 hexadecimal digits.

    It covers mode, size, pixels, palette, transparency and ICC profile.
    """
    digest = blake2b(f"{image.mode} {image.width} {image.height} ".encode(), digest_size=16)
    # the pixels are indices, which mean nothing without the palette
    if image.mode == "P":
        palette = image.getpalette() or []
        digest.update(f"palette {len(palette)} ".encode() + bytes(palette))
    digest.update(image.tobytes())
    for name in sorted(image.info):
        digest.update(f" {name} {image.info[name]!r}".encode())
    return digest.hexdigest()
