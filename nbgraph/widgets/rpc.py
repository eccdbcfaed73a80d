"""Requests of pages and their answers. Every message is validated first; a bad one is refused and changes nothing."""

import logging
from collections.abc import Callable, Sequence
from threading import current_thread, main_thread
from typing import Annotated, Any, cast

from ipywidgets import Widget  # pyright: ignore[reportMissingTypeStubs] - it is not annotated
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from nbgraph.errors import NbgraphError
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.widgets.js_bundle import BundledWidget
from nbgraph.widgets.throttle import Throttle

logger = logging.getLogger(__name__)
MAX_TEXT = 2000
MAX_CHARACTERS = 4 * 2**20
Name = Annotated[str, Field(max_length=200)]
Names = Annotated[list[Name], Field(min_length=1, max_length=10_000)]
Answer = tuple[dict[str, Any], list[bytes]]
"""A message to the page, and its buffers."""


class Request(BaseModel):
    """A message from a page; the number `request` comes back in the answer."""

    model_config = ConfigDict(extra="forbid", strict=True)

    request: int = Field(0, ge=0, le=2**53)


class RpcWidget(BundledWidget):
    """A widget that answers requests of its pages.

    Subclasses define `_requests`, the messages they accept, and `_answer`, which performs one. `_notify()` may be
    called from any thread and at any rate: pages are sent `_change()` at most four times a second, and `on_change()` is
    called then; neither happens before a page has sent a request. What a subclass puts into `_endings`, the functions
    that end its subscriptions, is called by `close()`, the last one first.
    """

    _requests: TypeAdapter[Any]
    _endings: Sequence[Callable[[], object]] = ()
    on_change: Callable[[], None] | None = None

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self._has_pages = False
        self._changes = Throttle(self._send_change)
        own: Any = self  # ipywidgets is not annotated
        own.on_msg(self._on_message)
        use_comm_subshell(self)

    def close(self) -> None:
        """End all subscriptions and close the widget. Closing twice is harmless."""
        endings, self._endings = self._endings, ()
        for end in reversed(endings):
            end()
        super().close()

    def _answer(self, request: Any, buffers: list[Any]) -> Answer | None:
        """Perform a request and return the answer, or None if it was sent already."""
        raise NotImplementedError

    def _refusal(self, error: Exception) -> dict[str, Any]:
        """Return the answer to a request that failed."""
        if isinstance(error, NbgraphError | ValueError | OSError):
            return {"type": "refused", "message": str(error)[:MAX_TEXT]}
        return {"type": "refused", "message": f"{type(error).__name__}: {error}"[:MAX_TEXT]}

    def _change(self) -> dict[str, Any]:
        """Return the message that says that something has changed."""
        return {"type": "changed"}

    def _notify(self, *_: Any) -> None:
        if self._has_pages:
            self._changes()

    def _send_change(self) -> None:
        self._post(self._change())
        if self.on_change is not None:
            self.on_change()

    def _post(self, content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        """Send a message to the pages of this widget; nothing before the first has sent a request."""
        if self._has_pages and self.comm is not None:
            own: Any = self
            own.send(content, buffers)

    def _on_message(self, _: Any, content: Any, buffers: list[Any]) -> None:
        self._has_pages = True
        number: Any = content.get("request") if hasattr(content, "get") else None
        try:
            answer: Answer | None = self._answer(read_request(self._requests, content), buffers)
        # Whatever fails must be answered: the page waits, and shows what it was told.
        except Exception as error:
            if not isinstance(error, NbgraphError | ValueError | OSError):
                logger.exception("the message %r failed", str(content)[:200])
            answer = self._refusal(error), []
        if answer is not None:
            said, pictures = answer
            self._post({**said, "request": number if isinstance(number, int) else None}, pictures)


def on_other_kernels(services: InvocationServices, callback: Callable[[], None]) -> list[Callable[[], None]]:
    """Call `callback()` after another kernel has written into the studio's folder; return the functions that end it."""
    return [] if services.database is None else [services.database.others.add(callback)]


def read_request(requests: TypeAdapter[Any], content: Any) -> Any:
    """Return the request in a message of a page; `ValueError` says in one line what is wrong with it."""
    # Before pydantic, which would copy a message of any size.
    if is_longer(content, MAX_CHARACTERS):
        raise ValueError(f"the message is longer than {MAX_CHARACTERS:,} characters; nothing was changed")
    try:
        return requests.validate_python(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "message"
        raise ValueError(f"{place}: {first['msg']}") from None


def is_longer(content: Any, limit: int) -> bool:
    """Return whether a JSON value has more than `limit` characters and items; stop counting there."""
    waiting, seen = [content], 0
    while waiting:
        value = waiting.pop()
        seen += len(cast("str | bytes", value)) if isinstance(value, str | bytes | memoryview) else 1
        if seen > limit:
            return True
        if isinstance(value, dict):
            found = cast("dict[Any, Any]", value)
            waiting += [*found, *found.values()]
        elif isinstance(value, list | tuple):
            waiting += cast("list[Any]", value)
    return False


def use_comm_subshell(widget: BundledWidget) -> None:
    """Handle messages while a cell runs, where the kernel has subshells; other kernels handle them after the cell."""
    # ipykernel 7.4 sends the messages of a widget that was made in a cell to the main shell, whatever the page asks.
    comm: Any = widget.comm
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = _as_the_page_asks
    skip_cell_events(widget)


def _as_the_page_asks(data: Any, default: Any) -> Any:
    return default


def skip_cell_events(*widgets: Widget) -> None:
    """Handle messages in a subshell without the events that IPython fires at the end of a cell.

    Those events make matplotlib show and close all figures of pyplot from the thread of the subshell. Figures that a
    cell is drawing at that moment are shown blank, cut off, or twice.
    """
    for widget in widgets:
        _skip_cell_events(widget.comm)


def _skip_cell_events(comm: Any) -> None:
    if not hasattr(comm, "_msg_callback"):
        return
    handle = comm.handle_msg

    def handle_msg(message: Any) -> None:
        if current_thread() is main_thread():
            handle(message)
        elif comm._msg_callback is not None:
            comm._msg_callback(message)

    comm.handle_msg = handle_msg
