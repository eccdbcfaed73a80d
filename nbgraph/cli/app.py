"""The program `nbgraph`. What a command needs is imported when it runs, so that help comes at once."""

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer

from nbgraph import __version__
from nbgraph.cli import ExitCode
from nbgraph.errors import GraphError, NbgraphError, NodeError
from nbgraph.texts import one_line


def _show_version(asked: bool) -> None:
    if asked:
        print(f"nbgraph {__version__}")
        raise typer.Exit()


app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
StudioFolder = Annotated[
    Path | None, typer.Option("--studio", help="folder of the studio; without it everything is in memory")
]
GraphFile = Annotated[str, typer.Argument(metavar="FILE", help='a graph as JSON; "-" reads it from stdin')]


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Build and run image-generation graphs. Exit codes: 0 done, 1 a node failed, 2 bad input, 130 interrupted."""


@app.command()
def shell(
    file: Annotated[Path | None, typer.Argument(help="lines to perform, instead of those typed or piped in")] = None,
    line: Annotated[list[str] | None, typer.Option("--line", "-c", help="a line to perform; may be repeated")] = None,
    studio: StudioFolder = None,
) -> None:
    """Type lines such as: rand_int | add --b 1 | mul --link -2 value a --link -1 value b"""
    _leave(lambda: _part("programs").shell(file, line or [], studio))


@app.command()
def run(
    file: GraphFile,
    set: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NODE.FIELD=VALUE", help="give an input another value; may be repeated"),
    ] = None,
    studio: StudioFolder = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="where the picture goes; several are numbered, or go into a folder")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="print status, results and errors as JSON")] = False,
) -> None:
    """Run a graph; progress goes to stderr, results to stdout."""
    _leave(lambda: _part("run_program").run(file, set or [], studio, out, json))


@app.command()
def validate(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help='graphs as JSON; "-" is stdin')],
) -> None:
    """Say everything that is wrong with graphs, a line each; exit code 2 if anything is."""
    _leave(lambda: _part("graph_programs").validate(files))


@app.command()
def describe(type: Annotated[str, typer.Argument(help="a node type; without one, all are listed")] = "") -> None:
    """What a node type does, its inputs and outputs."""
    _leave(lambda: _part("graph_programs").describe(type))


@app.command()
def export(
    file: GraphFile,
    python: Annotated[bool, typer.Option("--python", help="as the Python that builds the graph")] = False,
    lines: Annotated[bool, typer.Option("--lines", help="as the lines that build it in the shell")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="a file, instead of stdout")] = None,
) -> None:
    """Write a graph as Python, or as lines."""
    _leave(lambda: _part("graph_programs").export(file, python, lines, out))


@app.command()
def models(
    inspect: Annotated[
        Path | None, typer.Option("--inspect", metavar="FILE", help="say what a model file is, from its header")
    ] = None,
    studio: StudioFolder = None,
) -> None:
    """The models that can be named; with --inspect, what a file is."""
    if inspect is not None:
        _leave(lambda: _part("programs").inspect_model(inspect))
    _leave(lambda: _part("programs").perform(["models"], studio))


@app.command()
def cache(
    words: Annotated[list[str] | None, typer.Argument(help="list, or forget NODE")] = None,
    all: Annotated[bool, typer.Option("--all", help="with forget: everything")] = False,
    type: Annotated[str, typer.Option("--type", help="with forget: results of a node type")] = "",
    studio: StudioFolder = None,
) -> None:
    """What the cache of a studio holds; forget some of it."""
    options = [*(["--all"] if all else []), *(["--type", type] if type else [])]
    _leave(lambda: _part("programs").perform(["cache", *(words or []), *options], studio))


@app.command()
def stats(
    csv: Annotated[Path | None, typer.Option("--csv", help="a file for all columns")] = None,
    studio: StudioFolder = None,
) -> None:
    """Seconds and memory of the nodes that ran in a studio."""
    _leave(lambda: _part("programs").perform(["stats", *(["--csv", str(csv)] if csv else [])], studio))


@app.command()
def doctor(studio: StudioFolder = None) -> None:
    """Versions, devices, SQLite, the front end and a folder's state, ready to paste into a report."""
    _leave(lambda: _print(import_module("nbgraph.doctor").report(studio)))


@app.command(context_settings={"ignore_unknown_options": True})
def lab(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FOLDER...", help="a folder or a notebook, and options of JupyterLab", show_default=False
        ),
    ] = None,
) -> None:
    """Open JupyterLab: nbgraph lab notebooks --no-browser"""
    _leave(lambda: _become_jupyterlab(words or []))


def main() -> None:
    """The entry point. What stdout cannot encode is printed escaped, as stderr does it."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    app()


def _part(name: str) -> Any:
    return import_module(f"nbgraph.cli.{name}")


def _print(text: str) -> int:
    print(text)
    return ExitCode.DONE


def _become_jupyterlab(words: Sequence[str]) -> int:
    """Replace this process by JupyterLab with these words; `NbgraphError` if it is not installed."""
    if find_spec("jupyterlab") is None:
        raise NbgraphError("JupyterLab is not installed here; install it with: pip install jupyterlab")
    if words and not words[0].startswith("-") and not Path(words[0]).exists():
        raise NbgraphError(f"there is no folder or notebook {words[0]!r}")
    os.execv(sys.executable, [sys.executable, "-m", "jupyterlab", *words])  # noqa: S606


def _leave(body: Callable[[], int]) -> None:
    """Do it and leave with the exit code it gives, or the one that its error means."""
    try:
        code = body()
        sys.stdout.flush()
    except GraphError as error:
        code = ExitCode.BAD_INPUT
        for problem in error.problems:
            _complain(str(problem))
    except NodeError as error:
        _complain(str(error))
        code = ExitCode.FAILED
    except NbgraphError as error:
        _complain(str(error))
        code = ExitCode.BAD_INPUT
    except KeyboardInterrupt:
        _complain("interrupted; what had finished is kept")
        code = ExitCode.INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ExitCode.PIPE_CLOSED
    raise typer.Exit(code)


def _complain(text: str) -> None:
    print(f"nbgraph: {one_line(text)}", file=sys.stderr)
