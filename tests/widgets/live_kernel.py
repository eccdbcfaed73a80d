"""A real kernel without a front end: cells are run, their outputs and comms are what a notebook would hold."""

import os
import time
from collections.abc import Callable
from typing import Any

from jupyter_client.manager import start_new_kernel

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


class LiveKernel:
    """`run(source)` gives the outputs of a cell; `comms` are the widgets that are open, by id.

    `redrawn` counts the bytes of each display that took the place of an earlier one.
    """

    def __init__(self) -> None:
        self._manager, self._client = start_new_kernel(env={**os.environ, "OMP_NUM_THREADS": "1"})
        self._places: dict[str, dict[str, Any]] = {}
        self.comms: dict[str, Any] = {}
        self.redrawn: list[int] = []

    def run(self, source: str, seconds: float = 120) -> list[dict[str, Any]]:
        """Run a cell to its end; the outputs as they are then, each a dictionary of types. Errors are raised."""
        self.started = self.begin(source)
        return self.end(self.started, seconds)

    def begin(self, source: str) -> str:
        """Start a cell."""
        return self._client.execute(source)

    def end(self, message_id: str, seconds: float = 120) -> list[dict[str, Any]]:
        """Wait for the end of a cell."""
        outputs: list[dict[str, Any]] = []
        while True:
            message = self._take(outputs, seconds)
            mine = message["parent_header"].get("msg_id") == message_id
            if mine and message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return outputs

    def until(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        """Take what comes from threads until a condition holds."""
        end = time.monotonic() + seconds
        while not condition():
            self._take([], end - time.monotonic())

    def settle(self, seconds: float) -> None:
        """Take what comes from threads for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                self._take([], left)
            except TimeoutError:
                return

    def ask(self, comm_id: str, content: Any, subshell: str | None = None) -> None:
        """Send a custom message to a widget, as a page does; in a subshell it is heard while a cell runs."""
        self._send(comm_id, {"method": "custom", "content": content}, subshell)

    def change(self, comm_id: str, state: dict[str, Any], subshell: str | None = None) -> None:
        """Change the state of a widget, as its page does."""
        self._send(comm_id, {"method": "update", "state": state, "buffer_paths": []}, subshell)

    def _send(self, comm_id: str, data: dict[str, Any], subshell: str | None) -> None:
        message = self._client.session.msg("comm_msg", {"comm_id": comm_id, "data": data})
        if subshell is not None:
            message["header"]["subshell_id"] = subshell
        self._client.shell_channel.send(message)

    def new_subshell(self) -> str:
        """A new subshell of the kernel, which works beside the cell that runs; its id."""
        request = self._client.session.msg("create_subshell_request", {})
        self._client.control_channel.send(request)
        return self._client.get_control_msg(timeout=60)["content"]["subshell_id"]

    def interrupt(self) -> None:
        """The Stop button."""
        self._manager.interrupt_kernel()

    def close(self) -> None:
        """End the kernel."""
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)

    def _take(self, outputs: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
        try:
            message = self._client.get_iopub_msg(timeout=seconds)
        except Exception as error:
            raise TimeoutError(f"nothing came for {seconds} seconds") from error
        kind, content = message["msg_type"], message["content"]
        if kind == "error":
            raise AssertionError("\n".join(content["traceback"]))
        if kind in ("display_data", "execute_result", "update_display_data"):
            self._show(outputs, kind, content)
        elif kind == "stream":
            outputs.append({content["name"]: content["text"]})
        elif kind == "comm_open":
            self.comms[content["comm_id"]] = content["data"]["state"]
        elif kind == "comm_close":
            self.comms.pop(content["comm_id"], None)
        return message

    def _show(self, outputs: list[dict[str, Any]], kind: str, content: dict[str, Any]) -> None:
        place = content.get("transient", {}).get("display_id", "")
        if kind == "update_display_data":
            self.redrawn.append(sum(map(len, content["data"].values())))
            shown = self._places[place]
            shown.clear()
            shown.update(content["data"])
            return
        outputs.append(dict(content["data"]))
        if place:
            self._places[place] = outputs[-1]
