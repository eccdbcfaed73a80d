"""A list of pictures that shows itself as them."""

from PIL.Image import Image

from nbgraph.services.images.images_base import thumbnail_of
from nbgraph.static_html import pictures_html

SHOWN = 24


class Pictures(list[Image]):
    """Pictures of a run, in order; a cell shows the first 24 of them, small."""

    def _repr_html_(self) -> str:
        shown = [
            (f"[{number}] {one.width} x {one.height}", thumbnail_of(one)) for number, one in enumerate(self[:SHOWN])
        ]
        more = f", {len(self) - SHOWN} more" if len(self) > SHOWN else ""
        return pictures_html(shown, f"{len(self)} picture{'' if len(self) == 1 else 's'}{more}")
