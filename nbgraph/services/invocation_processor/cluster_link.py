# pyright: basic
# Dask is typed in part only
"""The way from a worker to the head: questions that a node's thread waits for, and word that mail is waiting."""

import threading
from collections.abc import Callable
from itertools import count
from typing import Any

from distributed import Worker

from nbgraph.errors import CancelledError
from nbgraph.latch import Latch

LOOK_SECONDS = 0.5
MAIL_SECONDS = 0.02


class _Question:
    def __init__(self) -> None:
        self.answered = Latch()
        self.answer: Any = None


class HeadLink:
    """Sends messages to the head as events of a topic; see `HeadLike` for `ask`.

    Parameters
    ----------
    topic
        The topic that the head subscribed to.
    worker
        The worker of this process.
    """

    def __init__(self, topic: str, worker: Worker) -> None:
        self.is_gone: Callable[[], bool] = lambda: False
        """Whether the session that runs here was given up, so that no answer will come."""
        self._topic, self._worker = topic, worker
        self._numbers = count()
        self._questions: dict[int, _Question] = {}
        self._announced = False

    def ask(self, what: str, *arguments: Any) -> Any:
        # the loop's own thread brings the answer: there nothing can be waited for, and nothing more is known
        if threading.get_ident() == self._worker.thread_id:
            return None
        number, question = next(self._numbers), _Question()
        self._questions[number] = question
        self._send({"op": "ask", "number": number, "what": what, "arguments": arguments})
        try:
            while not question.answered.wait(LOOK_SECONDS):
                if self.is_gone():
                    raise CancelledError("the kernel that this worker works for is gone")
        finally:
            del self._questions[number]
        return question.answer

    def answer(self, number: int, answer: Any) -> None:
        """Give the answer to a question to the thread that waits for it, if it still does."""
        if (question := self._questions.get(number)) is not None:
            question.answer = answer
            question.answered.open()

    def announce(self, leg: str) -> None:
        """Tell the head, a moment later, that there is mail of a leg; calls within that moment are one message."""
        if not self._announced:
            self._announced = True
            self._worker.loop.add_callback(self._announce_later, leg)

    def _announce_later(self, leg: str) -> None:
        self._worker.loop.call_later(MAIL_SECONDS, self._announce, leg)

    def _announce(self, leg: str) -> None:
        self._announced = False
        self._send({"op": "mail", "leg": leg})

    def _send(self, message: dict[str, Any]) -> None:
        self._worker.log_event(self._topic, {**message, "worker": self._worker.address})
