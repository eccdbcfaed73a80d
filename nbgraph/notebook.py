"""The front end: whether there is a page for a widget, outputs of cells, and requests of pages of earlier kernels."""

import sys
from collections.abc import Mapping
from typing import Any, Protocol
from weakref import WeakSet

from nbgraph.loading import load

TARGET = "nbgraph.open_document"
"""The name of the comm by which a page whose kernel is gone requests its drawing from the present one."""


class Opener(Protocol):
    """An object that has documents and runs: a studio."""

    @property
    def services(self) -> object:
        """The services in which it keeps both."""
        ...

    def remix_on_page(self) -> str:
        """Return the model id of the widget that makes new things from runs on the page."""
        ...

    def open_on_page(self, document_id: str) -> str:
        """Return the model id of a canvas of that document; empty if it is not here."""
        ...


# Weak, so that a studio that was dropped without `close` is collected.
_openers: "WeakSet[Opener]" = WeakSet()


def shell() -> Any:
    """Return the IPython shell that runs the cells, None without one.

    A process that has not imported IPython has none; it need not be imported, which takes long, to find that out.
    """
    ipython = sys.modules.get("IPython.core.getipython")
    return None if ipython is None else ipython.get_ipython()


def is_in_notebook() -> bool:
    """Return whether a kernel runs the cells, so that a widget can have a page."""
    return hasattr(shell(), "kernel")


def put_out(
    bundle: Mapping[str, Any],
    metadata: Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
    again: bool = False,
) -> None:
    """Put an output into the cell that runs.

    Parameters
    ----------
    bundle, metadata
        The output by media type, and its metadata.
    name
        A name by which it can be replaced later.
    again
        Replace the outputs of that name, in whichever cells they are, instead of adding one.
    """
    display = load("IPython.display").display
    display(dict(bundle), metadata=dict(metadata or {}), raw=True, display_id=name, update=again)


def is_open(widget: Any) -> bool:
    """Return whether a widget can be shown. marimo closes the widgets of a cell that runs again."""
    return widget.comm is not None and not getattr(widget.comm, "_closed", False)


def offer_documents(opener: Opener) -> None:
    """Let pages of an earlier kernel open their drawings in a studio; nothing happens without a kernel."""
    if is_in_notebook():
        _openers.add(opener)
        shell().kernel.comm_manager.register_target(TARGET, _open_on_page)


def remix_on_page(services: object) -> str:
    """Return the model id of the widget that makes new things from runs in these services; empty without a page."""
    return next((opener.remix_on_page() for opener in list(_openers) if opener.services is services), "")


def _open_on_page(comm: Any, message: Any) -> None:
    """Send a page the model id of a canvas on its drawing, or an empty one if no studio has it."""
    # A page is not trusted: its message may have any form.
    data: Any = message["content"]["data"]
    wanted: Any = data.get("document") if hasattr(data, "get") else None
    found = ""
    if isinstance(wanted, str):
        found = next((model_id for opener in list(_openers) if (model_id := opener.open_on_page(wanted))), "")
    comm.send({"model": found})
