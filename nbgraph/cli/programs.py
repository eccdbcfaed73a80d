"""What `nbgraph shell` and the commands about a studio do."""

import sys
from contextlib import nullcontext
from pathlib import Path

from nbgraph.cli import ExitCode
from nbgraph.cli.lines import perform_lines, perform_shown
from nbgraph.cli.service_commands import new_session
from nbgraph.cli.shell import interact
from nbgraph.diffusion.what_is import what_is
from nbgraph.errors import NbgraphError
from nbgraph.grammar.lexer import quote
from nbgraph.services.shared.sqlite.store_folder import StoreFolder
from nbgraph.studio import Studio

OPTIONS = ("--all", "--type", "--csv")


def shell(file: Path | None, lines: list[str], folder: Path | None) -> int:
    """Perform given lines, those of a file, those piped in, or those a person types; the exit code."""
    if file is not None and lines:
        raise NbgraphError("give a FILE or --line, not both")
    if file is not None and not file.is_file():
        raise NbgraphError(f"there is no file {str(file)!r}")
    with open_studio(folder) as studio:
        session = new_session(studio)
        if lines:
            return perform_lines(session, [line.encode(errors="surrogateescape") for line in lines], "line")
        if file is None and sys.stdin.isatty():
            interact(session)
            return ExitCode.DONE
        source = nullcontext(sys.stdin.buffer) if file is None else file.open("rb")
        with source as opened:
            return perform_lines(session, opened, "stdin" if file is None else str(file))


def perform(words: list[str], folder: Path | None) -> int:
    """Perform one line of the shell's own commands in a studio, one that is there if a folder is given."""
    if folder is not None and not StoreFolder(folder).database.is_file():
        text = f"there is no studio in {str(folder)!r}; nbgraph run FILE --studio {quote(str(folder))} makes one"
        raise NbgraphError(text)
    line = " ".join([words[0], *(word if word in OPTIONS else quote(word) for word in words[1:])])
    with open_studio(folder) as studio:
        return perform_shown(new_session(studio), line, "nbgraph: ")


def inspect_model(file: Path) -> int:
    """Print what a model file is, in one line; an error for a file that cannot be used."""
    facts = what_is(file)
    if facts.problem:
        raise NbgraphError(f"{str(file)!r} {facts.problem}")
    print(facts)
    return ExitCode.DONE


def open_studio(folder: Path | None) -> Studio:
    """A studio in that folder, or in memory; `NbgraphError` if the folder cannot be one."""
    try:
        return Studio(folder)
    except OSError as error:
        raise NbgraphError(f"no studio can be opened in {str(folder)!r}: {error.strerror or error}") from None
