"""The commands of the shell and the magics that are about drawings, stats, the cache and the pictures of the studio."""

from importlib import import_module
from pathlib import Path
from typing import Any

from nbgraph.cli.command_table import Reply
from nbgraph.cli.commands import COMMANDS, command
from nbgraph.cli.graph_texts import execution_drawing, graph_drawing
from nbgraph.cli.results import write_picture
from nbgraph.cli.shell_session import ShellSession
from nbgraph.errors import NbgraphError
from nbgraph.grammar.compiler import find_node
from nbgraph.grammar.lexer import GrammarError, Word
from nbgraph.progress import ProgressStyle
from nbgraph.studio import Studio
from nbgraph.texts import one_line

STATS_COLUMNS = ["node", "type", "status", "cached", "seconds", "ram_peak_mb", "vram_peak_mb", "seed"]
CACHE_COLUMNS = ["node", "type", "hits", "bytes", "seconds", "age_seconds"]
IMAGE_COLUMNS = ["image_name", "width", "height", "node", "bytes"]


def new_session(studio: Studio, *, rich: bool = False, progress: ProgressStyle = "text") -> ShellSession:
    """Return an empty session in a studio, with all commands."""
    return ShellSession(studio, COMMANDS, rich=rich, progress=progress)


@command("draw_graph", "the graph drawn: a figure in a notebook or in a file, text in a terminal")
def draw_graph(session: ShellSession, out: Path | None = None) -> Reply:
    if out is None and not session.rich:
        return Reply(graph_drawing(session.graph))
    return _figure(_drawings().draw_graph(session.graph), out)


@command("draw_execution_graph", "the graph drawn with its prepared nodes: paths, states, results")
def draw_execution_graph(session: ShellSession, out: Path | None = None) -> Reply:
    execution = session.state.execution
    if execution is None:
        return Reply("no nodes yet")
    if out is None and not session.rich:
        return Reply(execution_drawing(execution))
    return _figure(_drawings().draw_execution_graph(execution), out)


def _drawings() -> Any:
    """The module that needs matplotlib, loaded when something is drawn."""
    return import_module("nbgraph.cli.figure")


def _figure(axes: Any, out: Path | None) -> Reply:
    """A figure for a notebook, or its file; it is closed, so that nothing shows it a second time."""
    figure = axes.figure
    import_module("matplotlib.pyplot").close(figure)
    if out is None:
        return Reply(shown=(_drawings().Drawing(figure),))
    try:
        figure.savefig(out, dpi=120)
    except (OSError, ValueError) as error:
        raise NbgraphError(f"the drawing cannot be written to {str(out)!r}: {error}") from None
    return Reply(one_line(f"drawn in {out}"))


@command("stats", "seconds and memory of each node that ran; --csv writes all columns to a file")
def stats(session: ShellSession, csv: Path | None = None) -> Reply:
    frame = session.studio.stats
    if csv is None:
        return _table(frame, STATS_COLUMNS, "nothing has run yet")
    try:
        frame.to_csv(csv, index=False)
    except OSError as error:
        raise NbgraphError(f"the stats cannot be written to {str(csv)!r}: {error.strerror or error}") from None
    return Reply(one_line(f"{len(frame)} rows in {csv}"), value=frame)


@command("cache list", "what the cache holds, the least recently used first", "cache")
def list_cache(session: ShellSession) -> Reply:
    return _table(session.studio.cache.frame, CACHE_COLUMNS, "the cache is empty")


@command("cache explain", "which nodes would run if the graph ran anew, and because of what")
def explain_cache(session: ShellSession) -> Reply:
    if not session.graph.nodes:
        return Reply("no nodes yet")
    return _table(session.studio.explain(session.graph), ["node", "type", "will_run", "because"], "")


@command("cache forget", "forget results of a node, a type or a key, and what was computed from them; or --all")
def forget(session: ShellSession, node: Word | None = None, type: str = "", key: str = "", all: bool = False) -> Reply:
    chosen = [bool(node), bool(type), bool(key), all]
    if sum(chosen) != 1:
        raise NbgraphError("cache forget takes one of: NODE, --type TYPE, --key KEY, --all")
    cache = session.studio.cache
    if all:
        count = cache.clear()
    elif node is not None:
        known = set(cache.frame["node"].str.partition("[")[0])
        name = node.text if node.text in known else find_node(session.graph, node)
        count = cache.forget(name)
    else:
        count = cache.forget(type=type or None, key=key or None)
    return Reply(f"{count} results forgotten")


@command("images list", "the pictures of the studio, the newest first", "images")
def list_images(session: ShellSession) -> Reply:
    return _table(session.studio.images.frame, IMAGE_COLUMNS, "no pictures yet")


@command("images save", "write a picture to a file")
def save_image(session: ShellSession, name: Word, file: Path) -> Reply:
    write_picture(session.studio.images.get(_image_name(session, name)), file)
    return Reply(one_line(f"picture in {file}"))


@command("images delete", "delete a picture; cached results that name it go too")
def delete_image(session: ShellSession, name: Word) -> Reply:
    return Reply(f"{session.studio.images.delete(_image_name(session, name))} pictures deleted")


def _image_name(session: ShellSession, word: Word) -> str:
    """The picture whose name begins like this."""
    found = [name for name in session.studio.images.frame["image_name"] if name.startswith(word.text)]
    if len(found) != 1 or not word.text:
        raise GrammarError(
            f"{len(found)} pictures have a name that begins with {word.text!r}; see images list", word.column
        )
    return found[0]


@command("models", "the models that can be named")
def list_models(session: ShellSession) -> Reply:
    return _table(session.studio.models.frame, ["name", "shipped", "path"], "no models")


def _table(frame: Any, columns: list[str], empty: str) -> Reply:
    """A frame for a notebook, and its most telling columns as text."""
    if not len(frame):
        return Reply(empty, value=None)
    text = frame[columns].to_string(index=False, na_rep="", max_colwidth=60)
    return Reply("\n".join(one_line(line) if line.strip() else "" for line in text.splitlines()), value=frame)
