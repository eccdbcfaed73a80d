"""What `nbgraph lab` does."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

from nbgraph.errors import NbgraphError


def lab(folder: Path) -> int:
    """Become JupyterLab in that folder; `NbgraphError` if it is not installed."""
    if find_spec("jupyterlab") is None:
        raise NbgraphError("JupyterLab is not installed here; install it with: pip install jupyterlab")
    if not folder.is_dir():
        raise NbgraphError(f"there is no folder {str(folder)!r}")
    os.execv(sys.executable, [sys.executable, "-m", "jupyterlab", str(folder)])  # noqa: S606
