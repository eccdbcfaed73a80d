"""The view of waiting, running and ended sessions: `studio.queue`."""

from typing import TYPE_CHECKING, Any

from nbgraph.frames import queue_frame
from nbgraph.html import Html, table_html
from nbgraph.run import Run, run_id
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.views.base import Shown, widget_class

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs] - its types are in its code

STATIC_COLUMNS = ["number", "status", "seconds", "submitted", "error", "session"]


class QueueView(Shown):
    """The queue of a studio: `.frame`, `.cancel(run)`, `.prepend(run)`, `.clear()`, `.pause()`, `.resume()`.

    A run is given as the `Run` or by its id. In a notebook the view is a live table.
    """

    def __init__(self, services: InvocationServices) -> None:
        self._services, self._queue = services, services.queue

    @property
    def frame(self) -> "pd.DataFrame":
        """One row per waiting, running or ended session."""
        return queue_frame(self._queue.rows())

    def cancel(self, run: Run | str) -> bool:
        """Cancel a waiting or running run; False if it has ended, `NotFoundError` if it was never submitted."""
        # Asked first, so that an id that was never submitted is an error and not False.
        item = self._queue.item(run_id(run))
        return self._services.processor.cancel(item.session_id)

    def cancel_all(self) -> int:
        """Cancel all waiting and running runs of this kernel and return how many."""
        return self._services.processor.cancel_all()

    def prepend(self, run: Run | str) -> bool:
        """Move a waiting run to the front; False if it is no longer waiting."""
        return self._queue.prepend(run_id(run))

    def clear(self) -> int:
        """Forget the ended runs and return how many. Their images and stats stay."""
        return self._queue.clear()

    def pause(self) -> None:
        """Finish the running run and start no other."""
        self._services.processor.pause()

    def resume(self) -> None:
        """Start runs again after `pause`."""
        self._services.processor.resume()

    @property
    def is_paused(self) -> bool:
        """True if no run is started."""
        return self._services.processor.is_paused

    def _make_widget(self) -> Any:
        return widget_class("queue_table", "QueueTable")(self._services)

    def _html(self) -> Html:
        # The newest runs first: a saved notebook shows only the first rows.
        frame: Any = self.frame
        timed = frame.assign(seconds=(frame["ended"] - frame["started"]).dt.total_seconds())
        return table_html(timed.iloc[::-1][STATIC_COLUMNS], repr(self))

    def __len__(self) -> int:
        return len(self._queue.rows())

    def __repr__(self) -> str:
        rows = self._queue.rows()
        counts = {
            state: sum(row.status == state for row in rows) for state in dict.fromkeys(row.status for row in rows)
        }
        paused = "; paused" if self.is_paused else ""
        return f"Queue({', '.join(f'{count} {state}' for state, count in counts.items()) or 'empty'}{paused})"
