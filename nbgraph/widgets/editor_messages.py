"""What the canvas may ask, checked before anything is done: anything else is answered by an error."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

MAX_CHARACTERS = 4 * 2**20
Ids = Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=10_000)]


class Message(BaseModel):
    """A message; `request` comes back in the answer."""

    model_config = ConfigDict(extra="forbid", strict=True)

    request: int = Field(0, ge=0)


class Ready(Message):
    """A page shows the editor: it wants the whole document, unless it has this revision of it already."""

    type: Literal["ready"]
    revision: int | None = None
    path: Ids = []


class EditRequest(Message):
    """Changes upon the revision `base`; edits of one `group` in a row are one step of undo."""

    type: Literal["edit"]
    base: int
    changes: list[Any]
    group: str = Field("", max_length=300)


class HistoryRequest(Message):
    """Take back, or make again."""

    type: Literal["undo", "redo"]


class RunRequest(Message):
    """Run what these nodes need, or everything."""

    type: Literal["run"]
    targets: Ids | None = None
    front: bool = False


class CancelRequest(Message):
    """Cancel what this editor runs."""

    type: Literal["cancel"]


class ExplainRequest(Message):
    """Say which nodes would run, and why."""

    type: Literal["explain"]


class ExportRequest(Message):
    """The graph as text."""

    type: Literal["export"]
    form: Literal["python", "json", "line"]


class PicturesRequest(Message):
    """Thumbnails: of these pictures, or of the newest."""

    type: Literal["pictures"]
    names: Ids | None = None


class UploadRequest(Message):
    """A picture file comes in the first buffer."""

    type: Literal["upload"]


class CollapseRequest(Message):
    """Put these nodes into a library graph."""

    type: Literal["collapse"]
    ids: Ids
    name: str = Field(max_length=100)


class NodeRequest(Message):
    """Put the nodes of a library graph in its place (`expand`), or go into it (`open`)."""

    type: Literal["expand", "open"]
    id: str = Field(max_length=200)


class CloseRequest(Message):
    """Leave a library graph that was opened."""

    type: Literal["close"]


class DrawRequest(Message):
    """Bring the drawing that is saved with the notebook up to date: the person saves, or is about to."""

    type: Literal["draw"]


AnyMessage = (
    Ready
    | EditRequest
    | HistoryRequest
    | RunRequest
    | CancelRequest
    | ExplainRequest
    | ExportRequest
    | PicturesRequest
    | UploadRequest
    | CollapseRequest
    | NodeRequest
    | CloseRequest
    | DrawRequest
)
_adapter: TypeAdapter[AnyMessage] = TypeAdapter(Annotated[AnyMessage, Field(discriminator="type")])


def read_message(content: Any) -> AnyMessage:
    """The message in what came from the page; `ValueError` says what is wrong with it, in one line."""
    if longer_than(content, MAX_CHARACTERS):
        raise ValueError(f"the message is longer than {MAX_CHARACTERS:,} characters; nothing was changed")
    try:
        return _adapter.validate_python(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "message"
        raise ValueError(f"{place}: {first['msg']}") from None


def longer_than(content: Any, limit: int) -> bool:
    """Whether the texts and items in a JSON value come to more than `limit`; looks no further than that."""
    waiting, seen = [content], 0
    while waiting:
        value = waiting.pop()
        seen += len(value) if isinstance(value, str | bytes | memoryview) else 1
        if seen > limit:
            return True
        if isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, list | tuple):
            waiting += value
    return False
