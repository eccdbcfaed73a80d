"""A finished drawing, which shows itself as a picture in every notebook, whatever matplotlib is set to there."""

from io import BytesIO
from typing import Any

DPI = 90


class Drawing:
    """A matplotlib figure that nothing else holds; `figure` can still be changed and saved."""

    def __init__(self, figure: Any) -> None:
        self.figure = figure

    def _repr_png_(self) -> bytes:
        buffer = BytesIO()
        self.figure.savefig(buffer, format="png", dpi=DPI)
        return buffer.getvalue()

    def __repr__(self) -> str:
        return "Drawing of a graph; .figure is the matplotlib figure"
