"""A list of pictures that shows itself as them."""

from collections import Counter
from collections.abc import Iterable

from PIL.Image import Image

from nbgraph.html import pictures_html
from nbgraph.services.images.images_base import thumbnail_of

SHOWN = 24


class Pictures(list[Image]):
    """Pictures of a run, in order; a cell shows the first 24 of them, small.

    Made of pictures, and of words such as "missing" in place of others: these are counted below, and not in the list.
    """

    def __init__(self, found: Iterable[Image | str] = ()) -> None:
        found = list(found)
        super().__init__(one for one in found if isinstance(one, Image))
        self._lacking = Counter(one for one in found if isinstance(one, str))

    def _repr_html_(self) -> str:
        shown = [
            (f"[{number}] {one.width} x {one.height}", thumbnail_of(one)) for number, one in enumerate(self[:SHOWN])
        ]
        more = f", {len(self) - SHOWN} more" if len(self) > SHOWN else ""
        lacking = "".join(f", {count} {why}" for why, count in self._lacking.items())
        return pictures_html(shown, f"{len(self)} picture{'' if len(self) == 1 else 's'}{more}{lacking}")
