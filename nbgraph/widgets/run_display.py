"""A run in the output of a cell: a live view while it runs, and then what stays when the notebook is saved."""

import logging
from threading import Thread
from typing import Any

from IPython.display import DisplayHandle

from nbgraph.services.shared.interrupts import defer_interrupt
from nbgraph.widgets.run_state import ShownRun
from nbgraph.widgets.run_static import static_bundle
from nbgraph.widgets.run_view import RunView

logger = logging.getLogger(__name__)


class RunDisplay:
    """`run.wait(show=RunDisplay(run))`: each call looks at the run; the last, after its end, puts the result there.

    A run that ends before the first look needs no widget. The widget goes with the end of the run, so that neither the
    kernel nor the saved notebook keeps one for each run.
    """

    def __init__(self, run: ShownRun) -> None:
        self._run = run
        self._handle = DisplayHandle()
        self._view: RunView | None = None
        self._is_shown = False

    def __call__(self, progress: Any = None) -> None:
        with defer_interrupt():
            if self._run.is_done:
                self._end()
            elif self._view is None:
                self._view = RunView(self._run)
                self._show(self._view._repr_mimebundle_()[0])
            else:
                self._view.refresh()

    def follow(self) -> None:
        """Keep looking in a thread of its own, until the run has ended."""
        with defer_interrupt():
            self()
            if not self._run.is_done or self._view is not None:
                Thread(target=self._follow, name="nbgraph run view", daemon=True).start()

    def _follow(self) -> None:
        try:
            self._run.wait(show=self)
        except Exception:
            logger.exception("the run %s can no longer be shown", self._run.id)

    def _end(self) -> None:
        self._show(static_bundle(self._run))
        if self._view is not None:
            self._view.refresh()
            self._view.close()
            self._view = None

    def _show(self, bundle: dict[str, Any]) -> None:
        if self._is_shown:
            self._handle.update(bundle, raw=True)
        else:
            self._is_shown = True
            self._handle.display(bundle, raw=True)


def following_view(run: ShownRun) -> RunView:
    """A view that keeps looking at the run until it has ended, for places where outputs cannot be replaced."""
    view = RunView(run)
    if not run.is_done:
        look = {"show": lambda _: view.refresh()}
        Thread(target=run.wait, kwargs=look, name="nbgraph run view", daemon=True).start()
    return view
