"""What a reader without a kernel sees in the place of a widget, kept up with what the widget shows."""

from collections.abc import Callable
from threading import Lock, Timer

from IPython.display import display

UPDATE_SECONDS = 1.0


class StaticSide:
    """HTML beside a live widget, which hides it (see `BundledWidget`). `draw` gives what to show by mime type.

    After `changed` it is drawn again, at most once a second, so that a notebook saved then holds what was on the page.
    """

    def __init__(self, widget_id: str, draw: Callable[[], dict[str, str]]) -> None:
        self._widget_id, self._draw = widget_id, draw
        self._timer: Timer | None = None
        self._shown = False
        self._lock = Lock()

    def show(self) -> None:
        """Put it out in the cell that runs."""
        self._shown = True
        display(self._bundle(), raw=True, display_id=self._name)

    def changed(self) -> None:
        """Draw it again soon, if it was shown."""
        with self._lock:
            if self._shown and self._timer is None:
                self._timer = Timer(UPDATE_SECONDS, self._update)
                self._timer.daemon = True
                self._timer.start()

    def close(self) -> None:
        """Draw no more."""
        with self._lock:
            self._shown = False
            if self._timer is not None:
                self._timer.cancel()

    @property
    def _name(self) -> str:
        return f"nbgraph-static-{self._widget_id}"

    def _update(self) -> None:
        with self._lock:
            self._timer = None
            if not self._shown:
                return
        display(self._bundle(), raw=True, display_id=self._name, update=True)

    def _bundle(self) -> dict[str, str]:
        drawn = self._draw()
        return {**drawn, "text/html": f'<div class="nbgraph-static {self._name}">{drawn["text/html"]}</div>'}
