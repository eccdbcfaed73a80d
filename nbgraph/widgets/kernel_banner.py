"""The banner above panels of Jupyter's own controls: their kernel is gone, and this call opens them in a new one."""

from typing import Any, Literal

import traitlets
from pydantic import TypeAdapter

from nbgraph.widgets.rpc import Answer, Request, RpcWidget

PANEL = "nbgraph-controls"
"""The class of the box that a banner belongs to: its page asks for an answer when something in it is used."""


class Ping(Request):
    """Check that the kernel answers; sent when a control of the panel is used."""

    type: Literal["ping"]


class KernelBanner(RpcWidget):
    """Shows nothing while the kernel answers; `call` is the Python call that shows the panel again."""

    _widget = traitlets.Unicode("kernel_banner").tag(sync=True)
    _call = traitlets.Unicode().tag(sync=True)
    _requests = TypeAdapter(Ping)

    def __init__(self, call: str) -> None:
        super().__init__(_call=call)  # shown as text by the page, never run

    def _answer(self, request: Ping, buffers: list[Any]) -> Answer:
        return {"type": "done"}, []
