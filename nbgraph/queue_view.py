"""The sessions that wait, run or have ended, as a person sees them: `studio.queue`."""

from typing import TYPE_CHECKING

from nbgraph.frames import queue_frame
from nbgraph.services.invocation_services import InvocationServices

if TYPE_CHECKING:
    import pandas as pd


class QueueView:
    """The queue of a studio: `.frame` has one row for each session, its id, its state and its error."""

    def __init__(self, services: InvocationServices) -> None:
        self._queue = services.queue

    @property
    def frame(self) -> "pd.DataFrame":
        """One row for each session that waits, runs or has ended."""
        return queue_frame(self._queue.rows())

    def __len__(self) -> int:
        return len(self._queue.rows())

    def __repr__(self) -> str:
        rows = self._queue.rows()
        counts = {
            state: sum(row.status == state for row in rows) for state in dict.fromkeys(row.status for row in rows)
        }
        return f"Queue({', '.join(f'{count} {state}' for state, count in counts.items()) or 'empty'})"
