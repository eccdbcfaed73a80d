"""The command `nbgraph run`: run the graph of a file with other values, write its images, print its results."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from nbgraph.cli import ExitCode
from nbgraph.cli.graph_programs import open_graph
from nbgraph.cli.results import node_lines, write_image
from nbgraph.cli.shell import open_studio
from nbgraph.cli.shell_session import CANCEL_SECONDS
from nbgraph.errors import NbgraphError, suggest
from nbgraph.grammar.lexer import GrammarError, Word
from nbgraph.grammar.values import parse_value
from nbgraph.progress import progress_display
from nbgraph.run import Run
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.studio import Studio
from nbgraph.texts import one_line


def run(file: str, changes: list[str], folder: Path | None, out: Path | None, as_json: bool) -> int:
    """Run a graph, write its images and print its results. Returns the exit code.

    Everything that can be refused is refused before the first node runs.
    """
    graph = open_graph(file)
    graph = graph.with_values(dict(read_change(graph, change) for change in changes)).validate()
    if out is not None:
        check_destination(out)
    with open_studio(folder) as studio:
        handle = studio.submit(graph)
        interrupted = _wait(handle)
        paths = write_images(handle.images, out) if out is not None else []
        print_results(handle, studio, paths, as_json)
        missing = out is not None and not paths and not interrupted
    for error in handle.errors:
        print(f"nbgraph: {one_line(str(error))}", file=sys.stderr)
    if missing:
        print(f"nbgraph: the graph made no image for --out {str(out)!r}", file=sys.stderr)
    if interrupted:
        print("nbgraph: interrupted; what had finished is kept", file=sys.stderr)
        return ExitCode.INTERRUPTED
    return ExitCode.DONE if handle.status == "completed" and not missing else ExitCode.FAILED


def _wait(handle: Run) -> bool:
    """Wait, with progress on stderr. Returns whether a person interrupted the run."""
    try:
        handle.wait(show=progress_display("text"))
    except KeyboardInterrupt:
        # what has finished is stored before the studio closes
        handle.cancel()
        handle.wait(CANCEL_SECONDS)
        return True
    return False


def read_change(graph: Graph, change: str) -> tuple[str, Any]:
    """Return the address and the typed value of `noise.seed=3`. Raises `NbgraphError` for a bad one."""
    address, equals, text = change.partition("=")
    # from the right, because ids may hold dots and names of inputs do not
    node_id, dot, field = address.rpartition(".")
    if not equals or not dot:
        raise NbgraphError(f"--set {change!r} is not of the form NODE.FIELD=VALUE, such as --set noise.seed=7")
    if node_id not in graph.nodes:
        raise NbgraphError(f"--set {change!r}: there is no node {node_id!r}{suggest(node_id, graph.nodes)}")
    specs = graph.nodes[node_id].inputs()
    if field not in specs:
        named = f"{node_id!r} ({graph.nodes[node_id].type})"
        raise NbgraphError(f"--set {change!r}: {named} has no input {field!r}{suggest(field, specs)}")
    spec, word = specs[field], Word(text, 1, len(text))
    try:
        return address, parse_value(spec.annotation, (word,), f"set {address}", 1, spec.info.metadata)
    except GrammarError as error:
        raise NbgraphError(error.message) from None  # without a column: a shell may have changed what was typed


def check_destination(out: Path) -> None:
    """Raise `NbgraphError` if no image can be written there: no folder, no permission, no known format."""
    if not out.parent.is_dir():
        raise NbgraphError(f"--out {str(out)!r}: there is no folder {str(out.parent)!r}; make it first")
    folder = out if out.is_dir() else out.parent
    if not os.access(folder, os.W_OK):
        raise NbgraphError(f"--out {str(out)!r}: the folder {str(folder.resolve())!r} may not be written; give another")
    if out.suffix and not out.is_dir() and out.suffix.lower() not in Image.registered_extensions():
        raise NbgraphError(f"--out {str(out)!r}: no image format ends in {out.suffix!r}; use .png, .jpg or .webp")


def write_images(images: Sequence[Image.Image], out: Path) -> list[Path]:
    """Write one image to `out` itself, several numbered; `out` without an ending is a folder. Returns the files."""
    if not images:
        return []
    if out.is_dir() or not out.suffix:
        out.mkdir(exist_ok=True)
        paths = [out / f"{number}.png" for number in range(len(images))]
    elif len(images) == 1:
        paths = [out]
    else:
        paths = [out.with_name(f"{out.stem}-{number}{out.suffix}") for number in range(len(images))]
    for image, path in zip(images, paths):
        write_image(image, path)
    return paths


def print_results(handle: Run, studio: Studio, paths: Sequence[Path], as_json: bool) -> None:
    """Print the files of images, or else the results of the nodes that no other node uses; or all of it as JSON."""
    if as_json:
        print(json.dumps(as_dict(handle, paths), ensure_ascii=False))
        return
    if paths:
        print("\n".join(map(str, paths)))
        return
    for node_id in handle.graph.ends:
        if handle.session.outputs_of(node_id):
            print("\n".join(node_lines(handle.graph, handle.session, node_id, studio.services)))


def as_dict(handle: Run, paths: Sequence[Path]) -> dict[str, Any]:
    """Return a run as JSON values: status, seconds, outputs by node and path, files written, errors."""
    outputs = {
        node_id: [
            {"path": list(path), **output.model_dump(mode="json")}
            for path, output in handle.session.outputs_of(node_id).items()
        ]
        for node_id in handle.graph.nodes
    }
    errors = [{"node": error.node, "type": error.type, "message": error.message} for error in handle.errors]
    return {
        "session": handle.id,
        "status": handle.status,
        "seconds": round(handle.progress.seconds, 3),
        "outputs": outputs,
        "files": [str(path) for path in paths],
        "errors": errors,
    }
