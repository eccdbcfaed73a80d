"""Two images side by side, and the facts about each: its graph, its values, its label."""

import json
from typing import Any

from PIL import Image, ImageChops, ImageStat

from nbgraph.errors import NbgraphError
from nbgraph.html import Html, pictures_html
from nbgraph.image_modes import on_white
from nbgraph.recipes.saved_pictures import graph_of_record
from nbgraph.services.images.images_base import thumbnail_of
from nbgraph.services.images.images_common import ImageRecord
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.texts import shorten
from nbgraph.views.base import Shown, widget_class

GAP = 8
MAX_VALUES, MAX_TEXT, MAX_LABEL, MAX_METADATA = 200, 500, 120, 20_000
NO_RUN = "this picture was not made by a run"


class Comparison(Shown):
    """Two images: `.image` (both side by side), `.difference`, and `.mean_difference`, from 0 to 255.

    In a notebook it is shown with a slider. `NotFoundError` if there is no such image.
    """

    def __init__(self, services: InvocationServices, first: str, second: str) -> None:
        # The records say whether there are such images, before anything is shown.
        self.first, self.second = (services.images.record(name).image_name for name in (first, second))
        self._services = services

    @property
    def images(self) -> tuple[Image.Image, Image.Image]:
        """Both images as RGB, transparent parts white, the second scaled to the size of the first."""
        one, two = (on_white(self._services.images.get(name)) for name in (self.first, self.second))
        return one, two if two.size == one.size else two.resize(one.size)

    @property
    def image(self) -> Image.Image:
        """Both side by side."""
        one, two = self.images
        # The second is as large as the first by now.
        both = Image.new("RGB", (one.width * 2 + GAP, one.height), "white")
        both.paste(one, (0, 0))
        both.paste(two, (one.width + GAP, 0))
        return both

    @property
    def difference(self) -> Image.Image:
        """The absolute difference by channel: black where both are equal."""
        return ImageChops.difference(*self.images)

    @property
    def mean_difference(self) -> float:
        """The mean of the difference over pixels and channels, from 0 to 255."""
        means = ImageStat.Stat(self.difference).mean
        return sum(means) / len(means)

    def _make_widget(self) -> Any:
        return widget_class("gallery", "Gallery")(self._services, (self.first, self.second))

    def _html(self) -> Html:
        records = [self._services.images.record(name) for name in (self.first, self.second)]
        pictures = [
            (label_of(record, self._services), thumbnail_of(self._services.images.get(record.image_name)))
            for record in records
        ]
        return pictures_html(pictures, repr(self))

    def __repr__(self) -> str:
        return f"Comparison({self.first[:8]}, {self.second[:8]}: mean difference {self.mean_difference:.1f} of 255)"


def graph_of(record: ImageRecord, services: InvocationServices) -> tuple[Graph | None, str]:
    """Return the graph whose run made an image and an empty text, or None and why there is none."""
    if not record.session_id:
        return None, NO_RUN
    try:
        return services.graph_execution_manager.get(record.session_id).graph, ""
    except (NbgraphError, ValueError) as error:  # deleted, or of a node type that is gone
        return None, f"the run that made this picture cannot be read: {error}"


def values_of(graph: Graph | None) -> list[list[str]]:
    """Return [address, value] of every typed input, as texts: `["noise.seed", "7"]`."""
    if graph is None:
        return []
    found = [
        [f"{node_id}.{name}", _text(value)]
        for node_id, node in graph.nodes.items()
        for name, value in node.literals().items()
        if name in node.model_fields_set
    ]
    return found[:MAX_VALUES]


def made_with(record: ImageRecord, services: InvocationServices) -> list[list[str]]:
    """Return `values_of` the graph that made one image: with the seeds that were drawn and the items of iterations."""
    try:
        return values_of(graph_of_record(services, record))
    except NbgraphError:
        return values_of(graph_of(record, services)[0])


def differences(first: ImageRecord, second: ImageRecord, services: InvocationServices) -> list[list[str]]:
    """Return [address, value of the first, value of the second] of the inputs that differ, drawn seeds included.

    Of two images of one iteration that no input tells apart, the prepared nodes are named: `image[0]`, `image[1]`.
    """
    one, two = (dict(made_with(record, services)) for record in (first, second))
    found = [
        [address, one.get(address, ""), two.get(address, "")]
        for address in dict.fromkeys([*one, *two])
        if one.get(address) != two.get(address)
    ]
    if not found and first.node_id != second.node_id:
        return [["made by", first.node_id, second.node_id]]
    return found


def label_of(record: ImageRecord, services: InvocationServices) -> str:
    """Return the longest prompt in the graph of an image, else the node that made it, else its category."""
    graph, _ = graph_of(record, services)
    if graph is None:
        return record.node_id or record.category
    texts = [
        value
        for node in graph.nodes.values()
        for name, value in node.literals().items()
        if name in ("text", "prompt", "prompts") and isinstance(value, str)
    ]
    return max(texts, key=len, default="")[:MAX_LABEL] or record.node_id or record.category


def metadata_text(record: ImageRecord) -> str:
    """Return the metadata as indented JSON; empty without any."""
    return json.dumps(record.metadata, indent=2, ensure_ascii=False)[:MAX_METADATA] if record.metadata else ""


def _text(value: Any) -> str:
    return shorten(value if isinstance(value, str) else repr(value), MAX_TEXT)
