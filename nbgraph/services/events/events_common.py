"""Events of sessions for listeners, and a log for displays that poll.

Events are small records. Those of single nodes are made only if somebody listens to them: where nodes take
microseconds, an event for the start and one for the end of each would be a sixth of the cost of a run.
"""

from typing import Any

from msgspec import Struct

from nbgraph.services.invocation_stats.invocation_stats_common import Measured


class RunLog:
    """The rows of the nodes of a running session. The thread that runs the session writes it, any other may read.

    Attributes
    ----------
    rows
        A row for each prepared node that has run, failed or was cancelled; new ones come at the end.
    node
        The id of the prepared node that was invoked last.
    source
        The id of the source node of the one that runs; empty while none does.
    reports_steps
        True once a node reports its steps; set by displays of them, which then get the event of its end.
    """

    __slots__ = ("node", "reports_steps", "rows", "source")

    def __init__(self) -> None:
        self.rows: list[Measured] = []
        self.node = self.source = ""
        self.reports_steps = False


class Event(Struct):
    """Something happened in a session."""

    session_id: str


class SessionStarted(Event):
    """A session begins to run; `total` source nodes are in its plan, and `log` is kept while it runs."""

    total: int
    log: RunLog


class SessionWaits(Event):
    """A session waits for something, such as `loading torch and diffusers`; an empty `message` says that it goes on."""

    message: str


class NodeStarted(Event):
    """A prepared node is invoked; `node` is its id, `source` the id of its source node.

    What comes from the cache, and the items an iterate node hands out, only complete.
    """

    node: str
    source: str
    type: str


class NodeProgress(Event):
    """A node is at `step` of `total`; `preview` is a small PIL picture, or a function that makes it, or None."""

    node: str
    step: int
    total: int
    preview: Any
    message: str


class NodeCompleted(Event):
    """A prepared node has its output; `cached` is True if it came from the cache."""

    node: str
    source: str
    type: str
    output: Any
    cached: bool
    seconds: float


class NodeFailed(Event):
    """A prepared node raised; `error` is the text, `place` the last line of a person's own code that ran, if any."""

    node: str
    source: str
    type: str
    error: str
    place: str = ""


class NodeWarned(Event):
    """A node warns about a result that is still good."""

    node: str
    message: str


class SessionFinished(Event):
    """A session ended: completed, failed or cancelled. One that is cancelled while it waits has not started before."""

    status: str


class ModelLoaded(Event):
    """A component of a model was loaded from disk; `session_id` is empty where no session asked for it."""

    model: str
    component: str
    bytes: int
    seconds: float
