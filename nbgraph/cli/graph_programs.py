"""The commands `nbgraph validate`, `describe` and `export`, and files of graphs. Loads neither torch nor pandas."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile

from nbgraph.cli import ExitCode
from nbgraph.errors import GraphError, NbgraphError, Problem
from nbgraph.grammar.catalogue import COMMAND_NAMES, Catalogue, describe_node, node_table
from nbgraph.grammar.lexer import GrammarError, Word
from nbgraph.grammar.writer import graph_lines
from nbgraph.recipes.chunks import is_picture
from nbgraph.recipes.local import open_recipe
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.graph_json import MAX_BYTES, foreign_error, foreign_text
from nbgraph.texts import one_line


def open_graph(file: str) -> Graph:
    """Return the graph of a JSON file, or of stdin for `-`. Errors name the file."""
    # one byte over the limit is enough to see that a graph is too large, without reading all of it
    data = sys.stdin.buffer.read(MAX_BYTES + 1) if file == "-" else read_bytes(Path(file))
    return graph_from_bytes(data, _source_name(file))


def _source_name(file: str) -> str:
    """Return the name of a file in errors."""
    return "stdin" if file == "-" else file


def validate(files: list[str]) -> int:
    """Print a line for each file, and one for each problem. Returns the exit code."""
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
    """Return a problem with its file; a problem of no node names the file itself."""
    return str(problem) if problem.node == _source_name(file) else f"{file}: {problem}"


def describe(type: str) -> int:
    """Print the help of a node type, or the table of all. Returns the exit code."""
    catalogue = Catalogue()
    if type:
        try:
            print(describe_node(catalogue.node_class(Word(type, 1, len(type))), type))
        except GrammarError as error:
            raise NbgraphError(error.message) from None  # without a column: no line was typed
    else:
        print(node_table({name: cls for name in catalogue.types() if (cls := catalogue.find(name))}))
    return ExitCode.DONE


def export(file: str, forms: Sequence[str], out: Path | None) -> int:
    """Write a graph in one of `FORMS`, to `out` or to stdout. Returns the exit code."""
    if len(forms) != 1:
        flags = [f"--{form}" for form in FORMS]
        raise NbgraphError(f"export takes one of {', '.join(flags[:-1])} and {flags[-1]}, which say what to write")
    text = FORMS[forms[0]](open_graph(file))
    if out is None:
        print(text, end="")
    else:
        write_text(out, text)
    return ExitCode.DONE


def _lines(graph: Graph) -> str:
    return "\n".join(graph_lines(graph, Catalogue(commands=COMMAND_NAMES))) + "\n"


FORMS: dict[str, Callable[[Graph], str]] = {
    "python": Graph.to_python,
    "lines": _lines,
    "diffusers": Graph.to_diffusers,
    "comfyui": Graph.to_comfy,
}
"""What a graph is exported as, by the option of `nbgraph export` that asks for it."""


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a file, at most as many as a graph may have. Raises `NbgraphError` that names the file."""
    try:
        with path.open("rb") as file:
            found = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise NbgraphError(f"there is no file {str(path)!r} (looked in {Path.cwd()})") from None
    except OSError as error:
        raise NbgraphError(f"{str(path)!r} cannot be read: {error.strerror or error}") from None
    if len(found) > MAX_BYTES:
        raise NbgraphError(f"{str(path)!r} is larger than a graph may be ({MAX_BYTES:,} bytes)")
    return found


def read_graph(path: Path) -> Graph:
    """Return the graph of a JSON file. Errors name the file."""
    return graph_from_bytes(read_bytes(path), str(path))


def graph_from_bytes(data: bytes, name: str) -> Graph:
    """Return the graph in the bytes of a JSON file. Errors begin with `name`, where the bytes come from."""
    if not data.strip():
        raise NbgraphError(f"{name} is empty; a graph is a JSON file, such as `save` of the shell writes")
    if is_picture(data):
        return _foreign(data, name)
    try:
        return Graph.from_json(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        if seems := foreign_text(data[:200].decode("utf-8", "replace")):
            raise GraphError([Problem(p.kind, p.message, name) for p in foreign_error(seems).problems]) from None
        raise NbgraphError(
            f"{name!r} is not a text file: byte {error.start + 1} is not UTF-8; a graph is a JSON file"
        ) from None
    except GraphError as error:
        if any(problem.kind == "foreign_file" for problem in error.problems):
            return _foreign(data, name)
        raise GraphError([Problem(p.kind, p.message, p.node or name, p.field) for p in error.problems]) from None


def _foreign(data: bytes, name: str) -> Graph:
    """The graph in a picture or in a file of another program; what was not taken over exactly is said on stderr."""
    opened = open_recipe(data, name)
    for finding in opened.report.sorted():
        if finding.state != "exact":
            print(one_line(f"{name}: {finding.state}: {finding.what}: {finding.why}"), file=sys.stderr)
    return opened.graph


def write_text(path: Path, text: str) -> None:
    """Write a file beside its place, then move it there: an interrupted write leaves the old file whole."""
    try:
        # beside its place, because a file is replaced atomically only within one filesystem
        with NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
            file.write(text)
        os.replace(file.name, path)
    except (OSError, UnicodeEncodeError) as error:
        raise cannot_write(path, error) from None


def cannot_write(path: Path, error: Exception) -> NbgraphError:
    """Return the error for a file that cannot be written; a missing folder is named, whatever library tried it."""
    if not path.parent.is_dir():
        reason = f"there is no folder {str(path.parent)!r}"
    elif path.is_dir():
        reason = "it is a folder; give the name of a file"
    else:
        reason = getattr(error, "strerror", None) or str(error)
    return NbgraphError(f"{str(path)!r} cannot be written: {reason}")
