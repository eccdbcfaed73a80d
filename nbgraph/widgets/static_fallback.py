"""The HTML that a reader without a kernel sees in place of a widget, kept up to date with the widget."""

from collections.abc import Callable
from threading import Lock

from nbgraph.html import element
from nbgraph.notebook import put_out
from nbgraph.widgets.throttle import Throttle

QUIET_SECONDS = 1.0
LATEST_SECONDS = 10.0


class StaticFallback:
    """HTML beside a live widget, which hides it (see `BundledWidget`).

    After `changed()` it is drawn again, so that a notebook saved then holds what was on the page. An unchanged drawing
    is not sent again.

    Parameters
    ----------
    widget_id
        The model id of the widget.
    draw
        Returns the output by media type.
    quiet, latest
        Seconds without a change, and seconds after the first change, when it is drawn again.
    """

    def __init__(
        self,
        widget_id: str,
        draw: Callable[[], dict[str, str]],
        quiet: float = QUIET_SECONDS,
        latest: float = LATEST_SECONDS,
    ) -> None:
        self._widget_id, self._draw = widget_id, draw
        self._updates = Throttle(self._update, quiet=quiet, every=0.0, latest=latest)
        self._sent: dict[str, str] = {}
        self._is_shown = False
        self._drawing = Lock()

    def show(self) -> None:
        """Show it in the cell that runs."""
        # Before the first drawing: a change during it must draw again.
        self._is_shown = True
        self._sent = self._bundle()
        put_out(self._sent, name=self._name)

    def changed(self) -> None:
        """Draw it again soon, if it is shown."""
        if self._is_shown:
            self._updates()

    def draw_now(self) -> None:
        """Draw it again now, if it has changed."""
        self._updates.flush()

    def close(self) -> None:
        """Stop drawing."""
        self._is_shown = False
        self._updates.cancel()

    @property
    def _name(self) -> str:
        return f"nbgraph-static-{self._widget_id}"

    def _update(self) -> None:
        # Two threads may draw: the throttle's, and the one that draws before a notebook is saved.
        with self._drawing:
            bundle = self._bundle()
            if self._is_shown and bundle != self._sent:
                self._sent = bundle
                put_out(bundle, name=self._name, again=True)

    def _bundle(self) -> dict[str, str]:
        drawn = self._draw()
        return {**drawn, "text/html": element("div", drawn["text/html"], class_=f"nbgraph-static {self._name}")}
