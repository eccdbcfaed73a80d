"""Results of a run: outputs of nodes, tensors by name, lists of images. They refer to a studio and hold no tensor."""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from PIL.Image import Image

from nbgraph.errors import NbgraphError, NotFoundError, ResourceFileError, suggest
from nbgraph.html import Html, pictures_html
from nbgraph.invocations.base import BaseInvocationOutput
from nbgraph.invocations.fields import ImageField, ResourceField
from nbgraph.recipes.saved_pictures import picture_of_run
from nbgraph.services.images.images_base import thumbnail_of
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.shared.defensive_copy import defensive_copy

SHOWN = 24


class NodeResult:
    """The output of one prepared node: fields as attributes, images as PIL images, tensors as a `TensorHandle`."""

    if TYPE_CHECKING:
        image: Image
        """The image of a node that makes one; a checker cannot know which outputs a node has."""

    def __init__(
        self,
        output: BaseInvocationOutput,
        services: InvocationServices,
        session: Any = None,
        place: tuple[str, tuple[int, ...]] = ("", ()),
    ) -> None:
        self._output, self._services, self._place = output, services, place
        self._session = session  # as long as it is held, so is what the output names

    def __getattr__(self, name: str) -> Any:
        values = self._output.__dict__
        if name in type(self._output).model_fields or name in values:
            try:
                return self._open(getattr(self._output, name))
            except RecursionError:
                text = f"{name!r} of this result is a list that contains itself, or is nested too deep to be read"
                raise NbgraphError(f"{text}; let the node return lists that do not contain themselves") from None
        for value in values.values():
            if isinstance(value, ResourceField) and name in type(value).model_fields:
                return getattr(value, name)
        raise AttributeError(f"this result has no {name!r}{suggest(name, values)}")

    def _open(self, value: Any) -> Any:
        if isinstance(value, ImageField):
            image, session = self._services.images.get(value.image_name), self._session
            return image if session is None else picture_of_run(image, self._services, session, *self._place)
        if isinstance(value, ResourceField):
            return TensorHandle(value.resource_name, self._services, self._session)
        if isinstance(value, list):
            return [self._open(item) for item in cast("list[Any]", value)]
        return defensive_copy(value)

    def __dir__(self) -> list[str]:
        return [*self._output.__dict__]

    def __repr__(self) -> str:
        return repr(self._output)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        pictures = [value for value in self._output.__dict__.values() if isinstance(value, ImageField)]
        bundle: dict[str, Any] = {"text/plain": repr(self)}
        if len(pictures) == 1:
            try:
                bundle["image/png"] = self._open(pictures[0])._repr_png_()
            except (NotFoundError, ResourceFileError) as error:
                bundle["text/plain"] += f"\n{error}"
        return bundle


class TensorHandle:
    """Tensors kept by the studio, referred to by name; `tensor()` loads them."""

    def __init__(self, name: str, services: InvocationServices, session: Any = None) -> None:
        self.name, self._services = name, services
        self._session = session  # as long as it is held, so are the tensors

    def tensor(self) -> Any:
        """Return the torch tensor: latents of shape (batch, channels, height, width); of a prompt, its embeddings."""
        tensors, _ = self._services.latents.get(self.name)
        return tensors.get("latents", next(iter(tensors.values())))

    def tensors(self) -> dict[str, Any]:
        """Return all tensors by name."""
        return self._services.latents.get(self.name)[0]

    @property
    def metadata(self) -> dict[str, Any]:
        """What is stored beside the tensors: size in pixels, seeds, model family."""
        return self._services.latents.record(self.name).metadata

    def __repr__(self) -> str:
        return f"TensorHandle({self.name})"


class Pictures(list[Image]):
    """The images of a run, in order; a cell shows the first 24 as thumbnails.

    Parameters
    ----------
    found
        Images, or a word such as "missing" for an image that could not be read. Those are counted in the caption and
        are not items of the list.
    """

    def __init__(self, found: Iterable[Image | str] = ()) -> None:
        found = list(found)
        super().__init__(one for one in found if isinstance(one, Image))
        self._lacking = Counter(one for one in found if isinstance(one, str))

    def _repr_html_(self) -> Html:
        shown = [
            (f"[{number}] {one.width} x {one.height}", thumbnail_of(one)) for number, one in enumerate(self[:SHOWN])
        ]
        more = f", {len(self) - SHOWN} more" if len(self) > SHOWN else ""
        lacking = "".join(f", {count} {why}" for why, count in self._lacking.items())
        return pictures_html(shown, f"{len(self)} picture{'' if len(self) == 1 else 's'}{more}{lacking}")
