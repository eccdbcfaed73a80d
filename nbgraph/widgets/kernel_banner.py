"""The banner above panels made of Jupyter's own controls: their kernel is gone, and what to type for a new one."""

from typing import Any, Literal

import traitlets
from pydantic import TypeAdapter

from nbgraph.widgets.rpc import Answer, Request, RpcWidget

PANEL = "nbgraph-controls"
"""The class of the box that a banner belongs to: its page asks for an answer when something in it is used."""


class Ping(Request):
    """A control of the panel is used: is the kernel there?"""

    type: Literal["ping"]


class KernelBanner(RpcWidget):
    """Shows nothing as long as the kernel answers; `call` is what shows the panel again."""

    _widget = traitlets.Unicode("kernel_banner").tag(sync=True)
    _call = traitlets.Unicode().tag(sync=True)
    _requests = TypeAdapter(Ping)

    def __init__(self, call: str) -> None:
        super().__init__(_call=call)

    def _answer(self, request: Ping, buffers: list[Any]) -> Answer:
        return {"type": "done"}, []
