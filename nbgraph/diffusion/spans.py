"""Spans of steps: from which share of them to which something steers."""

from nbgraph.errors import ModelError


def check_span(what: str, start: float, end: float) -> None:
    """Raise `ModelError` unless 0 <= start < end <= 1; it begins with `what`: `a ControlNet cannot steer`."""
    if not 0 <= start < end <= 1:
        raise ModelError(
            f"{what} from {start} to {end}: both are shares of the steps between 0 and 1, and the start comes first"
        )
