"""What the panels share: a state that a page finds when it comes, and requests that are checked before they are done."""

import logging
from typing import Annotated, Any, ClassVar

import traitlets
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from nbgraph.errors import NbgraphError
from nbgraph.widgets.editor_messages import longer_than
from nbgraph.widgets.js_bundle import BundledWidget

logger = logging.getLogger(__name__)
MAX_ITEMS = 100_000
ERROR_LENGTH = 2000
Name = Annotated[str, Field(max_length=200)]


class Request(BaseModel):
    """What a page may ask; subclasses say `type: Literal["cancel"]`. `request` comes back in the answer."""

    model_config = ConfigDict(extra="forbid", strict=True)

    type: str
    request: int = Field(0, ge=0)


class PanelWidget(BundledWidget):
    """A widget whose page asks and is answered: `done`, or `refused` with a text, and then nothing was changed.

    A subclass names its `requests`, a union of `Request`s, does them in `answer`, and gives its `snapshot`. Requests may
    come in another thread than the cell's, while a cell runs; `answer` returns at once.
    """

    requests: ClassVar[Any] = Request
    _state = traitlets.Dict().tag(sync=True)

    def __init__(self, **traits: object) -> None:
        super().__init__(**traits)
        self.on_msg(self._hear)
        hear_subshells(self)

    def snapshot(self) -> dict[str, Any]:
        """What is shown now, as JSON-able values; bytes may be among them."""
        return {}

    def answer(self, message: Any, buffers: list[Any]) -> dict[str, Any] | None:
        """Do what a request says; what is returned goes into the answer. Errors become refusals."""
        raise NotImplementedError

    def tell(self, content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        """Send a message to every page; nobody is told once the widget is closed."""
        if self.comm is not None:
            self.send(content, buffers)

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> Any:
        """The widget's state, with the snapshot of now."""
        self._trait_values["_state"] = self.snapshot()
        return super().get_state(key, drop_defaults)

    def _hear(self, _: Any, content: Any, buffers: list[Any]) -> None:
        request = content.get("request") if isinstance(content, dict) else None
        try:
            message = read_request(self.requests, content)
            answer = self.answer(message, buffers) or {}
            self.tell({"type": "done", "request": request, **answer})
        except (NbgraphError, ValueError) as error:
            self._refuse(request, str(error))
        except Exception as error:
            logger.exception("the request %r failed", str(content)[:200])
            self._refuse(request, f"{type(error).__name__}: {error}")

    def _refuse(self, request: Any, text: str) -> None:
        number = request if isinstance(request, int) else None
        self.tell({"type": "refused", "request": number, "message": text[:ERROR_LENGTH]})


def read_request(kinds: Any, content: Any) -> Any:
    """The request in what came from a page; `ValueError` says in one line what is wrong with it."""
    if longer_than(content, MAX_ITEMS):
        raise ValueError(f"the message is longer than {MAX_ITEMS:,} characters; nothing was changed")
    try:
        return TypeAdapter(kinds).validate_python(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "message"
        raise ValueError(f"{place}: {first['msg']}") from None


def hear_subshells(widget: BundledWidget) -> None:
    """Let messages come while a cell runs, on ipykernel 7.4 as on 7.0 to 7.3; older ones hear them after the cell."""
    if hasattr(widget.comm, "_reply_subshell_for"):
        widget.comm._reply_subshell_for = lambda data, default: default  # type: ignore[union-attr]
