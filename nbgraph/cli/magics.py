"""The magics `%nbgraph LINE` and `%%nbgraph`, in the studio of the notebook, with completion."""

import re
from typing import Any

from IPython.core.completer import (
    CompletionContext,
    SimpleCompletion,
    context_matcher,  # pyright: ignore[reportUnknownVariableType] - IPython does not annotate it
)
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand
from IPython.display import display  # pyright: ignore[reportUnknownVariableType]

from nbgraph.cli.command_table import Reply
from nbgraph.cli.commands import new_session
from nbgraph.cli.completion import complete, surroundings
from nbgraph.cli.shell_session import ExitShell, ShellSession
from nbgraph.errors import NbgraphError
from nbgraph.grammar.lexer import GrammarError
from nbgraph.grammar.parser import logical_lines
from nbgraph.studio import Studio
from nbgraph.texts import value_text

STUDIO = "studio"
LINE = re.compile(r"(?:^|=)\s*%nbgraph[ \t]")


@magics_class
class NbgraphMagics(Magics):
    """The session of a notebook, in its variable `studio`; without one, a studio in memory is made and named so."""

    _session: ShellSession | None = None

    @property
    def session(self) -> ShellSession:
        """The session in the studio that the variable `studio` holds now; another studio starts another session.

        Raises
        ------
        NbgraphError
            The variable holds something else. Nodes would run in a studio that the notebook cannot name.
        """
        if STUDIO not in self._namespace:
            self._namespace[STUDIO] = self._session.studio if self._session is not None else Studio()
        studio = self._namespace[STUDIO]
        if not isinstance(studio, Studio):
            text = f"the variable {STUDIO!r} is {value_text(studio)}, and the magics need a studio under that name"
            raise NbgraphError(f"{text}; rename the variable, then write studio = nb.Studio(), or `del {STUDIO}`")
        if self._session is None or self._session.studio is not studio:
            self._session = new_session(studio, rich=True, progress=True)
        return self._session

    @no_var_expand
    @line_cell_magic
    def nbgraph(self, line: str, cell: str | None = None) -> Any:
        """Perform a line, or the lines of a cell up to the first that fails. Returns the last result.

        %nbgraph rand_int | add --b 1 | mul --link -2 value a --link -1 value b
        result = %nbgraph show 0
        """
        lines = [(1, line)] if cell is None else logical_lines([line, *cell.splitlines()])
        shown: Any = None
        for number, text in lines:
            if shown is not None:
                self._show(shown)
            shown = None
            for reply in self._perform(text, None if cell is None else number):
                if shown is not None:
                    self._show(shown)
                shown = reply
        return None if shown is None else self._last(shown)

    def _perform(self, text: str, number: int | None) -> list[Reply]:
        try:
            return self.session.perform(text)
        except GrammarError as error:
            raise (error if number is None else error.at_line(number)) from None
        except ExitShell:
            return [Reply("there is no shell to leave in a notebook; the kernel keeps running")]

    def _show(self, reply: Reply) -> None:
        """Display a reply that others follow, and keep its value as `_`."""
        for each in reply.shown:
            display(each)
        if reply.value is not None:
            display(reply.value)
            # as IPython does with the value of a cell: `_` is the last result
            self.shell.displayhook.update_user_ns(reply.value)  # type: ignore[union-attr]
        elif reply.text:
            print(reply.text)

    def _last(self, reply: Reply) -> Any:
        """Display the last reply without its value, which the notebook displays as the value of the cell."""
        self._show(Reply("" if reply.value is not None else reply.text, shown=reply.shown))
        return reply.value

    @property
    def _namespace(self) -> dict[str, Any]:
        return self.shell.user_ns  # type: ignore[union-attr]


def register(shell: InteractiveShell) -> None:
    """Register the magics and their completion; calling it again replaces them."""
    magics = NbgraphMagics(shell)
    shell.register_magics(magics)
    completer: Any = shell.Completer

    @context_matcher(identifier="nbgraph")  # pyright: ignore[reportUntypedFunctionDecorator]
    def match(context: CompletionContext) -> Any:
        return completions(magics, context)

    # %load_ext may run again, with magics of a new session
    others = [each for each in completer.custom_matchers if getattr(each, "matcher_identifier", "") != "nbgraph"]
    completer.custom_matchers[:] = [*others, match]


def completions(magics: NbgraphMagics, context: CompletionContext) -> dict[str, Any]:
    """Return what completes a line of the magics at the cursor, in place of Python's completions; else nothing."""
    text = _line_before_cursor(context)
    if text is None:
        return {"completions": []}
    try:
        session = magics.session
    except NbgraphError:  # the line itself will say it; a completer that raises prints a traceback while one types
        return {"completions": []}
    current, found = complete(text, surroundings(session))
    return {
        "completions": [SimpleCompletion(text=one.text, type=one.about) for one in found],
        "matched_fragment": current,
        "suppress": True,
        "do_not_suppress": set[str](),
        "ordered": True,
    }


def _line_before_cursor(context: CompletionContext) -> str | None:
    """Return the text before the cursor in a line of the magics, without their name; None in other code."""
    lines = context.full_text.splitlines() or [""]
    before = context.line_with_cursor[: context.cursor_position]
    if lines[0].startswith("%%nbgraph") and context.cursor_line > 0:
        return before
    found = LINE.search(before)
    return before[found.end() :] if found else None
