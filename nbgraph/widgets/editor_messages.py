"""The requests of the canvas. Each is validated before anything is done; anything else is answered by an error.

The limits are far above what a canvas sends and keep a broken page from filling the kernel's memory.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from nbgraph.widgets.rpc import Names, Request

Ids = Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=10_000)]


class Ready(Request):
    """A page shows the editor and needs the whole document, unless it has this revision already."""

    type: Literal["ready"]
    revision: int | None = None
    path: Ids = []


class EditRequest(Request):
    """Changes on the revision `base`; consecutive edits of one `group` are one step of undo."""

    type: Literal["edit"]
    base: int
    changes: list[Any]
    group: str = Field("", max_length=300)


class HistoryRequest(Request):
    """Undo or redo."""

    type: Literal["undo", "redo"]


class RunRequest(Request):
    """Run these nodes and what they depend on, or everything."""

    type: Literal["run"]
    targets: Ids | None = None
    front: bool = False


class CancelRequest(Request):
    """Cancel the run of this editor."""

    type: Literal["cancel"]


class ExplainRequest(Request):
    """Say which nodes would run, and why."""

    type: Literal["explain"]


class ExportRequest(Request):
    """Return the graph as text."""

    type: Literal["export"]
    form: Literal["python", "json", "line"]


class CodeRequest(Request):
    """Draw code that was typed from the code of mark `base`; without a text, only return the code of the graph."""

    type: Literal["code"]
    text: str | None = None
    base: str = Field("", max_length=100)


class ModelsRequest(Request):
    """Return all models that can be named, with what each is."""

    type: Literal["models"]


class PicturesRequest(Request):
    """Return thumbnails of these images, or of the newest."""

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


class PaintRequest(Request):
    """Open a painter on an image, with the mask that there is; `extends` lets it extend the image's frame."""

    type: Literal["paint"]
    name: str = Field(max_length=200)
    mask: str | None = Field(None, max_length=200)
    extends: bool = False


AboutPictures = PictureRequest | StarRequest | CompareRequest


class UploadRequest(Request):
    """Store the image file in the first buffer."""

    type: Literal["upload"]


class FileRequest(Request):
    """A picture or a file that says how a picture was made comes in the first buffer."""

    type: Literal["file"]
    name: str = Field(max_length=200)


class CollapseRequest(Request):
    """Replace these nodes by a library graph of them."""

    type: Literal["collapse"]
    ids: Ids
    name: str = Field(max_length=100)


class NodeRequest(Request):
    """Replace a library graph by its nodes (`expand`), or show them (`open`)."""

    type: Literal["expand", "open"]
    id: str = Field(max_length=200)


class CloseRequest(Request):
    """Close the library graph that is open."""

    type: Literal["close"]


class DrawRequest(Request):
    """Draw again for readers without a kernel: the notebook is about to be saved."""

    type: Literal["draw"]


AnyRequest = (
    Ready
    | EditRequest
    | HistoryRequest
    | RunRequest
    | CancelRequest
    | ExplainRequest
    | ExportRequest
    | CodeRequest
    | ModelsRequest
    | PicturesRequest
    | PictureRequest
    | StarRequest
    | CompareRequest
    | PaintRequest
    | UploadRequest
    | FileRequest
    | CollapseRequest
    | NodeRequest
    | CloseRequest
    | DrawRequest
)
# By its type alone, so that a wrong field is named and not every request that has no such field.
REQUESTS: TypeAdapter[AnyRequest] = TypeAdapter(Annotated[AnyRequest, Field(discriminator="type")])
