"""`nb.paint`: a mask is painted in the studio that was opened last."""

from os import PathLike
from typing import TYPE_CHECKING, Any, Protocol
from weakref import ref

from nbgraph.errors import NbgraphError

if TYPE_CHECKING:
    from PIL.Image import Image

    from nbgraph.invocations.fields import ImageField
    from nbgraph.results import NodeResult
    from nbgraph.widgets.paint import MaskPainter

    Paintable = Image | ImageField | NodeResult | str | PathLike[str]


class Painting(Protocol):
    """An object in which masks are painted: a studio."""

    def paint(self, image: Any, mask: Any = None) -> "MaskPainter":
        """Return a painter on an image."""
        ...


# Weak, so that a studio that was dropped without `close` is collected.
_open: "list[ref[Painting]]" = []


def opened(studio: Painting) -> None:
    """Note that a studio was opened."""
    _open[:] = [known for known in _open if known() is not None]
    _open.append(ref(studio))


def closed(studio: Painting) -> None:
    """Note that a studio was closed."""
    _open[:] = [known for known in _open if known() not in (None, studio)]


def paint(image: "Paintable", mask: "Paintable | None" = None) -> "MaskPainter":
    """Paint a mask on an image by brush, in the studio that was opened last: `studio.paint(image, mask)`.

    Parameters
    ----------
    image
        An image of the studio (a field, a result such as `run[node]`, or a name), a PIL image, or a path.
    mask
        A mask to begin with, of the size of the image: white is painted anew, black is kept.

    Returns
    -------
    MaskPainter
        A cell shows it; `.mask` is the mask for the inputs of nodes.

    Raises
    ------
    NotFoundError
        The image was deleted, or belongs to another studio.
    NbgraphError
        No studio is open, there is no image, or the mask is of another size.

    Examples
    --------
    >>> import nbgraph as nb
    >>> from PIL import Image
    >>> studio = nb.Studio()
    >>> drawn = Image.new("L", (64, 64), 255)
    >>> painter = nb.paint(Image.new("RGB", (64, 64), "red"), mask=drawn)
    >>> studio.images.get(painter.mask.image_name).getpixel((0, 0))
    255
    >>> studio.close()
    """
    for known in reversed(_open):
        studio = known()
        if studio is not None:
            return studio.paint(image, mask)
    raise NbgraphError("no studio is open, and a mask is kept in one; make it first: studio = nb.Studio()")
