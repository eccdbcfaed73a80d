"""The way from a worker to the head: messages, questions that a node's thread waits for, and word of what happens.

Messages are events of a topic that the head subscribed to: they come in the order in which they were sent, and before
the end of the task that runs.
"""

import threading
from collections.abc import Callable
from itertools import count

from nbgraph.errors import CancelledError, ClusterError
from nbgraph.latch import Latch
from nbgraph.services.invocation_processor.cluster_dask import DaskWorker, packed
from nbgraph.services.invocation_processor.cluster_messages import Message, Question

LOOK_SECONDS = 0.5
MAIL_SECONDS = 0.1
BEGUN_SECONDS = 0.02


class _Question:
    def __init__(self) -> None:
        self.answered = Latch()
        self.answer: object = None


class HeadLink:
    """Sends messages to the head; see `HeadLike` for `ask`.

    Parameters
    ----------
    topic
        The topic that the head subscribed to.
    worker
        The worker of this process.
    post
        Sends what is new, on the thread of the event loop; called a moment after `announce`.
    """

    def __init__(self, topic: str, worker: DaskWorker, post: Callable[[], object]) -> None:
        self.is_gone: Callable[[], bool] = lambda: False
        """Whether the session that runs here was given up, so that no answer will come."""
        self._topic, self._worker, self._post = topic, worker, post
        self._numbers = count()
        self._questions: dict[int, _Question] = {}
        self._announced = False

    def ask(self, what: str, *arguments: object) -> object:
        """Return the head's answer, waiting for it; None on the thread that would bring it.

        Raises
        ------
        ClusterError
            The head could not answer.
        CancelledError
            The head is gone.
        """
        # the loop's own thread brings the answer: there nothing can be waited for, and nothing more is known
        if threading.get_ident() == self._worker.thread_id:
            return None
        number, question = next(self._numbers), _Question()
        self._questions[number] = question
        self.send(packed(Question(self._worker.address, number, what, arguments)))
        try:
            while not question.answered.wait(LOOK_SECONDS):
                if self.is_gone():
                    raise CancelledError("the kernel that this worker works for is gone")
        finally:
            del self._questions[number]
        if isinstance(question.answer, ClusterError):
            raise question.answer
        return question.answer

    def answer(self, number: int, answer: object) -> None:
        """Give the answer to a question to the thread that waits for it, if it still does."""
        if (question := self._questions.get(number)) is not None:
            question.answer = answer
            question.answered.open()

    def announce(self, seconds: float = MAIL_SECONDS) -> None:
        """Have what is new sent a moment later; calls within that moment are one message."""
        if not self._announced:
            self._announced = True
            self._worker.loop.add_callback(self._post_later, seconds)

    def _post_later(self, seconds: float) -> None:
        self._worker.loop.call_later(seconds, self._post_now)

    def _post_now(self) -> object:
        self._announced = False  # before it looks: what comes during the post is announced anew
        return self._post()

    def send(self, message: bytes) -> None:
        """Send a packed message; any thread may call this."""
        self._worker.log_event(self._topic, message)

    def tell(self, message: Message) -> None:
        """Send a message of any size."""
        self.send(packed(message))
