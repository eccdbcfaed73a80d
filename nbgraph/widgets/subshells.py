"""Messages of a page are heard while a cell runs, where the kernel has subshells, and leave that cell's plots alone."""

from threading import current_thread, main_thread
from typing import Any

from ipywidgets import Widget

from nbgraph.widgets.js_bundle import BundledWidget


def hear_subshells(widget: BundledWidget) -> None:
    """Let messages come while a cell runs, on ipykernel 7.4 as on 7.0 to 7.3; older ones hear them after the cell."""
    if hasattr(widget.comm, "_reply_subshell_for"):
        widget.comm._reply_subshell_for = lambda data, default: default  # type: ignore[union-attr]
    spare_cell_plots(widget)


def spare_cell_plots(*widgets: Widget) -> None:
    """Handle messages in a subshell without the events that IPython fires at the end of a cell.

    Those events make matplotlib show and close all figures of pyplot, from the thread of the subshell: figures that a
    cell is just drawing come out blank, cut off, or twice.
    """
    for widget in widgets:
        _skip_cell_events(widget.comm)


def _skip_cell_events(comm: Any) -> None:
    if not hasattr(comm, "_msg_callback"):
        return
    handle = comm.handle_msg

    def handle_msg(message: Any) -> None:
        if current_thread() is main_thread():
            handle(message)
        elif comm._msg_callback is not None:
            comm._msg_callback(message)

    comm.handle_msg = handle_msg
