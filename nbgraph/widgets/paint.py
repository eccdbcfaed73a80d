"""The paint widget: a mask is painted on an image by brush, and kept in the studio as an image of its own."""

from collections.abc import Callable
from io import BytesIO
from threading import RLock
from typing import Annotated, Any, Literal, cast

import traitlets
from PIL import Image
from pydantic import Field, TypeAdapter

from nbgraph.errors import NbgraphError
from nbgraph.html import element, image, panel
from nbgraph.image_modes import as_mask, in_plain_mode
from nbgraph.invocations.fields import ImageField
from nbgraph.notebook import is_in_notebook, put_out
from nbgraph.services.images.images_common import ImageQuery, ImageRecord
from nbgraph.services.images.kept_pictures import picture_or_why
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.widgets.editor_messages import PaintRequest
from nbgraph.widgets.painted import (
    MASK_METADATA,
    Frame,
    Pads,
    check_mask_size,
    extended,
    mask_of,
    overlaid,
    stored_image,
)
from nbgraph.widgets.pictures import MAX_UPLOAD, open_upload, png
from nbgraph.widgets.rpc import Answer, Request, RpcWidget
from nbgraph.widgets.static_fallback import StaticFallback

STATIC_SIZE = 384
Sides = Annotated[list[Annotated[int, Field(ge=0, le=32_768)]], Field(min_length=4, max_length=4)]


class Ready(Request):
    """A page shows the widget and needs the image and the mask."""

    type: Literal["ready"]


class EarlierMask(Request):
    """Continue with the mask that was painted on this image before."""

    type: Literal["earlier"]


class SaveMask(Request):
    """Store the mask in the first buffer; `use` keeps it for good. `pads` are left, top, right and bottom.

    `page` tells the pages of a widget apart.
    """

    type: Literal["save", "use"]
    pads: Sides = [0, 0, 0, 0]
    page: int = Field(0, ge=0, le=2**53)


class MaskPainter(RpcWidget):
    """An image on which a mask is painted: white is painted anew, black is kept, as nodes take masks.

    `painter.mask` is the mask as an image of the studio, for the inputs of nodes, and `painter.image` the image that it
    belongs to. What is painted is stored a moment after each stroke. A mask that was taken, by `painter.mask` or by the
    button of the widget, is never changed: painting on makes a new one.

    Parameters
    ----------
    services
        The services, whose images hold image and mask.
    given
        The image: one of the studio (a field, a result or a name), a PIL image, or the path of a file.
    mask
        A mask to begin with, of the size of the image.
    use
        Called with the painter after a person pressed "Use mask"; None where the mask is only kept.
    extends
        Whether the frame can be extended.

    Raises
    ------
    NotFoundError
        The image or the mask was deleted.
    NbgraphError
        There is no image, it cannot be read, it is too large, or the mask is of another size.
    """

    _widget = traitlets.Unicode("paint").tag(sync=True)
    _use = traitlets.Unicode().tag(sync=True)
    _extends = traitlets.Bool(True).tag(sync=True)
    _requests = TypeAdapter(Annotated[Ready | EarlierMask | SaveMask, Field(discriminator="type")])

    def __init__(
        self,
        services: InvocationServices,
        given: Any,
        mask: Any = None,
        *,
        use: "Callable[[MaskPainter], None] | None" = None,
        extends: bool = True,
    ) -> None:
        self._images = services.images
        self._lock = RLock()
        self._on_use = use
        self._original = self._images.record(stored_image(self._images, given).image_name)
        self._size = self._original.width, self._original.height
        self._content = self._images.content(self._original.image_name)
        self._pads, self._extended = Pads(), ""
        self._mask, self._is_draft = "", False
        if mask is not None:
            painted, self._mask = mask_of(self._images, mask, self._size)
            self._mask = self._mask or self._store(painted, is_draft=False).image_name
        super().__init__(_use="Use mask" if use is not None else "", _extends=extends)
        self._static = StaticFallback(self._id, self._static_bundle)
        self._endings = [self._static.close]

    @property
    def image(self) -> ImageField:
        """The image that the mask belongs to; after its frame was extended, the extended image.

        Raises
        ------
        NotFoundError
            The image was deleted.
        """
        with self._lock:
            name = self._original.image_name
            if any(self._pads):
                if not self._extended or not self._images.exists(self._extended):
                    made = extended(self._images.get(name), self._pads)
                    self._extended = self._images.save(made, category="user").image_name
                name = self._extended
            return ImageField(image_name=self._images.record(name).image_name)

    @property
    def mask(self) -> ImageField:
        """The mask as it was stored last, for inputs of nodes. White is painted anew, black is kept.

        Raises
        ------
        NotFoundError
            The mask was deleted.
        NbgraphError
            Nothing has been painted.
        """
        with self._lock:
            if not self._mask:
                raise NbgraphError(
                    "no mask has been painted; paint in the widget, or give one: paint(image, mask=mask)"
                )
            if self._images.get(self._mask).getbbox() is None:
                raise NbgraphError("the mask is black everywhere, so nothing would be painted; paint some of it white")
            if self._is_draft:
                self._images.update(self._mask, is_intermediate=False)
                self._is_draft = False
            return ImageField(image_name=self._mask)

    @property
    def frame(self) -> Frame:
        """The frame about the image, in its pixels: the inputs `x`, `y`, `width`, `height` of the graph `outpaint`."""
        return self._pads.frame(self._size)

    def __repr__(self) -> str:
        mask = f"mask {self._mask[:8]}" if self._mask else "nothing painted"
        return f"MaskPainter({self._size[0]} x {self._size[1]}, {mask})"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        data, metadata = self.page_bundle()
        return {**data, **self._static_bundle()}, metadata

    def _ipython_display_(self) -> None:
        if not is_in_notebook():
            raise NotImplementedError
        view, metadata = self.page_bundle()
        put_out({**view, "text/plain": repr(self)}, metadata)
        self._static.show()

    def _answer(self, request: Any, buffers: list[Any]) -> Answer:
        if isinstance(request, Ready):
            return self._everything()
        if isinstance(request, EarlierMask):
            return self._take_earlier()
        with self._lock:
            self._save(request, buffers)
            if request.type == "use":
                # Both raise what is wrong with them, and the page shows it.
                mask, picture = self.mask.image_name, self.image.image_name
                if self._on_use is not None:
                    self._on_use(self)
                return {"type": "used", "mask": mask, "image": picture}, []
            return {"type": "saved", "mask": self._mask}, []

    def _everything(self) -> Answer:
        with self._lock:
            picture = in_plain_mode(self._images.get(self._original.image_name))
            mask = picture_or_why(self._images, self._mask) if self._mask else ""
            earlier = None if self._mask else self._earlier()
            content = {
                "type": "paint",
                "width": self._size[0],
                "height": self._size[1],
                "pads": [*self._pads],
                "content": self._content,
                "mask": self._mask,
                "problem": f"the mask was {mask}; paint a new one" if self._mask and isinstance(mask, str) else "",
                "earlier": None if earlier is None else earlier.created.timestamp(),
            }
            return content, [png(picture), *([] if isinstance(mask, str) else [png(mask)])]

    def _earlier(self) -> ImageRecord | None:
        """Return the newest mask that another painter, of this kernel or an earlier one, stored for this image."""
        query = ImageQuery(category="mask", text=self._content)
        # The search finds the text anywhere in the metadata, those of masks from other programs included.
        found = (
            record
            for record in self._images.list(query, per_page=16).items
            if _facts(record).get("content") == self._content and self._is_painted(record)
        )
        return next(found, None)

    def _is_painted(self, record: ImageRecord) -> bool:
        mask = picture_or_why(self._images, record.image_name)
        return not isinstance(mask, str) and mask.getbbox() is not None

    def _take_earlier(self) -> Answer:
        with self._lock:
            record = self._earlier()
            if record is None:
                raise NbgraphError("the mask that was painted before was deleted; paint a new one")
            pads = Pads(*_facts(record)["pads"])
            frame = pads.frame(self._size)
            check_mask_size((record.width, record.height), (frame.width, frame.height))
            mask = self._images.get(record.image_name)
            self._pads, self._extended = pads, ""
            # The draft of another painter stays that one's: it deletes it when it stores its next.
            is_draft = record.is_intermediate
            self._mask = self._store(mask, is_draft=True).image_name if is_draft else record.image_name
            self._is_draft = is_draft
            return {"type": "mask", "mask": self._mask, "pads": [*pads]}, [png(mask)]

    def _save(self, request: SaveMask, buffers: list[Any]) -> None:
        if len(buffers) != 1:
            raise ValueError(f"a mask comes in one buffer, and {len(buffers)} came")
        data = bytes(buffers[0][: MAX_UPLOAD + 1])
        if len(data) > MAX_UPLOAD:
            raise ValueError(f"the mask is larger than {MAX_UPLOAD:,} bytes")
        pads = Pads(*request.pads)
        frame = pads.frame(self._size)
        mask = as_mask(open_upload(data))
        check_mask_size(mask.size, (frame.width, frame.height))
        before, was_draft = self._mask, self._is_draft
        if pads != self._pads:
            self._pads, self._extended = pads, ""
        self._mask, self._is_draft = self._store(mask, is_draft=True).image_name, True
        if was_draft:
            self._drop_draft(before)
        self._static.changed()
        # Other pages of this widget show it; the one that sent it has it already.
        self._post({"type": "changed", "from": request.page})

    def _store(self, mask: Image.Image, *, is_draft: bool) -> ImageRecord:
        facts = {"content": self._content, "pads": [*self._pads]}
        return self._images.save(mask, category="mask", is_intermediate=is_draft, metadata={MASK_METADATA: facts})

    def _drop_draft(self, name: str) -> None:
        # A person may have given it a star or made it a result meanwhile; then it is theirs.
        if self._images.exists(name):
            record = self._images.record(name)
            if record.is_intermediate and not record.starred:
                self._images.delete(name)

    def _static_bundle(self) -> dict[str, str]:
        with self._lock:
            picture = picture_or_why(self._images, self._original.image_name)
            mask = picture_or_why(self._images, self._mask) if self._mask else ""
            pads = self._pads
        if isinstance(picture, str):
            shown = element("p", f"the image was {picture}")
        else:
            target = BytesIO()
            drawn = overlaid(picture, None if isinstance(mask, str) else mask, pads, STATIC_SIZE)
            drawn.save(target, "WEBP", quality=82)
            shown = image(target.getvalue(), "the image with its mask in red", style="border-radius:6px;max-width:100%")
        note = "The mask is red: red is painted anew, the rest is kept." if self._mask else "Nothing is painted yet."
        return {"text/plain": repr(self), "text/html": panel("Mask", element("div", shown), element("div", note))}


def painter_on(services: InvocationServices, request: PaintRequest, before: MaskPainter | None) -> MaskPainter:
    """Return the painter that a canvas requested; the one it had before is closed.

    A mask that was deleted, or that is of another size than the image, is not begun with.
    """
    if before is not None:
        before.close()
    mask, name = None, request.mask
    if name is not None and services.images.exists(name):
        record, image = services.images.record(name), services.images.record(request.name)
        mask = name if (record.width, record.height) == (image.width, image.height) else None
    return MaskPainter(services, ImageField(image_name=request.name), mask, use=lambda _: None, extends=request.extends)


def _facts(record: ImageRecord) -> dict[str, Any]:
    found: Any = record.metadata.get(MASK_METADATA)
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}
