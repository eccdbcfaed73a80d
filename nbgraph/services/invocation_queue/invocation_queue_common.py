"""Queue items: sessions that wait, run, or have ended."""

from dataclasses import dataclass
from typing import Literal

QueueStatus = Literal["pending", "in_progress", "completed", "failed", "cancelled", "interrupted"]
ENDED: tuple[QueueStatus, ...] = ("completed", "failed", "cancelled", "interrupted")


@dataclass(frozen=True, slots=True)
class QueueItem:
    """One session in the queue. Higher `priority` runs first, then lower `number`. Times in seconds since 1970, UTC.

    `owner` is the kernel that runs it, empty where there is only one.
    """

    number: int
    session_id: str
    priority: int
    status: QueueStatus
    submitted: float
    started: float | None = None
    ended: float | None = None
    error: str = ""
    owner: str = ""
