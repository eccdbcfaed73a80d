"""The shell: lines typed, read from a file or piped, and the programs that perform one line of it.

`nbgraph shell` performs lines until a person leaves or the input ends; `models`, `cache` and `stats` perform one.
An error ends its line, not the shell: there may be an hour of work in the session.
"""

import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from platformdirs import user_state_path
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import Completer, Completion, ThreadedCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from nbgraph import diffusion
from nbgraph.cli import ExitCode
from nbgraph.cli.commands import new_session
from nbgraph.cli.completion import complete, surroundings
from nbgraph.cli.shell_session import ExitShell, ShellSession
from nbgraph.diffusion.what_is import what_is
from nbgraph.errors import NbgraphError, NodeError
from nbgraph.grammar.lexer import GrammarError, quote
from nbgraph.grammar.parser import logical_lines
from nbgraph.services.shared.sqlite.store_folder import StoreFolder
from nbgraph.studio import Studio
from nbgraph.texts import one_line

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


PROMPT = "nbgraph> "
WELCOME = 'nbgraph: "help" shows how to write a line, Tab completes, "exit" or Ctrl-D leaves'


class LineCompleter(Completer):
    """Completes lines with the nodes, types and models of the session."""

    def __init__(self, session: ShellSession) -> None:
        self._session = session

    def get_completions(self, document: Document, complete_event: Any) -> Iterator[Completion]:
        current, found = complete(document.text_before_cursor, surroundings(self._session))
        for one in found:
            yield Completion(one.text, start_position=-len(current), display_meta=one.about)


def interact(session: ShellSession) -> None:
    """Read lines from the terminal and perform them until a person leaves."""
    prompt: PromptSession[str] = PromptSession(
        # on a thread: listing models reads folders, which must not hold up typing
        history=_history(),
        completer=ThreadedCompleter(LineCompleter(session)),
        complete_while_typing=False,
    )
    print(WELCOME)
    for line in _typed(prompt):
        try:
            perform_shown(session, line)
        except KeyboardInterrupt:
            print("interrupted; the line was taken back, what had finished is in the cache")
        except ExitShell:
            return


def _typed(prompt: "PromptSession[str]") -> Iterable[str]:
    """Yield the lines that are typed; Ctrl-C drops the current one, Ctrl-D ends."""
    while True:
        try:
            yield prompt.prompt(PROMPT)
        except KeyboardInterrupt:
            continue
        except EOFError:
            return


def _history() -> History:
    path = history_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)  # prompts are private
    except OSError:
        return InMemoryHistory()
    return FileHistory(path)


def history_path() -> Path:
    """Return the file of the history."""
    return user_state_path("nbgraph") / "shell_history"


MAX_LINE_BYTES = 16 * 2**20


class NotText(NbgraphError):
    """The input is not UTF-8 text; nothing after that place is read."""


def perform_lines(session: ShellSession, lines: Iterable[bytes], name: str) -> int:
    """Perform all lines, also after one that fails. Returns the worst exit code of them; `name` is for errors."""
    worst: int = ExitCode.DONE
    try:
        for number, line in logical_lines(_decoded(lines, name)):
            worst = max(worst, perform_shown(session, line, f"{name}:{number}: "))
    except NotText as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    except ExitShell:
        pass
    return worst


def perform_shown(session: ShellSession, line: str, place: str = "") -> int:
    """Perform a line and print its replies, or its error after `place`. Returns the exit code.

    Only `ExitShell`, interrupts and a closed pipe are raised: an error must not end a shell with work in it.
    """
    try:
        _print_replies(session, line)
    except (ExitShell, BrokenPipeError):
        raise
    except NodeError as error:
        print(f"{place}{one_line(str(error))}; the line was taken back", file=sys.stderr)
        return ExitCode.FAILED
    except NbgraphError as error:
        print(f"{place}{error if isinstance(error, GrammarError) else one_line(str(error))}", file=sys.stderr)
        return ExitCode.BAD_INPUT
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {error} ({where.name}, line {where.lineno}); this is a fault of nbgraph itself"
        print(f"{place}{one_line(text)}", file=sys.stderr)
        return ExitCode.FAILED
    return ExitCode.DONE


def perform_command(session: ShellSession, line: str) -> int:
    """Perform a line that the program itself wrote; its errors are raised, without a column that nobody typed."""
    try:
        _print_replies(session, line)
    except GrammarError as error:
        raise NbgraphError(error.message) from None
    return ExitCode.DONE


def _print_replies(session: ShellSession, line: str) -> None:
    for reply in session.perform(line):
        if reply.text:
            print(reply.text)
    sys.stdout.flush()


def _decoded(lines: Iterable[bytes], name: str) -> Iterator[str]:
    """Yield the lines as text. Raises `NotText` at the first byte that is not text."""
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_LINE_BYTES:
            raise NotText(f"{name}:{number}: column 1: the line has more than {MAX_LINE_BYTES:,} bytes")
        try:
            # some editors begin a UTF-8 file with a byte order mark
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise NotText(f"{name}:{number}: column {error.start + 1}: this is binary, not UTF-8 text") from None
        if "\0" in text:
            raise NotText(f"{name}:{number}: column {text.index(chr(0)) + 1}: this is binary: text has no zero byte")
        yield text.rstrip("\r\n")
