"""The command `nbgraph app`: the form of a graph as a web page, served by Voila."""

import json
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nbgraph.cli import ExitCode
from nbgraph.cli.graph_programs import open_graph
from nbgraph.errors import NbgraphError

PACKAGE = "voila"
IDLE_SECONDS = 600
"""After so long without a page and without work a kernel ends; each page that is opened starts one."""
LOOPBACK = "127.0.0.1"
CODE = """import nbgraph as nb

studio = nb.Studio({folder!r})
studio.form(nb.Graph.from_json({graph!r}))
"""


def serve_form(file: str, folder: Path | None, host: str, port: int) -> int:
    """Serve the form of a graph until it is interrupted. Returns the exit code.

    Raises `NbgraphError` without the package voila, and for a graph that cannot run.
    """
    if find_spec(PACKAGE) is None:
        raise NbgraphError("a form is served by the package voila, which is not installed: pip install voila")
    graph = open_graph(file).validate().to_json()
    # else Voila and the folder would outlive a program that is ended by a service manager
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with TemporaryDirectory(prefix="nbgraph-app-") as place:
        notebook = Path(place) / "form.ipynb"
        notebook.write_text(form_notebook(graph, folder), encoding="utf-8")
        done = subprocess.run(voila_command(notebook, host, port), check=False)  # noqa: S603
    return done.returncode or ExitCode.DONE


def form_notebook(graph: str, folder: Path | None) -> str:
    """Return a notebook whose only cell shows the form of a graph, given as JSON, on the studio of a folder."""
    code = CODE.format(folder=None if folder is None else str(folder.resolve()), graph=graph)
    cell: dict[str, Any] = {
        "cell_type": "code",
        "id": "form",
        "metadata": {},
        "execution_count": None,
        "outputs": [],
        "source": code,
    }
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel}, "cells": [cell]})


def voila_command(notebook: Path, host: str, port: int) -> list[str]:
    """Return the command that serves a notebook; other machines reach it only where `host` is no loopback address."""
    options = [f"--Voila.ip={host}", f"--port={port}", "--no-browser", "--strip_sources=True"]
    idle = {"cull_interval": IDLE_SECONDS // 10, "cull_idle_timeout": IDLE_SECONDS}
    ends = [f"--MappingKernelManager.{name}={seconds}" for name, seconds in idle.items()]
    return [sys.executable, "-m", PACKAGE, str(notebook), *options, *ends]
