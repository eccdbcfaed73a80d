"""A run in a cell: a live view with previews, images and Cancel, then what stays when the notebook is saved."""

import logging
from threading import RLock, Thread
from time import monotonic
from typing import Any, Literal

import traitlets
from IPython.display import DisplayHandle
from pydantic import TypeAdapter

from nbgraph.errors import NbgraphError
from nbgraph.notebook import remix_on_page
from nbgraph.services.images.kept_pictures import picture_or_why
from nbgraph.services.shared.interrupts import defer_interrupt
from nbgraph.widgets.pictures import thumbnail
from nbgraph.widgets.rpc import Answer, Request, RpcWidget
from nbgraph.widgets.run_state import RunState, ShownRun, picture_names, run_state
from nbgraph.widgets.run_static import static_bundle

logger = logging.getLogger(__name__)
PREVIEW_SIZE = 320
PICTURE_SIZE = 512
MAX_PICTURES = 16
SHARE = 20
"""Reading the state of a run may take at most one part in so many of the time; a large graph is read less often."""


class Ready(Request):
    """A page shows the view and needs the whole state."""

    type: Literal["ready"]


class Cancel(Request):
    """Cancel the run."""

    type: Literal["cancel"]


class RunView(RpcWidget):
    """Shows one run after the other: `watch(run)`, then `refresh()` repeatedly, and once after its end.

    A `compact` view leaves out the nodes and Cancel, as a form does not show the graph; it shows errors too. With
    `remix`, the model id of a `RunRemix`, new things can be made from a run that has ended.
    """

    _widget = traitlets.Unicode("run_view").tag(sync=True)
    _requests = TypeAdapter(Ready | Cancel)

    compact = traitlets.Bool(False).tag(sync=True)
    _remix = traitlets.Unicode().tag(sync=True)

    def __init__(self, run: ShownRun | None = None, *, compact: bool = False, remix: str = "") -> None:
        self._run, self._state, self._problem = run, None, ""
        self._preview: bytes = b""
        self._drawn: Any = None
        self._pictures: dict[str, bytes] = {}
        self._read_at = self._took = 0.0
        self._lock = RLock()
        super().__init__(compact=compact, _remix=remix)

    def watch(self, run: ShownRun) -> None:
        """Show another run."""
        with self._lock:
            self._run, self._state, self._problem = run, None, ""
            self._preview, self._drawn, self._pictures = b"", None, {}
            self._read_state()
            self._post(*self._everything())

    def say(self, problem: str) -> None:
        """Show a text as an error below the run."""
        with self._lock:
            self._problem = problem
            self._post(*self._everything())

    def refresh(self) -> None:
        """Read the state of the run and send the pages what is new."""
        with self._lock:
            began = monotonic()
            # The last state must be shown, however long reading it takes.
            ended = self._run is not None and self._run.is_done
            if self._run is None or (not ended and began - self._read_at < SHARE * self._took):
                return
            before, pictures, preview = self._state, list(self._pictures), self._preview
            self._read_state()
            self._post(*self._updates(before, pictures, preview))
            self._read_at, self._took = monotonic(), monotonic() - began

    def _answer(self, request: Any, buffers: list[Any]) -> Answer:
        if isinstance(request, Ready):
            with self._lock:
                if self._run is not None and self._state is None:
                    self._read_state()
                return self._everything()
        if self._run is None or self._run.is_done:
            raise NbgraphError("there is no running run to cancel")
        self._run.cancel()
        return {"type": "done"}, []

    def _read_state(self) -> None:
        run = self._run
        assert run is not None
        self._state = run_state(run)
        self._draw_preview(run.tracker.preview)
        for name in picture_names(run)[:MAX_PICTURES]:
            picture = "" if name in self._pictures else picture_or_why(run.services.images, name)
            if not isinstance(picture, str):
                self._pictures[name] = thumbnail(picture, PICTURE_SIZE)

    def _draw_preview(self, preview: Any) -> None:
        # Drawing one decodes latents: the same preview is not drawn for every refresh.
        if preview is self._drawn:
            return
        self._drawn = preview
        try:
            self._preview = _drawing(preview)
        except Exception:
            logger.exception("a preview could not be drawn")
            self._preview = b""

    def _everything(self) -> Answer:
        """Return the message of the whole state with all images."""
        return self._message(self._state, self._state.nodes if self._state else [], list(self._pictures), True)

    def _updates(self, before: RunState | None, pictures: list[str], preview: bytes) -> Answer:
        state = self._state
        assert state is not None
        # States are named tuples: a changed one is another value, so equality finds what is new.
        known = set(before.nodes if before else ())
        fresh = [name for name in self._pictures if name not in pictures]
        return self._message(
            state, [node for node in state.nodes if node not in known], fresh, preview != self._preview
        )

    def _message(self, state: RunState | None, nodes: list[Any], pictures: list[str], with_preview: bool) -> Answer:
        if state is None:
            return {"type": "run", "state": None, "problem": self._problem}, []
        shown = {name: value for name, value in state._asdict().items() if name != "nodes"}
        content = {
            "type": "run",
            "run": self._run.id if self._run is not None else "",
            "state": shown,
            "nodes": [node._asdict() for node in nodes],
            "whole": nodes is state.nodes,
            "pictures": pictures,
            "preview": with_preview,
            "hasPreview": bool(self._preview),
            "problem": self._problem or self._errors(state),
        }
        buffers = [self._pictures[name] for name in pictures]
        return content, [*buffers, self._preview] if with_preview and self._preview else buffers

    def _errors(self, state: RunState) -> str:
        return "\n".join(f"{node.id}: {node.error}" for node in state.nodes if node.error) if self.compact else ""

    def mimebundle(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the view as an output by media type, with the HTML for readers without a kernel; and its metadata."""
        data, metadata = self.page_bundle()
        return {**data, **(static_bundle(self._run) if self._run else {"text/plain": repr(self)})}, metadata

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return self.mimebundle()

    def __repr__(self) -> str:
        return f"RunView({self._run!r})"


def _drawing(preview: Any) -> bytes:
    if preview is None:
        return b""
    picture: Any = preview() if callable(preview) else preview
    return thumbnail(picture, PREVIEW_SIZE)


class RunDisplay:
    """The display of a run in a cell: `run.wait(show=RunDisplay(run))`.

    Each call shows the present state; the call after the end of the run replaces the live view by the result. A run
    that ends before the first call needs no widget. The widget is closed at the end, so that neither the kernel nor
    the saved notebook keeps one for each run.
    """

    def __init__(self, run: ShownRun) -> None:
        self._run = run
        self._handle: Any = DisplayHandle()  # IPython does not annotate it
        self._view: RunView | None = None
        self._is_shown = False

    def __call__(self, progress: Any = None) -> None:
        with defer_interrupt():
            if self._run.is_done:
                self._end()
            elif self._view is None:
                self._view = RunView(self._run)
                self._show(self._view.mimebundle()[0])
            else:
                self._view.refresh()

    def follow(self) -> None:
        """Keep the display up to date on a thread of its own until the run has ended."""
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
        self._show(static_bundle(self._run, remix_on_page(self._run.services)))
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


def following_view(run: ShownRun, remix: str = "") -> RunView:
    """Return a view that follows the run to its end, for places whose output cannot be replaced; `remix` as there."""
    view = RunView(run, remix=remix)
    if not run.is_done:

        def follow() -> None:
            run.wait(show=lambda _: view.refresh())

        Thread(target=follow, name="nbgraph run view", daemon=True).start()
    return view
