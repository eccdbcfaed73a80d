"""What the commands that look at graphs without running them do. Nothing here loads torch or pandas."""

import os
import sys
from pathlib import Path
from tempfile import NamedTemporaryFile

from nbgraph.cli import ExitCode
from nbgraph.errors import GraphError, NbgraphError, Problem
from nbgraph.grammar.catalogue import COMMAND_NAMES, Catalogue, describe_node, node_table
from nbgraph.grammar.lexer import Word
from nbgraph.grammar.writer import graph_lines
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.graph_json import MAX_BYTES, foreign_error, foreign_text
from nbgraph.texts import one_line


def open_graph(file: str) -> Graph:
    """The graph in a JSON file, or on stdin for `-`."""
    data = sys.stdin.buffer.read(MAX_BYTES + 1) if file == "-" else read_bytes(Path(file))
    return graph_from_bytes(data, _source_name(file))


def _source_name(file: str) -> str:
    """What errors call a file."""
    return "stdin" if file == "-" else file


def validate(files: list[str]) -> int:
    """Say what is wrong with each file, a line each."""
    code = ExitCode.DONE
    for file in files:
        try:
            graph = open_graph(file).validate()
        except GraphError as error:
            code = ExitCode.BAD_INPUT
            for problem in error.problems:
                print(one_line(_located(problem, file)), file=sys.stderr)
        except NbgraphError as error:
            code = ExitCode.BAD_INPUT
            print(one_line(str(error)), file=sys.stderr)
        else:
            print(one_line(f"{file}: valid, {len(graph)} nodes, {len(graph.edges)} edges"))
    return code


def _located(problem: Problem, file: str) -> str:
    """A problem with the file it is in, which it names itself where it is about no node."""
    return str(problem) if problem.node == _source_name(file) else f"{file}: {problem}"


def describe(type: str) -> int:
    """A page about a node type, or the table of all."""
    catalogue = Catalogue()
    if type:
        print(describe_node(catalogue.node_class(Word(type, 1, len(type))), type))
    else:
        print(node_table({name: cls for name in catalogue.types() if (cls := catalogue.find(name))}))
    return ExitCode.DONE


def export(file: str, python: bool, lines: bool, out: Path | None) -> int:
    """A graph as Python or as lines."""
    if python == lines:
        raise NbgraphError("give --python or --lines")
    graph = open_graph(file)
    text = graph.to_python() if python else "\n".join(graph_lines(graph, Catalogue(commands=COMMAND_NAMES))) + "\n"
    if out is None:
        print(text, end="")
    else:
        write_text(out, text)
    return ExitCode.DONE


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
