"""The pictures of a studio, as a person sees them: `studio.images`."""

import json
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from PIL import Image

from nbgraph.errors import ImageModeError, NbgraphError, suggest
from nbgraph.frames import images_frame
from nbgraph.html import Html, pictures_html
from nbgraph.image_modes import in_plain_mode
from nbgraph.invocations.fields import ImageCategory, ImageField
from nbgraph.invocations.image_files import read_picture
from nbgraph.invocations.pictures import size_problem
from nbgraph.invocations.plain_numbers import with_plain_numbers
from nbgraph.recipes.chunks import texts_brought
from nbgraph.recipes.saved_pictures import BROUGHT, picture_of_record
from nbgraph.services.images.images_base import mode_error, thumbnail_of
from nbgraph.services.images.images_common import ImageQuery
from nbgraph.services.images.kept_pictures import picture_or_why
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.views.base import Shown, widget_class
from nbgraph.views.comparison import Comparison, label_of

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs] - its types are in its code

STATIC_PICTURES, STATIC_SIZE = 12, 128


class ImagesView(Shown):
    """The pictures of a studio: `.add(picture)`, `.get(name)`, `.star(name)`, `.search(text)`, `.delete(name)`.

    `.compare(a, b)` puts two beside each other. In a notebook it shows itself as a gallery.
    """

    def __init__(
        self,
        services: InvocationServices,
        open_graph: Callable[[Graph], Any] | None = None,
        submit: Callable[[Graph], object] | None = None,
    ) -> None:
        self._services, self._open_graph, self._submit = services, open_graph, submit
        self._images = services.images

    @property
    def frame(self) -> "pd.DataFrame":
        """One row for each picture, the newest first."""
        return self._frame_of(ImageQuery())

    @property
    def count(self) -> int:
        """The number of pictures."""
        return self._images.list(per_page=1).total

    def get(self, image_name: str) -> Image.Image:
        """The picture of that name, a PIL image."""
        return picture_of_record(self._images.get(image_name), self._services, self._images.record(image_name))

    def add(
        self,
        picture: Image.Image | str | PathLike[str],
        *,
        category: ImageCategory = "user",
        metadata: dict[str, Any] | None = None,
    ) -> ImageField:
        """Keep a PIL image, or the picture in a PNG, JPEG or WebP file, and give what nodes take: `image=added`.

        Modes other than L, LA, RGB and RGBA are converted, but for F; files are turned upright. `metadata` fits JSON,
        and is searched by `search`; texts in the picture that say how it was made are kept with it. `NbgraphError`
        says what is wrong with a file, a size, a mode, a category or metadata.
        """
        image = open_picture(picture)
        check_category(category)
        metadata = with_plain_numbers(metadata)
        check_metadata(metadata)
        if brought := texts_brought(picture):
            metadata = {**(metadata or {}), BROUGHT: brought}
        return ImageField(image_name=self._images.save(image, category=category, metadata=metadata).image_name)

    def star(self, *image_names: str, starred: bool = True) -> None:
        """Star pictures, or with `starred=False` take their stars; `NotFoundError` if there is no such picture."""
        for name in image_names:
            self._images.record(name)
        for name in image_names:
            self._images.update(name, starred=starred)

    def delete(self, *image_names: str) -> int:
        """Delete pictures; cached results that name them go too. Returns how many there were."""
        return self._images.delete(*image_names)

    def delete_intermediates(self) -> int:
        """Delete every picture that is marked as intermediate."""
        return self._images.delete_intermediates()

    def search(self, text: str = "", *, starred: bool | None = None) -> "pd.DataFrame":
        """Pictures with a text in a prompt, value or model of their graph, or in their name, node or metadata.

        Capitals do not matter; with `starred` only those with, or without, a star.
        """
        return self._frame_of(searched(self._services, text, starred=starred))

    def compare(self, first: str, second: str) -> Comparison:
        """Two pictures beside each other or under a slider, with what was set differently for them."""
        return Comparison(self._services, first, second)

    def _frame_of(self, query: ImageQuery) -> "pd.DataFrame":
        return images_frame(self._images.list(query, per_page=max(1, self.count)).items)

    def _make_widget(self) -> Any:
        remix = None
        if self._open_graph is not None and self._submit is not None:
            open_graph = self._open_graph

            def open_on_canvas(graph: Graph) -> str:
                return str(open_graph(graph).model_id)

            remix = widget_class("remix", "Remix")(self._services, open_on_canvas, self._submit)
        return widget_class("gallery", "Gallery")(self._services, remix=remix)

    def _html(self) -> Html:
        page = self._images.list(ImageQuery(is_intermediate=False), per_page=STATIC_PICTURES)
        found = [
            (label_of(record, self._services), picture_or_why(self._images, record.image_name)) for record in page.items
        ]
        pictures = [(label, one if isinstance(one, str) else thumbnail_of(one, STATIC_SIZE)) for label, one in found]
        more = page.total - len(pictures)
        return pictures_html(pictures, f"{self!r}{f', {more} more' if more else ''}")

    def __len__(self) -> int:
        return self.count

    def __repr__(self) -> str:
        starred = self._images.list(ImageQuery(starred=True), per_page=1).total
        return f"Images({self.count}{f', {starred} starred' if starred else ''})"


def searched(services: InvocationServices, text: str, **more: Any) -> ImageQuery:
    """Return the query for a text in the records of pictures, and in the values of the graphs that made them."""
    found = services.graph_execution_manager.with_value(text) if text else set[str]()
    return ImageQuery(text=text.casefold(), session_ids=frozenset(found), **more)


def open_picture(picture: Image.Image | str | PathLike[str]) -> Image.Image:
    """A PIL image, or the picture in a file, as L, LA, RGB or RGBA; `NbgraphError` if it cannot be.

    `ImageModeError` for mode F, which does not say what number is white, and for mode I beyond 16 bits.
    """
    if isinstance(picture, str | PathLike):
        return read_picture(Path(picture).expanduser())
    given = cast(object, picture)
    if not isinstance(given, Image.Image):
        kind = type(given).__name__
        raise NbgraphError(f"a {kind} is no picture; give a PIL image, as Image.fromarray makes one, or a file's path")
    if picture.mode == "F":
        raise mode_error(picture.mode)
    if not all(picture.size):
        raise NbgraphError(f"the picture has {picture.width} x {picture.height} pixels; give one that shows something")
    if problem := size_problem(*picture.size):
        raise NbgraphError(f"the picture {problem}; make it smaller")
    try:
        picture.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise NbgraphError(f"the picture cannot be read: {error}; open its file again") from None
    try:
        return in_plain_mode(picture)
    except ValueError as error:
        raise ImageModeError(f"a picture of mode {picture.mode!r} cannot be stored: {error}") from None


def check_category(category: ImageCategory) -> None:
    """`NbgraphError` for a category there is not."""
    if category not in get_args(ImageCategory):
        raise NbgraphError(f"no category {category!r}{suggest(str(category), get_args(ImageCategory))}")


def check_metadata(metadata: dict[str, Any] | None) -> None:
    """`NbgraphError` for metadata that are not a dict, or hold what JSON does not give back as it was."""
    if metadata is None:
        return
    given = cast(object, metadata)
    if not isinstance(given, dict):
        raise NbgraphError(f"metadata is a {type(given).__name__}; give a dict, such as {{'prompt': 'an apple'}}")
    for name, value in metadata.items():
        if problem := _json_problem({name: value}):
            raise NbgraphError(f"metadata {name!r} ({type(value).__name__}) {problem}")


def _json_problem(values: dict[str, Any]) -> str:
    """Return why JSON in UTF-8 does not give values back as they are, or an empty text."""
    try:
        text = json.dumps(values, allow_nan=False, ensure_ascii=False)
        text.encode()
        if json.loads(text) == values:
            return ""
    except UnicodeEncodeError as error:
        return f"holds {error.object[error.start]!r}, half of a character; give text that UTF-8 can hold"
    except (TypeError, ValueError, RecursionError):
        pass
    return "is not JSON; give texts, numbers, lists and dicts of texts"
