"""Lines from a file or a pipe, performed one after the other: replies on stdout, errors on stderr, an exit code."""

import sys
import traceback
from collections.abc import Iterable, Iterator

from nbgraph.cli import ExitCode
from nbgraph.cli.shell_session import ExitShell, ShellSession
from nbgraph.errors import NbgraphError, NodeError
from nbgraph.grammar.lexer import GrammarError
from nbgraph.grammar.parser import logical_lines
from nbgraph.texts import one_line

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
