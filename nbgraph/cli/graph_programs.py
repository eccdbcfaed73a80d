"""What the commands that look at graphs without running them do. Nothing here loads torch or pandas."""

import sys
from pathlib import Path

from nbgraph.cli.descriptions import describe_node, node_table
from nbgraph.cli.files import graph_from_bytes, read_bytes, write_text
from nbgraph.errors import GraphError, NbgraphError, Problem
from nbgraph.grammar.catalogue import COMMAND_NAMES, Catalogue
from nbgraph.grammar.lexer import Word, one_line
from nbgraph.grammar.writer import graph_lines
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.graph_json import MAX_BYTES

DONE, REFUSED = 0, 2


def open_graph(file: str) -> Graph:
    """The graph in a JSON file, or on stdin for `-`."""
    data = sys.stdin.buffer.read(MAX_BYTES + 1) if file == "-" else read_bytes(Path(file))
    return graph_from_bytes(data, _source_name(file))


def _source_name(file: str) -> str:
    """What errors call a file."""
    return "stdin" if file == "-" else file


def validate(files: list[str]) -> int:
    """Say what is wrong with each file, a line each."""
    code = DONE
    for file in files:
        try:
            graph = open_graph(file).validate()
        except GraphError as error:
            code = REFUSED
            for problem in error.problems:
                print(one_line(_located(problem, file)), file=sys.stderr)
        except NbgraphError as error:
            code = REFUSED
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
    return DONE


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
    return DONE
