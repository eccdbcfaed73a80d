"""Files that hold graphs: read with a limit, written whole or not at all."""

import os
from pathlib import Path
from tempfile import NamedTemporaryFile

from nbgraph.errors import GraphError, NbgraphError, Problem
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.graph_json import MAX_BYTES, foreign_error, foreign_text


def read_bytes(path: Path) -> bytes:
    """The bytes of a file of at most the size a graph may have; `NbgraphError` names the file and what is wrong."""
    try:
        with path.open("rb") as file:
            found = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise NbgraphError(f"{str(path)!r} cannot be read: {error.strerror or error}") from None
    if len(found) > MAX_BYTES:
        raise NbgraphError(f"{str(path)!r} is larger than a graph may be ({MAX_BYTES:,} bytes)")
    return found


def read_graph(path: Path) -> Graph:
    """The graph in a JSON file; errors name the file."""
    return graph_from_bytes(read_bytes(path), str(path))


def graph_from_bytes(data: bytes, name: str) -> Graph:
    """The graph that bytes hold as JSON; errors say where they come from."""
    try:
        return Graph.from_json(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        if seems := foreign_text(data[:200].decode("utf-8", "replace")):
            raise GraphError([Problem(p.kind, p.message, name) for p in foreign_error(seems).problems]) from None
        raise NbgraphError(
            f"{name!r} is no text: byte {error.start + 1} is not UTF-8; a graph is a JSON file"
        ) from None
    except GraphError as error:
        raise GraphError([Problem(p.kind, p.message, p.node or name, p.field) for p in error.problems]) from None


def write_text(path: Path, text: str) -> None:
    """Write a file beside its place, then put it there: an interrupted write leaves the old one."""
    try:
        with NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
            file.write(text)
        os.replace(file.name, path)
    except (OSError, UnicodeEncodeError) as error:
        raise NbgraphError(f"{str(path)!r} cannot be written: {getattr(error, 'strerror', None) or error}") from None
