"""The interactive shell: completion, a history kept in a file, and errors that do not end it."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from platformdirs import user_state_path
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import Completer, Completion, ThreadedCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from nbgraph.cli.completion import complete, surroundings
from nbgraph.cli.lines import perform_shown
from nbgraph.cli.shell_session import ExitShell, ShellSession

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
