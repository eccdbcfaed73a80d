"""The commands `nbgraph shell`, `models`, `cache` and `stats`."""

import sys
from contextlib import nullcontext
from pathlib import Path

from nbgraph import diffusion
from nbgraph.cli import ExitCode
from nbgraph.cli.lines import perform_command, perform_lines
from nbgraph.cli.service_commands import new_session
from nbgraph.cli.shell import interact
from nbgraph.diffusion.what_is import what_is
from nbgraph.errors import NbgraphError
from nbgraph.grammar.lexer import quote
from nbgraph.services.shared.sqlite.store_folder import StoreFolder
from nbgraph.studio import Studio

OPTIONS = ("--all", "--type", "--csv")
KEPT_IN_A_FOLDER = ("cache", "stats")


def shell(file: Path | None, lines: list[str], folder: Path | None) -> int:
    """Perform the given lines, those of a file, those piped in, or those a person types. Returns the exit code."""
    if file is not None and lines:
        raise NbgraphError(f"both the file {str(file)!r} and --line are given; give one of them")
    if file is not None and not file.is_file():
        problem = "is a folder" if file.is_dir() else "does not exist"
        raise NbgraphError(f"{str(file)!r} {problem}; give a text file of lines (looked in {Path.cwd()})")
    with open_studio(folder) as studio:
        session = new_session(studio)
        if lines:
            # arguments that are not UTF-8 come as surrogates; as bytes they are refused with their place
            return perform_lines(session, [line.encode(errors="surrogateescape") for line in lines], "line")
        if file is None and sys.stdin.isatty():
            interact(session)
            return ExitCode.DONE
        source = nullcontext(sys.stdin.buffer) if file is None else file.open("rb")
        with source as opened:
            return perform_lines(session, opened, "stdin" if file is None else str(file))


def perform(words: list[str], folder: Path | None) -> int:
    """Perform one of the shell's own commands in a studio. Returns the exit code.

    Raises `NbgraphError` for a folder without a studio, and without a folder for what only a folder keeps.
    """
    if folder is None and words[0] in KEPT_IN_A_FOLDER:
        raise NbgraphError(f"nbgraph {words[0]} is about what the folder of a studio keeps; give --studio FOLDER")
    if folder is not None and not StoreFolder(folder).database.is_file():
        text = f"there is no studio in {str(folder)!r}; nbgraph run FILE --studio {quote(str(folder))} makes one"
        raise NbgraphError(text)
    line = " ".join([words[0], *(word if word in OPTIONS else quote(word) for word in words[1:])])
    with open_studio(folder) as studio:
        return perform_command(new_session(studio), line)


def inspect_model(file: Path) -> int:
    """Print what a model file is, in one line. Raises `NbgraphError` for a file that cannot be used."""
    facts = what_is(file)
    if facts.problem:
        raise NbgraphError(f"{str(file)!r} {facts.problem}")
    print(facts)
    return ExitCode.DONE


def convert_model(file: Path) -> int:
    """Write a pickle of weights as a .safetensors file beside it, and print that file's path."""
    print(diffusion.convert_pickle(file))
    return ExitCode.DONE


def open_studio(folder: Path | None) -> Studio:
    """Return a studio in that folder, or in memory. Raises `NbgraphError` if the folder cannot hold one."""
    if folder is not None and folder.exists() and not folder.is_dir():
        raise NbgraphError(f"--studio {str(folder)!r} is a file; give a folder, which is made if it is not there")
    try:
        return Studio(folder)
    except OSError as error:
        raise NbgraphError(f"no studio can be opened in {str(folder)!r}: {error.strerror or error}") from None
