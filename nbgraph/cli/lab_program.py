"""What `nbgraph lab` does."""

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from nbgraph.errors import NbgraphError


def lab(words: Sequence[str]) -> int:
    """Become JupyterLab with that folder or notebook and those options; `NbgraphError` if it is not installed."""
    if find_spec("jupyterlab") is None:
        raise NbgraphError("JupyterLab is not installed here; install it with: pip install jupyterlab")
    if words and not words[0].startswith("-") and not Path(words[0]).exists():
        raise NbgraphError(f"there is no folder or notebook {words[0]!r}")
    os.execv(sys.executable, [sys.executable, "-m", "jupyterlab", *words])  # noqa: S606
