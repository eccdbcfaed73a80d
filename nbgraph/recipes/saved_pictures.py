"""Pictures that carry their recipe into the files they are saved to."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from nbgraph.errors import NbgraphError
from nbgraph.recipes.carriers import FORMATS, save_options
from nbgraph.recipes.json_values import is_object
from nbgraph.recipes.made import Carried, carried_by
from nbgraph.recipes.upstream import Upstream
from nbgraph.services.images.images_common import ImageRecord
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.plan import Path as IterationPath

BROUGHT = "brought"
"""The key of a record's metadata under which the texts stand that a picture brought into the studio."""
Carry = Callable[[Image.Image], Carried]


class PictureWithRecipe(Image.Image):
    """A PIL image whose `save` writes its recipe into PNG, JPEG and WebP files.

    The recipe is put together when the picture is saved, so that looking at pictures costs nothing. What is made of it,
    as by `resize` or `convert`, is a plain PIL image: the recipe is not how that was made.
    """

    carry: Carry | None = None

    def save(self, fp: Any, format: str | None = None, **params: Any) -> None:
        """Save as `PIL.Image.Image.save` does, with the recipe; `pnginfo`, `exif` and `xmp` that are given hold."""
        chosen = (format or _format_of(fp)).upper()
        if self.carry is not None and chosen in FORMATS:
            params = {**save_options(self.carry(self), chosen, params), **params}
        super().save(fp, format, **params)

    def _repr_png_(self) -> bytes | None:
        """Show the picture in a cell; a notebook need not keep the recipe beside the run that made it."""
        return self.copy()._repr_png_()

    def __eq__(self, other: object) -> bool:
        """Return whether another picture has the same pixels and `info`, whatever its class."""
        return isinstance(other, Image.Image) and self.copy() == other.copy()

    __hash__ = None  # type: ignore[assignment]


def with_recipe(image: Image.Image, carry: Carry) -> PictureWithRecipe:
    """Return the picture, with what gives the recipe when it is saved."""
    picture = PictureWithRecipe()
    picture.__setstate__(_plain(image).__getstate__())
    picture.carry = carry
    return picture


def picture_of_run(
    image: Image.Image, services: InvocationServices, session: GraphExecutionState, node_id: str, path: IterationPath
) -> PictureWithRecipe:
    """Return a picture that a node of a session gave, with its recipe."""
    return with_recipe(image, lambda picture: carried_by(services, session, node_id, path, picture))


def picture_of_record(image: Image.Image, services: InvocationServices, record: ImageRecord) -> PictureWithRecipe:
    """Return a kept picture with the recipe of the run that made it, or with the texts that it brought."""
    return with_recipe(image, lambda picture: _carried_by_record(services, record, picture))


def _carried_by_record(services: InvocationServices, record: ImageRecord, image: Image.Image) -> Carried:
    brought = record.metadata.get(BROUGHT)
    if is_object(brought) and services.recipes == "all":
        return Carried(brought={name: text for name, text in brought.items() if isinstance(text, str)})
    if not record.session_id:
        return Carried()
    node_id, path = _place_of(record)
    try:
        session = services.graph_execution_manager.get(record.session_id)
        return carried_by(services, session, node_id, path, image)
    except (NbgraphError, ValueError, KeyError):
        return (
            Carried()
        )  # the run is gone, or has nodes of cells that have not run here: the picture is saved all the same


def graph_of_record(services: InvocationServices, record: ImageRecord) -> Graph:
    """Return the graph that made a kept picture, with the seeds that were drawn, and no more than it needed.

    Raises
    ------
    NbgraphError
        No run made the picture, or its run is gone or cannot be read here.
    """
    if not record.session_id:
        raise NbgraphError("no run made this picture, so there is no graph of it")
    node_id, path = _place_of(record)
    try:
        session = services.graph_execution_manager.get(record.session_id)
        return Upstream(session, node_id, path).graph()[0].copy()
    except (NbgraphError, ValueError, KeyError) as error:
        raise NbgraphError(f"the run that made this picture cannot be read: {error}") from None


def _place_of(record: ImageRecord) -> tuple[str, IterationPath]:
    """Return the node and the iteration path in the id of the prepared node that gave a picture."""
    node_id, _, rest = record.node_id.partition("[")
    return node_id, tuple(int(part) for part in rest.rstrip("]").split(",") if part.strip().isdigit())


def _plain(image: Image.Image) -> Image.Image:
    return image.copy() if isinstance(image, PictureWithRecipe) else image


def _format_of(fp: Any) -> str:
    """The format that the name of a file stands for, as Pillow has it; "" if it has no such name."""
    name = fp if isinstance(fp, str | Path) else getattr(fp, "name", "")
    suffix = Path(name).suffix.lower() if isinstance(name, str | Path) else ""
    return Image.registered_extensions().get(suffix, "")
