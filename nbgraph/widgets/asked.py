"""A widget whose page asks, and is answered: messages are checked first, and a bad one changes nothing."""

import logging
from collections.abc import Callable
from threading import Lock, Timer
from time import monotonic
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from nbgraph.errors import NbgraphError
from nbgraph.services.shared.interrupts import HeldStop
from nbgraph.widgets.js_bundle import BundledWidget
from nbgraph.widgets.subshells import hear_subshells

logger = logging.getLogger(__name__)
UPDATE_SECONDS = 0.25
MAX_TEXT = 2000
Name = Annotated[str, Field(max_length=200)]
Names = Annotated[list[Name], Field(min_length=1, max_length=10_000)]
Answer = tuple[dict[str, Any], list[bytes]]


class Question(BaseModel):
    """A message from a page; `request` comes back in the answer."""

    model_config = ConfigDict(extra="forbid", strict=True)

    request: int = Field(0, ge=0, le=2**53)


class AskedWidget(BundledWidget):
    """Subclasses give `_questions`, the messages they take, and `_answer`, which does what one says.

    `_notice()` may be called from any thread, as often as one likes: what `_news()` gives is told to the pages at most
    four times a second, and `on_news()` is called with it; not at all before a page has asked something.
    """

    _questions: TypeAdapter[Any]
    on_news: Callable[[], None] | None = None

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self._views = False
        self._calmed = Calmed(self._tell_news)
        self.on_msg(self._on_message)
        hear_subshells(self)

    def _answer(self, question: Any) -> Answer:
        """Do what is asked; (answer, its buffers)."""
        raise NotImplementedError

    def _news(self) -> dict[str, Any]:
        """What pages are told when something has changed."""
        return {"type": "changed"}

    def _notice(self, *_: Any) -> None:
        if self._views:
            self._calmed()

    def _tell_news(self) -> None:
        if self.comm is not None:
            self.send(self._news())
        if self.on_news is not None:
            self.on_news()

    def _on_message(self, _: Any, content: Any, buffers: list[Any]) -> None:
        self._views = True
        request = content.get("request") if isinstance(content, dict) else None
        try:
            question = read_question(self._questions, content)
            answer, pictures = self._answer(question)
        except (NbgraphError, ValueError, OSError) as error:
            answer, pictures = {"type": "refused", "message": str(error)[:MAX_TEXT]}, []
        except Exception as error:
            logger.exception("the message %r failed", str(content)[:200])
            answer, pictures = {"type": "refused", "message": f"{type(error).__name__}: {error}"[:MAX_TEXT]}, []
        if self.comm is not None:
            self.send({**answer, "request": request if isinstance(request, int) else None}, pictures)


class Calmed:
    """Calls `act` soon after it is called, in a thread of its own, and at most every quarter of a second."""

    def __init__(self, act: Callable[[], None], seconds: float = UPDATE_SECONDS) -> None:
        self._act, self._seconds = act, seconds
        self._timer: Timer | None = None
        self._acted = monotonic() - seconds
        self._lock = Lock()

    def __call__(self) -> None:
        with HeldStop(), self._lock:  # a thread whose start is interrupted may never run
            if self._timer is None:
                wait = max(0.02, self._acted + self._seconds - monotonic())
                self._timer = Timer(wait, self._fire)
                self._timer.daemon = True
                self._timer.start()

    def _fire(self) -> None:
        with self._lock:
            self._timer, self._acted = None, monotonic()
        try:
            self._act()
        except Exception:
            logger.exception("a widget could not tell its page what is new")


def read_question(questions: TypeAdapter[Any], content: Any) -> Any:
    """The message in what came from a page; `ValueError` says what is wrong with it, in one line."""
    try:
        return questions.validate_python(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "message"
        raise ValueError(f"{place}: {first['msg']}") from None
