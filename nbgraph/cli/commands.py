"""The commands of the shell and the magics: about the session and its graph, then about the studio."""

from importlib import import_module
from pathlib import Path
from typing import Any

from nbgraph.cli.command_table import CommandTable, Reply
from nbgraph.cli.graph_programs import cannot_write, read_graph, write_text
from nbgraph.cli.graph_texts import execution_drawing, graph_drawing
from nbgraph.cli.results import node_lines, result_of, write_image
from nbgraph.cli.shell_session import ExitShell, ShellSession
from nbgraph.errors import NbgraphError, suggest
from nbgraph.grammar.catalogue import describe_node, node_table
from nbgraph.grammar.compiler import find_node
from nbgraph.grammar.lexer import GrammarError, Word
from nbgraph.grammar.values import parse_value
from nbgraph.grammar.writer import graph_lines, node_line
from nbgraph.progress import ProgressStyle
from nbgraph.studio import Studio
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
    # A copy: the states that `undo` returns to keep theirs.
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
    # A cell has one value, which the next cell may use; the others are only shown.
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
    # Valid and run first: a file that fails must not replace the graph of the session.
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


STATS_COLUMNS = ["node", "type", "status", "cached", "seconds", "ram_peak_mb", "vram_peak_mb", "seed"]
CACHE_COLUMNS = ["node", "type", "hits", "bytes", "seconds", "age_seconds"]
IMAGE_COLUMNS = ["image_name", "width", "height", "node", "bytes"]


def new_session(studio: Studio, *, rich: bool = False, progress: ProgressStyle = "text") -> ShellSession:
    """Return an empty session in a studio, with all commands."""
    return ShellSession(studio, COMMANDS, rich=rich, progress=progress)


@command("draw_graph", "draw the graph: as text, in a notebook or with --out as a figure")
def draw_graph(session: ShellSession, out: Path | None = None) -> Reply:
    if out is None and not session.rich:
        return Reply(graph_drawing(session.graph))
    return _figure(_drawings().draw_graph(session.graph), out)


@command("draw_execution_graph", "draw the graph with states and results")
def draw_execution_graph(session: ShellSession, out: Path | None = None) -> Reply:
    execution = session.state.execution
    if execution is None:
        return Reply("no nodes yet")
    if out is None and not session.rich:
        return Reply(execution_drawing(execution))
    return _figure(_drawings().draw_execution_graph(execution), out)


def _drawings() -> Any:
    """Return the module of figures; it needs matplotlib, so it is loaded when something is drawn."""
    return import_module("nbgraph.cli.figure")


def _figure(axes: Any, out: Path | None) -> Reply:
    """Reply with a figure for a notebook, or write its file."""
    figure = axes.figure
    # matplotlib's inline backend would show an open figure a second time at the end of the cell
    import_module("matplotlib.pyplot").close(figure)
    if out is None:
        return Reply(shown=(_drawings().Drawing(figure),))
    try:
        figure.savefig(out, dpi=120)
    except (OSError, ValueError) as error:
        raise cannot_write(out, error) from None
    return Reply(one_line(f"drawn in {out}"))


@command("stats", "seconds and memory of the nodes that ran; --csv writes all columns")
def stats(session: ShellSession, csv: Path | None = None) -> Reply:
    frame: Any = session.studio.stats
    if csv is None:
        return _table(frame, STATS_COLUMNS, "nothing has run yet")
    try:
        frame.to_csv(csv, index=False)
    except OSError as error:
        raise cannot_write(csv, error) from None
    return Reply(one_line(f"{len(frame)} rows in {csv}"), value=frame)


@command("cache list", "results in the cache, the least recently used first", "cache")
def list_cache(session: ShellSession) -> Reply:
    return _table(session.studio.cache.frame, CACHE_COLUMNS, "the cache is empty")


@command("cache explain", "which nodes would run if the graph ran again, and why")
def explain_cache(session: ShellSession) -> Reply:
    if not session.graph.nodes:
        return Reply("no nodes yet")
    return _table(session.studio.explain(session.graph), ["node", "type", "will_run", "because"], "")


@command("cache forget", "forget results, and what was computed from them")
def forget(session: ShellSession, node: Word | None = None, type: str = "", key: str = "", all: bool = False) -> Reply:
    chosen = [bool(node), bool(type), bool(key), all]
    if sum(chosen) != 1:
        raise NbgraphError("cache forget takes exactly one of NODE, --type TYPE, --key KEY and --all")
    cache = session.studio.cache
    if all:
        count = cache.clear()
    elif node is not None:
        frame: Any = cache.frame
        # an id without its iteration path: the cache may hold nodes of other graphs than the session's
        known = {str(each).partition("[")[0] for each in frame["node"]}
        name = node.text if node.text in known else find_node(session.graph, node)
        count = cache.forget(name)
    else:
        count = cache.forget(type=type or None, key=key or None)
    return Reply(f"{count} result{'' if count == 1 else 's'} forgotten")


@command("images list", "the images of the studio, the newest first", "images")
def list_images(session: ShellSession) -> Reply:
    return _table(session.studio.images.frame, IMAGE_COLUMNS, "no images yet")


@command("images save", "write an image to a file")
def save_image(session: ShellSession, name: Word, file: Path) -> Reply:
    write_image(session.studio.images.get(_image_name(session, name)), file)
    return Reply(one_line(f"image in {file}"))


@command("images delete", "delete an image, and the cached results that name it")
def delete_image(session: ShellSession, name: Word) -> Reply:
    image_name = _image_name(session, name)
    session.studio.images.delete(image_name)
    return Reply(f"image {image_name} deleted")


def _image_name(session: ShellSession, word: Word) -> str:
    """Return the name of the only image whose name begins so. Raises `GrammarError` for none and for several."""
    frame: Any = session.studio.images.frame
    found: list[str] = [name for name in frame["image_name"] if name.startswith(word.text)]
    if not found:
        raise GrammarError(f"no image has a name that begins with {word.text!r}; images list has them", word.column)
    if len(found) > 1:
        text = f"{len(found)} images have a name that begins with {word.text!r}; give more of the name"
        raise GrammarError(text, word.column)
    return found[0]


@command("models", "the models of the studio")
def list_models(session: ShellSession) -> Reply:
    return _table(session.studio.models.frame, ["name", "kind", "family", "variant", "precision", "path"], "no models")


def _table(frame: Any, columns: list[str], empty: str) -> Reply:
    """Reply with a frame for a notebook, and with some of its columns as text for a terminal."""
    # An empty frame is hard to tell from a fault, so words say it.
    if not len(frame):
        return Reply(empty, value=None)
    text = frame[columns].to_string(index=False, na_rep="", max_colwidth=60)
    return Reply("\n".join(one_line(line) if line.strip() else "" for line in text.splitlines()), value=frame)
