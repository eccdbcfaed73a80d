"""What the canvas may ask, checked before anything is done: anything else is answered by an error."""

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from nbgraph.widgets.rpc import Names, Request

Ids = Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=10_000)]


class Ready(Request):
    """A page shows the editor: it wants the whole document, unless it has this revision of it already."""

    type: Literal["ready"]
    revision: int | None = None
    path: Ids = []


class EditRequest(Request):
    """Changes upon the revision `base`; edits of one `group` in a row are one step of undo."""

    type: Literal["edit"]
    base: int
    changes: list[Any]
    group: str = Field("", max_length=300)


class HistoryRequest(Request):
    """Take back, or make again."""

    type: Literal["undo", "redo"]


class RunRequest(Request):
    """Run what these nodes need, or everything."""

    type: Literal["run"]
    targets: Ids | None = None
    front: bool = False


class CancelRequest(Request):
    """Cancel what this editor runs."""

    type: Literal["cancel"]


class ExplainRequest(Request):
    """Say which nodes would run, and why."""

    type: Literal["explain"]


class ExportRequest(Request):
    """The graph as text."""

    type: Literal["export"]
    form: Literal["python", "json", "line"]


class PicturesRequest(Request):
    """Thumbnails: of these pictures, or of the newest."""

    type: Literal["pictures"]
    names: Ids | None = None


class PictureRequest(Request):
    """A picture in full size (`picture`), or a canvas on the graph that made it (`canvas`)."""

    type: Literal["picture", "canvas"]
    name: str = Field(max_length=200)


class StarRequest(Request):
    """Star pictures, or take their stars."""

    type: Literal["star"]
    names: Names
    starred: bool


class CompareRequest(Request):
    """Two pictures in full size, and what was set differently for them."""

    type: Literal["compare"]
    names: Annotated[Names, Field(min_length=2, max_length=2)]


AboutPictures = PictureRequest | StarRequest | CompareRequest


class UploadRequest(Request):
    """A picture file comes in the first buffer."""

    type: Literal["upload"]


class CollapseRequest(Request):
    """Put these nodes into a library graph."""

    type: Literal["collapse"]
    ids: Ids
    name: str = Field(max_length=100)


class NodeRequest(Request):
    """Put the nodes of a library graph in its place (`expand`), or go into it (`open`)."""

    type: Literal["expand", "open"]
    id: str = Field(max_length=200)


class CloseRequest(Request):
    """Leave a library graph that was opened."""

    type: Literal["close"]


class DrawRequest(Request):
    """Bring the drawing that is saved with the notebook up to date: the person saves, or is about to."""

    type: Literal["draw"]


AnyRequest = (
    Ready
    | EditRequest
    | HistoryRequest
    | RunRequest
    | CancelRequest
    | ExplainRequest
    | ExportRequest
    | PicturesRequest
    | PictureRequest
    | StarRequest
    | CompareRequest
    | UploadRequest
    | CollapseRequest
    | NodeRequest
    | CloseRequest
    | DrawRequest
)
REQUESTS: TypeAdapter[AnyRequest] = TypeAdapter(Annotated[AnyRequest, Field(discriminator="type")])
