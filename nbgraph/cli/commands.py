"""The commands of the shell and the magics about the session: its nodes, defaults, history and files."""

from pathlib import Path

from nbgraph.cli.command_table import CommandTable, Reply
from nbgraph.cli.graph_programs import read_graph, write_text
from nbgraph.cli.graph_texts import execution_drawing, graph_drawing
from nbgraph.cli.results import node_lines, result_of
from nbgraph.cli.shell_session import ExitShell, ShellSession
from nbgraph.errors import NbgraphError, suggest
from nbgraph.grammar.catalogue import describe_node, node_table
from nbgraph.grammar.compiler import find_node
from nbgraph.grammar.lexer import GrammarError, Word
from nbgraph.grammar.values import parse_value
from nbgraph.grammar.writer import graph_lines, node_line
from nbgraph.texts import one_line

COMMANDS = CommandTable()
command = COMMANDS.command

INTRODUCTION = """\
A line is one stage, or several joined by "|": node types with options, then
commands.
    rand_int | add --b 1 | mul --link -2 value a --link -1 value b
    --FIELD VALUE          a typed value, lists as JSON; --FLAG and --no-FLAG
    --link SRC FIELD DEST  an edge from an output of SRC, which is an id, or -N
                           counted back from here (-1 is the node before)
    --link_node SRC        edges by equal name and fitting type
    --id NAME              a name for the node
A stage is linked to the one before it in the pipe. A line is performed as a
whole or not at all. help NAME describes a command or a node type.
commands:"""


@command("help", "how to write a line; what a command or a node type takes", "?")
def show_help(session: ShellSession, name: str = "") -> Reply:
    found = (
        {key: each for key, each in COMMANDS.commands.items() if name in (key, key.split()[0])}
        if name
        else COMMANDS.commands
    )
    if found:
        return Reply("\n".join(([] if name else [INTRODUCTION]) + [each.help for each in found.values()]))
    return _describe(session, name)


@command("exit", "leave the shell", "quit")
def leave(session: ShellSession) -> Reply:
    raise ExitShell


@command("history", "the newest nodes, as lines that build them")
def history(session: ShellSession, count: int = 5) -> Reply:
    if count < 1:
        raise NbgraphError(f"history shows 1 node or more, not {count}")
    newest = list(session.graph.nodes)[-count:]
    return Reply(
        "\n".join(node_line(session.graph, node_id, session.catalogue) for node_id in newest) or "no nodes yet"
    )


@command("default show", "the values of inputs that have neither a typed value nor a link", "default")
def show_defaults(session: ShellSession) -> Reply:
    rows = [f"{name} = {' '.join(word.text for word in words)}" for name, words in session.state.defaults.items()]
    return Reply("\n".join(map(one_line, rows)) or "no defaults")


@command("default set", "set that value for inputs of that name")
def set_default(session: ShellSession, field: Word, value: Word) -> Reply:
    """Raises `GrammarError` unless some node type has an input of that name that accepts the value."""
    named = {
        name: cls
        for name in session.catalogue.types()
        if (cls := session.catalogue.find(name)) and field.text in cls.inputs()
    }
    if not named:
        fields = {
            name for each in session.catalogue.types() if (cls := session.catalogue.find(each)) for name in cls.inputs()
        }
        raise GrammarError(f"no node type has an input {field.text!r}{suggest(field.text, fields)}", field.column)
    fitting: list[str] = []
    refusal: GrammarError | None = None
    for name, cls in named.items():
        spec = cls.inputs()[field.text]
        try:
            parse_value(spec.annotation, (value,), field.text, value.column, spec.info.metadata)
            fitting.append(name)
        except GrammarError as error:
            refusal = error
    if not fitting and refusal is not None:
        raise refusal
    session.change(defaults={**session.state.defaults, field.text: (value,)})
    return Reply(one_line(f"{field.text} = {value.text} for {', '.join(fitting)}"))


@command("default unset", "remove a default")
def unset_default(session: ShellSession, field: Word) -> Reply:
    defaults = dict(session.state.defaults)
    if defaults.pop(field.text, None) is None:
        raise GrammarError(f"there is no default for {field.text!r}{suggest(field.text, defaults)}", field.column)
    session.change(defaults=defaults)
    return Reply(f"{field.text} has no default now")


@command("nodes list", "all node types and library graphs, by category", "nodes")
def list_nodes(session: ShellSession, category: str = "") -> Reply:
    classes = {name: cls for name in session.catalogue.types() if (cls := session.catalogue.find(name))}
    chosen = {name: cls for name, cls in classes.items() if category in ("", cls.category)}
    if not chosen:
        raise NbgraphError(f"no category {category!r}{suggest(category, {cls.category for cls in classes.values()})}")
    return Reply(node_table(chosen))


@command("nodes describe", "what a node type does, its inputs and outputs")
def describe(session: ShellSession, type: str) -> Reply:
    return _describe(session, type)


def _describe(session: ShellSession, name: str) -> Reply:
    return Reply(describe_node(session.catalogue.node_class(Word(name, 1, len(name))), name))


@command("show", "results of the last line, or of the nodes named; images as files in a terminal")
def show(session: ShellSession, *nodes: Word) -> Reply:
    execution = session.state.execution
    chosen = [find_node(session.graph, word) for word in nodes] or list(session.state.last)
    if execution is None or not chosen:
        return Reply("nothing has run yet")
    services = session.studio.services
    lines = [line for node_id in chosen for line in node_lines(session.graph, execution, node_id, services)]
    results = [result for node_id in chosen if (result := result_of(execution, node_id, services)) is not None]
    if not results:
        return Reply("\n".join(lines))
    return Reply("\n".join(lines), value=results[-1], shown=tuple(results[:-1]))


@command("graph", "the graph as lines that build it")
def show_graph(session: ShellSession) -> Reply:
    return Reply("\n".join(graph_lines(session.graph, session.catalogue)) or "no nodes yet")


@command("session", "every node with its state and result")
def show_session(session: ShellSession) -> Reply:
    execution = session.state.execution
    if execution is None:
        return Reply("no nodes yet")
    return Reply(
        f"session {execution.id}: {execution.status}, {len(execution)} prepared nodes\n{execution_drawing(execution)}"
    )


@command("undo", "take back the last change: nodes, a loaded graph, a default")
def undo(session: ShellSession) -> Reply:
    left = session.undo()
    if left is None:
        return Reply("nothing to take back")
    gone = [
        f"{node_id} {node.type}" for node_id, node in left.graph.nodes.items() if node_id not in session.graph.nodes
    ]
    return Reply(one_line(f"took back {', '.join(gone) or 'the last change'}"))


@command("save", "write the graph to a file, as JSON")
def save(session: ShellSession, file: Path) -> Reply:
    write_text(file, session.graph.to_json(indent=1) + "\n")
    return Reply(one_line(f"{len(session.graph)} nodes in {file}"))


@command("load", "replace this graph by that of a JSON file, and run it")
def load(session: ShellSession, file: Path) -> Reply:
    graph = read_graph(file).validate()
    execution = session.run_graph(graph) if graph.nodes else None
    session.change(graph=graph, execution=execution, last=tuple(graph.nodes)[-1:])
    return Reply(f"{graph_drawing(graph)}")


@command("python", "the Python that builds the graph")
def python(session: ShellSession, out: Path | None = None) -> Reply:
    code = session.graph.to_python()
    if out is None:
        return Reply(code.rstrip("\n"))
    write_text(out, code)
    return Reply(one_line(f"Python in {out}"))
