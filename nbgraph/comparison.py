"""Two pictures compared: beside each other, by their pixels, and by what was set differently for them."""

from typing import Any

from PIL import Image, ImageChops, ImageStat

from nbgraph.image_modes import on_white
from nbgraph.picture_facts import label_of
from nbgraph.services.images.images_base import thumbnail_of
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.showing import Shown, widget_class
from nbgraph.static_html import pictures_html

GAP = 8


class Comparison(Shown):
    """`.image` has both side by side, `.difference` what differs, `.mean_difference` how much, from 0 to 255.

    In a notebook it shows itself with a slider. `NotFoundError` if there is no such picture.
    """

    def __init__(self, services: InvocationServices, first: str, second: str) -> None:
        self.first, self.second = (services.images.record(name).image_name for name in (first, second))
        self._services = services

    @property
    def images(self) -> tuple[Image.Image, Image.Image]:
        """Both pictures as RGB, what is transparent as white; the second as large as the first."""
        one, two = (on_white(self._services.images.get(name)) for name in (self.first, self.second))
        return one, two if two.size == one.size else two.resize(one.size)

    @property
    def image(self) -> Image.Image:
        """Both side by side."""
        one, two = self.images
        both = Image.new("RGB", (one.width * 2 + GAP, one.height), "white")
        both.paste(one, (0, 0))
        both.paste(two, (one.width + GAP, 0))
        return both

    @property
    def difference(self) -> Image.Image:
        """The absolute difference of both, channel by channel: black where they are the same."""
        return ImageChops.difference(*self.images)

    @property
    def mean_difference(self) -> float:
        """The mean of the difference over pixels and channels, from 0 to 255."""
        means = ImageStat.Stat(self.difference).mean
        return sum(means) / len(means)

    def _make_widget(self) -> Any:
        return widget_class("gallery", "Gallery")(self._services, (self.first, self.second))

    def _html(self) -> str:
        records = [self._services.images.record(name) for name in (self.first, self.second)]
        pictures = [
            (label_of(record, self._services), thumbnail_of(self._services.images.get(record.image_name)))
            for record in records
        ]
        return pictures_html(pictures, repr(self))

    def __repr__(self) -> str:
        return f"Comparison({self.first[:8]}, {self.second[:8]}: mean difference {self.mean_difference:.1f} of 255)"
