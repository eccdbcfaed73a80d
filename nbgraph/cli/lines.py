"""Lines from a file or a pipe, one after the other: replies on stdout, errors on stderr, an exit code in the end."""

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
    """What should be lines is no text: nothing after it is read."""


def perform_lines(session: ShellSession, lines: Iterable[bytes], name: str) -> int:
    """Perform lines; one that fails does not end it. 0, or 1 if a node failed, or 2 if a line could not be taken."""
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
    """Perform a line and print what it says, whatever becomes of it; only leaving and interrupts go through."""
    try:
        for reply in session.perform(line):
            if reply.text:
                print(reply.text)
        sys.stdout.flush()
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


def _decoded(lines: Iterable[bytes], name: str) -> Iterator[str]:
    """Lines as text; `NotText` at the first byte that is none."""
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_LINE_BYTES:
            raise NotText(f"{name}:{number}: column 1: the line has more than {MAX_LINE_BYTES:,} bytes")
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise NotText(
                f"{name}:{number}: column {error.start + 1}: this is no text but binary (not UTF-8)"
            ) from None
        if "\0" in text:
            raise NotText(f"{name}:{number}: column {text.index(chr(0)) + 1}: this is no text but binary (a zero byte)")
        yield text.rstrip("\r\n")
