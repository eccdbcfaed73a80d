"""The gallery: the pictures of a studio on pages, starred, searched, compared and deleted in a notebook cell."""

from typing import Annotated, Any, Literal

import traitlets
from pydantic import Field, TypeAdapter

from nbgraph.errors import NbgraphError
from nbgraph.invocations.fields import ImageCategory
from nbgraph.services.images.images_common import ImageOrder, ImageRecord
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.views.images import searched
from nbgraph.widgets.picture_answers import PictureAnswers
from nbgraph.widgets.pictures import Thumbnails
from nbgraph.widgets.remix import Remix
from nbgraph.widgets.rpc import Answer, Name, Names, Request, RpcWidget, on_other_kernels

MAX_DOOMED = 200


class ListPictures(Request):
    """A page of pictures; None means either. `text` is also searched for in prompts, values and models."""

    type: Literal["list"]
    page: int = Field(0, ge=0, le=1_000_000)
    per_page: int = Field(24, ge=1, le=100)
    text: Name = ""
    starred: bool | None = None
    intermediate: bool | None = False
    category: ImageCategory | None = None
    order: ImageOrder = "newest"


class OpenPicture(Request):
    """One picture in full size, with what is known of it and the graph that made it."""

    type: Literal["open"]
    name: Name


class StarPictures(Request):
    """Star pictures, or take their stars."""

    type: Literal["star"]
    names: Names
    starred: bool


class ComparePictures(Request):
    """Two pictures in full size, and what was set differently for them."""

    type: Literal["compare"]
    names: Annotated[list[Name], Field(min_length=2, max_length=2)]


class DeletePictures(Request):
    """Delete pictures; `doomed` only lists the cached results that would be dropped with them."""

    type: Literal["doomed", "delete"]
    names: Names


class RemixPicture(Request):
    """Open a canvas on the graph of a picture, or on one that begins from it; or run its graph with another seed."""

    type: Literal["canvas", "input", "again"]
    name: Name


AnyRequest = ListPictures | OpenPicture | StarPictures | ComparePictures | DeletePictures | RemixPicture


class Gallery(RpcWidget):
    """The pictures of `services`; given two names in `compared`, it shows these two beside each other.

    With a `remix`, the graph of a picture can be opened and run again from it.
    """

    _widget = traitlets.Unicode("gallery").tag(sync=True)
    _compared = traitlets.List(traitlets.Unicode()).tag(sync=True)
    _remixes = traitlets.Bool(False).tag(sync=True)
    _requests = TypeAdapter(Annotated[AnyRequest, Field(discriminator="type")])

    def __init__(
        self, services: InvocationServices, compared: tuple[str, ...] = (), remix: Remix | None = None
    ) -> None:
        self._services, self._remix = services, remix
        self._thumbnails = Thumbnails(services.images)
        self._answers = PictureAnswers(services)
        super().__init__(_compared=list(compared), _remixes=remix is not None)
        self._endings = [
            services.images.on_changed(self._notify),
            services.images.on_deleted(self._notify),
            *on_other_kernels(services, self._notify),
        ]

    def __repr__(self) -> str:
        return f"Gallery({self._services.images.list(per_page=1).total} pictures)"

    def _answer(self, request: AnyRequest, buffers: list[Any]) -> Answer:
        images = self._services.images
        if isinstance(request, ListPictures):
            return self._page(request)
        if isinstance(request, OpenPicture):
            return self._answers.opened(request.name)
        if isinstance(request, ComparePictures):
            return self._answers.compared(request.names)
        if isinstance(request, RemixPicture):
            return self._make_again(images.record(request.name), request.type)
        if isinstance(request, StarPictures):
            return self._answers.star(request.names, request.starred)
        for name in request.names:
            images.record(name)
        entries = self._doomed(request.names)
        if request.type == "delete":
            count = images.delete(*request.names)
            return {"type": "deleted", "count": count, "entries": len(entries)}, []
        return {"type": "doomed", "entries": entries[:MAX_DOOMED], "total": len(entries)}, []

    def _page(self, request: ListPictures) -> Answer:
        query = searched(
            self._services,
            request.text,
            category=request.category,
            is_intermediate=request.intermediate,
            starred=request.starred,
            order=request.order,
        )
        page = self._services.images.list(query, request.page, request.per_page)
        if not page.items and page.total:
            page = self._services.images.list(query, page.pages - 1, request.per_page)
        content = {
            "type": "page",
            "page": page.page,
            "pages": page.pages,
            "total": page.total,
            "pictures": [self._answers.facts(record) for record in page.items],
        }
        return content, [self._thumbnails.get(record.image_name) for record in page.items]

    def _make_again(self, record: ImageRecord, how: str) -> Answer:
        if self._remix is None:
            raise NbgraphError("this gallery has no studio to run in; show studio.images")
        if how == "again":
            self._remix.again(self._remix.graph_of(record))
            return {"type": "done"}, []
        model = self._remix.canvas(record) if how == "canvas" else self._remix.as_input(record)
        return {"type": "canvas", "model": model}, []

    def _doomed(self, names: list[str]) -> list[dict[str, Any]]:
        return [
            {"node": entry.node, "type": entry.type, "seconds": entry.seconds}
            for entry in self._services.invocation_cache.rows_naming(names)
        ]
