"""How a view of the studio shows itself: as a live widget where there is a page, as HTML where there is no kernel."""

from importlib import import_module
from typing import Any

from IPython.core.getipython import get_ipython
from IPython.display import display

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


class Shown:
    """Base of views. A subclass gives `_make_widget()`, an ipywidget that hides `.nbgraph-static-ID`, and `_html()`.

    A notebook gets two outputs: the widget, and the HTML, which the widget hides as long as it lives. So a notebook
    that was saved and opened without its kernel still shows what there was. There is one widget however often a view
    is shown.
    """

    _made: Any = None

    @property
    def widget(self) -> Any:
        """The ipywidget, made when first asked for, and anew if it was closed."""
        if self._made is None or self._made.comm is None:
            self._made = self._make_widget()
        return self._made

    def _make_widget(self) -> Any:
        raise NotImplementedError

    def _html(self) -> str:
        raise NotImplementedError

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        bundle: dict[str, Any] = {"text/plain": repr(self), "text/html": self._html()}
        return {**self._view(), **bundle} if is_in_notebook() else bundle

    def _ipython_display_(self) -> None:
        if not is_in_notebook():
            raise NotImplementedError
        name = f"nbgraph-static nbgraph-static-{self.widget.model_id}"
        display({**self._view(), "text/plain": repr(self)}, raw=True)
        display({"text/html": f'<div class="{name}">{self._html()}</div>', "text/plain": repr(self)}, raw=True)

    def _view(self) -> dict[str, Any]:
        return {WIDGET_VIEW: {"version_major": 2, "version_minor": 0, "model_id": self.widget.model_id}}


def is_in_notebook() -> bool:
    """Whether cells are run by a kernel, so that a widget has a page to be on."""
    return hasattr(get_ipython(), "kernel")


def widget_class(module: str, name: str) -> Any:
    """A class of `nbgraph.widgets`, loaded now: importing a view loads neither ipywidgets nor anywidget."""
    return getattr(import_module(f"nbgraph.widgets.{module}"), name)
