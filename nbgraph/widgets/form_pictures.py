"""The controls of images and masks in a form: chosen as a file, or a mask painted on the image of the form."""

from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets as widgets  # pyright: ignore[reportMissingTypeStubs] - it is not annotated

from nbgraph.errors import NbgraphError
from nbgraph.invocations.fields import ImageField
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.texts import value_text
from nbgraph.widgets.form_controls import FULL, MISSING, Control, LinkedInside, wide
from nbgraph.widgets.paint import MaskPainter
from nbgraph.widgets.pictures import MAX_UPLOAD, open_upload, thumbnail

SHOWN_SIZE = 128


class PictureControl(Control):
    """An image from a file, stored in the studio when it is chosen; a small copy is shown."""

    def __init__(self, label: str, value: Any, services: InvocationServices, guarded: Callable[..., Any]) -> None:
        self._images = services.images
        self._field = value if isinstance(value, ImageField) else None
        self._guarded = guarded
        self.upload = widgets.FileUpload(
            accept=".png,.jpg,.jpeg,.webp",
            description=f"{label}: choose …",
            layout=FULL,
        )
        self.shown: Any = widgets.Image(layout={"margin": "6px 0 0", "max_width": f"{SHOWN_SIZE}px"})
        self.upload.observe(self._chosen, "value")
        super().__init__(wide(widgets.VBox([self.upload, self.shown], layout=FULL)))
        self._show()

    @property
    def value(self) -> Any:
        return self._field or MISSING

    @value.setter
    def value(self, value: Any) -> None:
        self._field = ImageField(image_name=getattr(value, "image_name", value))
        self._show()

    def refusal(self, value: Any) -> str:
        name = getattr(value, "image_name", value)
        if not isinstance(name, str):
            return f"takes a picture of the studio, or its name, not {value_text(value)}"
        return "" if self._images.exists(name) else f"there is no picture {name!r}; studio.images.frame lists them"

    @property
    def parts(self) -> list[Any]:
        return [self.upload, self.shown, self.widget]

    def _chosen(self, change: Any) -> None:
        self._guarded(lambda: self._take(change["new"]))

    def _take(self, files: Any) -> None:
        for file in files:
            # The page says the size; `open_upload` limits the pixels.
            if file["size"] > MAX_UPLOAD:
                raise ValueError(f"the file {file['name']!r} is larger than {MAX_UPLOAD:,} bytes")
            self.value = self._images.save(open_upload(bytes(file["content"])), category="user").image_name

    def _show(self) -> None:
        field = self._field
        self.shown.layout.display = "none" if field is None else ""
        if field is not None:
            self.shown.value = thumbnail(self._images.get(field.image_name), SHOWN_SIZE)


class MaskControl(PictureControl):
    """A mask from a file, or painted on the image of `image`, the control of an image; None where the form has none."""

    image: PictureControl | None = None

    def __init__(self, label: str, value: Any, services: InvocationServices, guarded: Callable[..., Any]) -> None:
        super().__init__(label, value, services, guarded)
        self._services, self._show_errors = services, guarded
        self._painter: MaskPainter | None = None
        self.button: Any = widgets.Button(
            description="Paint …", icon="paint-brush", tooltip="paint the mask on the image", layout=FULL
        )
        self.button.on_click(self._clicked)
        self._row: Any = widgets.HBox([self.upload, self.button])
        self._row.add_class("nbgraph-beside")
        self._place: Any = widgets.VBox([], layout={"width": "100%"})
        self.widget.children = [self._row, self.shown, self._place]

    def paint(self) -> MaskPainter:
        """Show the painter in the form, and return it.

        Raises
        ------
        NbgraphError
            No image is chosen, or it was deleted.
        """
        image = MISSING if self.image is None else self.image.value
        if image is MISSING:
            raise NbgraphError("choose the image first; the mask is painted on it")
        before = self._field
        fits = before is not None and self._images.exists(before.image_name) and self._size(before) == self._size(image)
        painter = MaskPainter(self._services, image, before if fits else None, use=self._take_painted)
        self._close_painter()
        self._painter = painter
        self._place.children = [painter]
        return painter

    @property
    def parts(self) -> list[Any]:
        painter = [] if self._painter is None else [self._painter]
        return [self.upload, self.button, self.shown, *painter, self._row, self._place, self.widget]

    def _clicked(self, _: Any) -> None:
        self._show_errors(self.paint)

    def _size(self, field: Any) -> tuple[int, int]:
        record = self._images.record(field.image_name)
        return record.width, record.height

    def _take_painted(self, painter: MaskPainter) -> None:
        self.value = painter.mask
        if self.image is not None and self.image.value != painter.image:
            self.image.value = painter.image
        # Closed when the next one is opened: this one still has to answer its page.
        self._place.children = []

    def _close_painter(self) -> None:
        if self._painter is not None:
            self._painter.close()
            self._painter = None


def join_images(controls: Mapping[str, Any]) -> None:
    """Let the masks of a form be painted on its image: the one that is called so, else the first that is no mask."""
    images = {name: one for name, one in controls.items() if type(one) is PictureControl}
    image = images.get("image", next(iter(images.values()), None))
    for control in controls.values():
        inner = control.control if isinstance(control, LinkedInside) else control
        if isinstance(inner, MaskControl):
            inner.image = image


def image_control(
    shown: Mapping[str, Any], label: str, value: Any, services: InvocationServices, guarded: Callable[..., Any]
) -> PictureControl:
    """Return the control of an image, or of a mask if the name of the input or its label says so.

    Parameters
    ----------
    shown
        The input as `schema.node_type` describes it.
    label
        The text beside the control.
    value
        The first value: an image of the studio, or None.
    services
        The services, for stored images.
    guarded
        Performs an action of a control and shows its error.
    """
    is_mask = "mask" in f"{shown['name']} {label}".lower()
    return (MaskControl if is_mask else PictureControl)(label, value, services, guarded)
