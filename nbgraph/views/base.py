"""The base of the views of a studio: a live widget where there is a page, HTML where there is no kernel."""

from typing import Any

from nbgraph.html import Html
from nbgraph.loading import load
from nbgraph.notebook import is_in_notebook, is_open, put_out

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


class Shown:
    """Base of views. A subclass defines `_html()`, and `_make_widget()`, which returns a widget.

    A notebook gets two outputs: the widget, and the HTML, which the widget hides as long as it lives. A notebook that
    was saved and is opened without its kernel still shows the HTML. A view has one widget, however often it is shown.
    """

    _made: Any = None
    _side: Any = None

    @property
    def widget(self) -> Any:
        """The widget, made when it is first needed, and again after it was closed."""
        if self._made is None or not is_open(self._made):
            self._made = self._make_widget()
            self._side = widget_class("static_fallback", "StaticFallback")(self._made.model_id, self._static)
            self._made.on_change = self._side.changed
        return self._made

    def _make_widget(self) -> Any:
        raise NotImplementedError

    def _html(self) -> Html:
        raise NotImplementedError

    def _static(self) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._html()}

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {**self._view(), **self._static()} if is_in_notebook() else self._static()

    def _ipython_display_(self) -> None:
        if not is_in_notebook():
            raise NotImplementedError  # IPython then shows the view by its repr
        put_out({**self._view(), "text/plain": repr(self)})
        self._side.show()

    def _display_(self) -> Any:
        """Return the widget that marimo shows."""
        return self.widget

    def _view(self) -> dict[str, Any]:
        return {WIDGET_VIEW: {"version_major": 2, "version_minor": 0, "model_id": self.widget.model_id}}


def widget_class(module: str, name: str) -> Any:
    """Return a class or function of `nbgraph.widgets`, loaded now.

    Importing a view loads neither ipywidgets nor anywidget, which takes longer than all the rest of nbgraph.
    """
    return getattr(load(f"nbgraph.widgets.{module}"), name)
