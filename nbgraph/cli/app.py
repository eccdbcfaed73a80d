"""The program `nbgraph`. A command imports its module when it runs, so that help comes at once."""

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from nbgraph import __version__
from nbgraph.cli import ExitCode
from nbgraph.errors import GraphError, NbgraphError, NodeError
from nbgraph.texts import one_line


def _show_version(is_asked: bool) -> None:
    if is_asked:
        print(f"nbgraph {__version__}")
        raise typer.Exit()


app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    # plain text, which can be piped and pasted; rich draws boxes
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
StudioFolder = Annotated[
    Path | None, typer.Option("--studio", metavar="FOLDER", help="The studio's folder; without it, all is in memory.")
]
KeptFolder = Annotated[Path | None, typer.Option("--studio", metavar="FOLDER", help="The studio's folder.")]
GraphFile = Annotated[str, typer.Argument(metavar="FILE", help='A graph as JSON; "-" reads it from stdin.')]


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Build and run image-generation graphs.

    Exit codes: 0 done, 1 a node failed, 2 bad input, 130 interrupted.
    """


@app.command(short_help="Type lines of nodes, or run those of a file or a pipe.")
def shell(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="Lines to run instead of typed ones.")] = None,
    line: Annotated[
        list[str] | None, typer.Option("--line", "-c", metavar="LINE", help="A line to run; may be repeated.")
    ] = None,
    studio: StudioFolder = None,
) -> None:
    """Type lines of nodes, or run those of a file or a pipe.

    An example: rand_int | add --b 1 | mul --link -2 value a --link -1 value b
    """
    _leave(lambda: _part("shell").shell(file, line or [], studio))


@app.command()
def run(
    file: GraphFile,
    set: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NODE.FIELD=VALUE", help="Give an input another value; may be repeated."),
    ] = None,
    studio: StudioFolder = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="PATH", help="File for the image; several are numbered, or put into a folder."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print status, results and errors as JSON.")] = False,
) -> None:
    """Run a graph; progress on stderr, results on stdout."""
    _leave(lambda: _part("run_program").run(file, set or [], studio, out, json))


@app.command(short_help="Check graphs: a line for each problem.")
def validate(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help='Graphs as JSON; "-" reads stdin.')],
) -> None:
    """Check graphs: a line for each problem, and exit code 2 if there is one."""
    _leave(lambda: _part("graph_programs").validate(files))


@app.command()
def describe(
    type: Annotated[str, typer.Argument(metavar="TYPE", help="A node type; without one, all are listed.")] = "",
) -> None:
    """Describe a node type, its inputs and outputs; or list all."""
    _leave(lambda: _part("graph_programs").describe(type))


@app.command(short_help="Write a graph as Python, lines, diffusers or ComfyUI.")
def export(
    file: GraphFile,
    python: Annotated[bool, typer.Option("--python", help="As Python that builds the graph.")] = False,
    lines: Annotated[bool, typer.Option("--lines", help="As lines of the shell that build it.")] = False,
    diffusers: Annotated[bool, typer.Option("--diffusers", help="As a script of diffusers that draws it.")] = False,
    comfyui: Annotated[bool, typer.Option("--comfyui", help="As ComfyUI's API format.")] = False,
    out: Annotated[Path | None, typer.Option("--out", metavar="PATH", help="A file instead of stdout.")] = None,
) -> None:
    """Write a graph as Python, as lines, as a script of diffusers, or as ComfyUI's API format."""
    wanted = {"python": python, "lines": lines, "diffusers": diffusers, "comfyui": comfyui}
    _leave(lambda: _part("graph_programs").export(file, [form for form in wanted if wanted[form]], out))


@app.command("diff", short_help="Say what differs between graphs or saved images.")
def show_diff(
    first: Annotated[str, typer.Argument(metavar="A", help="A graph file, a saved image, or a file of another tool.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
) -> None:
    """Say what differs between two graphs or saved images: nodes, inputs, models, code; a line for each.

    Exit codes: 0 in any case that could be read, 2 for bad input.
    """
    _leave(lambda: _print(repr(import_module("nbgraph.experiments.diff").diff(first, second))))


@app.command(short_help="List models; say what a model file is, or convert a pickle.")
def models(
    inspect: Annotated[
        Path | None, typer.Option("--inspect", metavar="FILE", help="Say what a model file is, from its header.")
    ] = None,
    convert: Annotated[
        Path | None, typer.Option("--convert", metavar="FILE", help="Write a pickle that you trust as .safetensors.")
    ] = None,
    studio: StudioFolder = None,
) -> None:
    """List models; with --inspect, say what a file is; with --convert, write a pickle as safetensors."""
    if convert is not None:
        _leave(lambda: _part("shell").convert_model(convert))
    if inspect is not None:
        _leave(lambda: _part("shell").inspect_model(inspect))
    _leave(lambda: _part("shell").perform(["models"], studio))


cache = typer.Typer(help="List the cache of a studio, or forget results in it.", invoke_without_command=True)
app.add_typer(cache, name="cache")


@cache.callback()
def cache_program(context: typer.Context, studio: KeptFolder = None) -> None:
    """List the cache of a studio, or forget results in it."""
    context.obj = studio
    if context.invoked_subcommand is None:
        _leave(lambda: _part("shell").perform(["cache", "list"], studio))


@cache.command("list")
def list_cache(context: typer.Context, studio: KeptFolder = None) -> None:
    """List what the cache holds, the least recently used first."""
    _leave(lambda: _part("shell").perform(["cache", "list"], studio or context.obj))


@cache.command()
def forget(
    context: typer.Context,
    node: Annotated[str | None, typer.Argument(metavar="NODE", help="Results of the node of this id.")] = None,
    all: Annotated[bool, typer.Option("--all", help="All results.")] = False,
    type: Annotated[str, typer.Option("--type", metavar="TYPE", help="Results of a node type.")] = "",
    studio: KeptFolder = None,
) -> None:
    """Forget results and what was computed from them."""
    options = [*([node] if node else []), *(["--all"] if all else []), *(["--type", type] if type else [])]
    _leave(lambda: _part("shell").perform(["cache", "forget", *options], studio or context.obj))


@app.command()
def stats(
    csv: Annotated[Path | None, typer.Option("--csv", metavar="PATH", help="A file for all columns.")] = None,
    studio: KeptFolder = None,
) -> None:
    """Show seconds and memory of the nodes that ran in a studio."""
    _leave(lambda: _part("shell").perform(["stats", *(["--csv", str(csv)] if csv else [])], studio))


@app.command(short_help="Report versions, devices and settings.")
def doctor(studio: KeptFolder = None) -> None:
    """Report versions, devices, SQLite, the front end and a folder's state.

    Paste it into a report of a fault: it holds no path of a home and no value of the environment.
    """
    _leave(lambda: _print(import_module("nbgraph.doctor").report(studio)))


@app.command(short_help="Serve a studio to agents, by the Model Context Protocol.")
def mcp(
    studio: StudioFolder = None,
    port: Annotated[
        int | None, typer.Option("--port", metavar="PORT", help="Serve on this machine's own address, not on stdio.")
    ] = None,
) -> None:
    """Serve a studio to agents over stdio: they list nodes, validate, explain, run and look.

    A notebook on the same folder shows their runs in its queue, and the images in its gallery.
    """
    _leave(lambda: _serve_agents(studio, port))


@app.command(context_settings={"ignore_unknown_options": True}, short_help="Start a worker for a studio on a cluster.")
def worker(
    scheduler: Annotated[str, typer.Option("--scheduler", metavar="ADDRESS", help="The scheduler's address.")],
    more: Annotated[
        list[str] | None,
        typer.Argument(metavar="OPTIONS", help="Options of `dask worker`, after --.", show_default=False),
    ] = None,
    gpu: Annotated[
        str | None, typer.Option("--gpu", metavar="NUMBER", help="The GPU to use; each worker needs one of its own.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="The name that stats show.")] = None,
) -> None:
    """Start a worker that runs sessions of studios at a Dask scheduler.

    An example: nbgraph worker --scheduler tcp://10.0.0.5:8786 --gpu 0

    Whoever reaches the scheduler can run code here.
    """
    _leave(lambda: _part("worker_program").start_worker(scheduler, gpu, name, more or []))


@app.command("app", short_help="Serve the form of a graph as a web page.")
def form_page(
    file: GraphFile,
    studio: StudioFolder = None,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="The address to serve on; 0.0.0.0 lets others in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", metavar="PORT", help="The port to serve on.")] = 8866,
) -> None:
    """Serve the form of a graph as a web page, by the package voila; on this machine only, unless --host says else."""
    _leave(lambda: _part("form_program").serve_form(file, studio, host, port))


@app.command(context_settings={"ignore_unknown_options": True}, short_help="Open JupyterLab.")
def lab(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="FOLDER", help="A folder or notebook, and options of JupyterLab.", show_default=False),
    ] = None,
) -> None:
    """Open JupyterLab: nbgraph lab notebooks --no-browser"""
    _leave(lambda: _become_jupyterlab(words or []))


def main() -> None:
    """Run the program: the entry point. What stdout cannot encode is printed escaped, as on stderr."""
    _open_closed_streams()
    if reconfigure := getattr(sys.stdout, "reconfigure", None):  # a replaced stdout may not have it
        reconfigure(errors="backslashreplace")
    app(prog_name="nbgraph")


def _open_closed_streams() -> None:
    """Open /dev/null for streams that the caller closed (`>&-`), which Python represents by None."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def _part(name: str) -> Any:
    return import_module(f"nbgraph.cli.{name}")


def _serve_agents(folder: Path | None, port: int | None) -> int:
    import_module("nbgraph.mcp_server").serve(folder, port)
    return ExitCode.DONE


def _print(text: str) -> int:
    print(text)
    return ExitCode.DONE


def _become_jupyterlab(words: Sequence[str]) -> int:
    """Replace this process by JupyterLab with these words; `NbgraphError` if it is not installed."""
    if find_spec("jupyterlab") is None:
        raise NbgraphError("JupyterLab is not installed here; install it with: pip install jupyterlab")
    if words and not words[0].startswith("-") and not Path(words[0]).exists():
        raise NbgraphError(f"there is no folder or notebook {words[0]!r} (looked in {Path.cwd()})")
    os.execv(sys.executable, [sys.executable, "-m", "jupyterlab", *words])  # noqa: S606


def _leave(body: Callable[[], int]) -> None:
    """Run the body and exit with its code, or with the code of its error, which is printed."""
    try:
        # buffered output meets a closed pipe only when it is flushed
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
        # Python flushes stdout once more as it exits, which would print a second error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ExitCode.PIPE_CLOSED
    raise typer.Exit(code)


def _complain(text: str) -> None:
    print(f"nbgraph: {one_line(text)}", file=sys.stderr)
