"""What a reader without a kernel sees in the place of a widget, kept up with what the widget shows."""

from collections.abc import Callable
from threading import Lock, Timer
from time import monotonic

from IPython.display import display

from nbgraph.services.shared.interrupts import HeldStop

QUIET_SECONDS = 1.0
LATEST_SECONDS = 10.0


class StaticFallback:
    """HTML beside a live widget, which hides it (see `BundledWidget`). `draw` gives what to show by mime type.

    After `changed` it is drawn again when nothing has changed for `quiet` seconds, or `latest` seconds after the first
    change, so that a notebook saved then holds what was on the page. What is the same as before is not sent again.
    """

    def __init__(
        self,
        widget_id: str,
        draw: Callable[[], dict[str, str]],
        quiet: float = QUIET_SECONDS,
        latest: float = LATEST_SECONDS,
    ) -> None:
        self._widget_id, self._draw = widget_id, draw
        self._quiet, self._latest = quiet, latest
        self._timer: Timer | None = None
        self._first = self._last = 0.0
        self._sent: dict[str, str] = {}
        self._shown = False
        self._lock, self._drawing = Lock(), Lock()

    def show(self) -> None:
        """Put it out in the cell that runs."""
        self._shown = True
        self._sent = self._bundle()
        display(self._sent, raw=True, display_id=self._name)

    def changed(self) -> None:
        """Draw it again soon, if it was shown."""
        with HeldStop(), self._lock:
            self._last = monotonic()
            if self._shown and self._timer is None:
                self._first = self._last
                self._wait(min(self._quiet, self._latest))

    def draw_now(self) -> None:
        """Draw it again at once, if it has changed since."""
        with self._lock:
            if self._timer is None:
                return
            self._timer.cancel()
            self._timer = None
        self._update()

    def close(self) -> None:
        """Draw no more."""
        with self._lock:
            self._shown = False
            if self._timer is not None:
                self._timer.cancel()

    @property
    def _name(self) -> str:
        return f"nbgraph-static-{self._widget_id}"

    def _wait(self, seconds: float) -> None:
        self._timer = Timer(seconds, self._look)
        self._timer.daemon = True
        self._timer.start()

    def _look(self) -> None:
        """Draw, unless there was a change a short while ago."""
        with self._lock:
            if self._timer is None or not self._shown:
                return
            rest = min(self._last + self._quiet, self._first + self._latest) - monotonic()
            if rest > 0:
                self._wait(rest)
                return
            self._timer = None
        self._update()

    def _update(self) -> None:
        with self._drawing:
            bundle = self._bundle()
            if self._shown and bundle != self._sent:
                self._sent = bundle
                display(bundle, raw=True, display_id=self._name, update=True)

    def _bundle(self) -> dict[str, str]:
        drawn = self._draw()
        return {**drawn, "text/html": f'<div class="nbgraph-static {self._name}">{drawn["text/html"]}</div>'}
