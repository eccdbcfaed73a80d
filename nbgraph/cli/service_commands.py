"""The commands of the shell and the magics about the studio: drawings, stats, cache, images, models."""

from importlib import import_module
from pathlib import Path
from typing import Any

from nbgraph.cli.command_table import Reply
from nbgraph.cli.commands import COMMANDS, command
from nbgraph.cli.graph_programs import cannot_write
from nbgraph.cli.graph_texts import execution_drawing, graph_drawing
from nbgraph.cli.results import write_image
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
    if not len(frame):
        return Reply(empty, value=None)
    text = frame[columns].to_string(index=False, na_rep="", max_colwidth=60)
    return Reply("\n".join(one_line(line) if line.strip() else "" for line in text.splitlines()), value=frame)
