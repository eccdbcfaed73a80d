"""A page for widgets that are asked: it keeps what it is told, and asks as a browser does."""

from typing import Any

from nbgraph.widgets.rpc import RpcWidget


class PanelPage:
    """`ask(question)` gives the answer and its buffers; `heard` has all that was told."""

    def __init__(self, widget: RpcWidget) -> None:
        self.widget = widget
        self.heard: list[tuple[dict[str, Any], list[bytes]]] = []
        widget.send = lambda content, buffers=None: self.heard.append((content, buffers or []))  # type: ignore[method-assign]

    def ask(self, content: Any) -> tuple[dict[str, Any], list[bytes]]:
        before = len(self.heard)
        self.widget._handle_custom_msg(content, [])
        [answer] = [each for each in self.heard[before:] if each[0]["type"] != "changed"]
        return answer

    @property
    def news(self) -> list[dict[str, Any]]:
        return [content for content, _ in self.heard if content["type"] == "changed"]
