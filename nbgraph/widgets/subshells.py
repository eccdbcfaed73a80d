"""Messages of a page are heard while a cell runs, where the kernel has subshells."""

from nbgraph.widgets.js_bundle import BundledWidget


def hear_subshells(widget: BundledWidget) -> None:
    """Let messages come while a cell runs, on ipykernel 7.4 as on 7.0 to 7.3; older ones hear them after the cell."""
    if hasattr(widget.comm, "_reply_subshell_for"):
        widget.comm._reply_subshell_for = lambda data, default: default  # type: ignore[union-attr]
