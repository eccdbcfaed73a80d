"""Facts about the front end: is there a page for a widget, and is a widget still on it."""

from typing import Any

from IPython.core.getipython import get_ipython


def is_in_notebook() -> bool:
    """Return whether a kernel runs the cells, so that a widget has a page to be on."""
    return hasattr(get_ipython(), "kernel")


def is_open(widget: Any) -> bool:
    """Return whether a widget can be shown. marimo closes the widgets of a cell that runs again."""
    return widget.comm is not None and not getattr(widget.comm, "_closed", False)
