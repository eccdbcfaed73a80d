"""The control of a mask in a form: chosen as a file like any image, or painted on the image of the form."""

from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets as widgets  # pyright: ignore[reportMissingTypeStubs] - it is not annotated

from nbgraph.errors import NbgraphError
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.widgets.form_controls import FULL, MISSING, LinkedInside, PictureControl
from nbgraph.widgets.paint import MaskPainter


def is_mask(shown: Mapping[str, Any], label: str) -> bool:
    """Return whether an input takes a mask, by its name and its label in the form."""
    return shown["control"] == "image" and "mask" in f"{shown['name']} {label}".lower()


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
