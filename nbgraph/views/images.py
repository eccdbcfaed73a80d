"""The view of the images of a studio: `studio.images`."""

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
from nbgraph.views.base import Shown, widget_class
from nbgraph.views.comparison import Comparison, label_of

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs] - its types are in its code

STATIC_PICTURES, STATIC_SIZE = 12, 128


class ImagesView(Shown):
    """The images of a studio: `.add(picture)`, `.get(name)`, `.star(name)`, `.search(text)`, `.delete(name)`.

    `.compare(a, b)` shows two side by side. In a notebook the view is a gallery.
    """

    def __init__(self, services: InvocationServices, remix: Callable[[], Any] | None = None) -> None:
        self._services, self._remix = services, remix
        self._images = services.images

    @property
    def frame(self) -> "pd.DataFrame":
        """One row per image, the newest first."""
        return self._frame_of(ImageQuery())

    @property
    def count(self) -> int:
        """The number of images."""
        return self._images.list(per_page=1).total

    def get(self, image_name: str) -> Image.Image:
        """Return the image of that name as a PIL image, with its recipe. `NotFoundError` if there is none."""
        return picture_of_record(self._images.get(image_name), self._services, self._images.record(image_name))

    def add(
        self,
        picture: Image.Image | str | PathLike[str],
        *,
        category: ImageCategory = "user",
        metadata: dict[str, Any] | None = None,
    ) -> ImageField:
        """Store an image and return a reference to it that nodes accept: `image=added`.

        Parameters
        ----------
        picture
            A PIL image, or the path of a PNG, JPEG or WebP file, which is turned upright. Modes other than L, LA, RGB
            and RGBA are converted; texts in it that say how it was made are stored with it.
        category
            What the image is for.
        metadata
            A dict that JSON can hold; `search` finds its texts.

        Raises
        ------
        NbgraphError
            The file, size, mode, category or metadata is wrong; the message says how.
        """
        image = open_picture(picture)
        check_category(category)
        metadata = with_plain_numbers(metadata)
        check_metadata(metadata)
        # Kept apart from the metadata of the person, who may have an entry of the same name.
        if brought := texts_brought(picture):
            metadata = {**(metadata or {}), BROUGHT: brought}
        return ImageField(image_name=self._images.save(image, category=category, metadata=metadata).image_name)

    def star(self, *image_names: str, starred: bool = True) -> None:
        """Star images, or with `starred=False` remove their stars; `NotFoundError` if one of them does not exist."""
        # All names first: a wrong one must not leave half of the others starred.
        for name in image_names:
            self._images.record(name)
        for name in image_names:
            self._images.update(name, starred=starred)

    def delete(self, *image_names: str) -> int:
        """Delete images and the cached results that name them; return how many images there were."""
        return self._images.delete(*image_names)

    def delete_intermediates(self) -> int:
        """Delete all intermediate images and return how many there were."""
        return self._images.delete_intermediates()

    def search(self, text: str = "", *, starred: bool | None = None) -> "pd.DataFrame":
        """Return the images with a text in a prompt, value or model of their graph, or in their name, node or metadata.

        Capitals do not matter; with `starred` only those with, or without, a star.
        """
        return self._frame_of(searched(self._services, text, starred=starred))

    def compare(self, first: str, second: str) -> Comparison:
        """Return two images side by side, in a notebook under a slider with the inputs in which they differ."""
        return Comparison(self._services, first, second)

    def _frame_of(self, query: ImageQuery) -> "pd.DataFrame":
        return images_frame(self._images.list(query, per_page=max(1, self.count)).items)

    def _make_widget(self) -> Any:
        remix = None if self._remix is None else self._remix()
        return widget_class("gallery", "Gallery")(self._services, remix=remix)

    def _html(self) -> Html:
        page = self._images.list(ImageQuery(is_intermediate=False), per_page=STATIC_PICTURES)
        found = [
            (label_of(record, self._services), picture_or_why(self._images, record.image_name)) for record in page.items
        ]
        pictures = [(label, one if isinstance(one, str) else thumbnail_of(one, STATIC_SIZE)) for label, one in found]
        more = page.total - len(pictures)
        return pictures_html(pictures, f"{repr(self)[:-1]}, {more} more)" if more else repr(self))

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
    """Return a PIL image, or the image in a file, as L, LA, RGB or RGBA.

    Raises
    ------
    ImageModeError
        The mode is F, which does not define what number is white, or I with more than 16 bits.
    NbgraphError
        It is not an image, cannot be read, or is empty or too large.
    """
    if isinstance(picture, str | PathLike):
        return read_picture(Path(picture).expanduser())
    given = cast(object, picture)
    if not isinstance(given, Image.Image):
        kind = type(given).__name__
        raise NbgraphError(f"a {kind} is not an image; give a PIL image, as Image.fromarray makes it, or a path")
    if picture.mode == "F":
        raise mode_error(picture.mode)
    if not all(picture.size):
        raise NbgraphError(f"the picture has {picture.width} x {picture.height} pixels; give one that shows something")
    if problem := size_problem(*picture.size):
        raise NbgraphError(f"the picture {problem}; make it smaller")
    try:
        # PIL reads pixels late: a cut file shows itself only here.
        picture.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise NbgraphError(f"the picture cannot be read: {error}; open its file again") from None
    try:
        return in_plain_mode(picture)
    except ValueError as error:
        raise ImageModeError(f"a picture of mode {picture.mode!r} cannot be stored: {error}") from None


def check_category(category: ImageCategory) -> None:
    """Raise `NbgraphError` for an unknown category."""
    if category not in get_args(ImageCategory):
        raise NbgraphError(f"no category {category!r}{suggest(str(category), get_args(ImageCategory))}")


def check_metadata(metadata: dict[str, Any] | None) -> None:
    """Raise `NbgraphError` for metadata that are not a dict, or that JSON does not return unchanged."""
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
        # There and back: a tuple or a key that is a number would return as something else.
        text = json.dumps(values, allow_nan=False, ensure_ascii=False)
        text.encode()
        if json.loads(text) == values:
            return ""
    except UnicodeEncodeError as error:
        return f"holds {error.object[error.start]!r}, half of a character; give text that UTF-8 can hold"
    except (TypeError, ValueError, RecursionError):
        pass
    return "is not JSON; give texts, numbers, lists and dicts of texts"
