"""Commands of the shell: typed functions under a name of one or two words, called with the words of a stage.

    @command("history", "the newest nodes, as lines that build them again")
    def history(session: ShellSession, count: int = 5) -> Reply: ...

`history 3` and `history --count 3` are the same. A parameter annotated `Word` gets the word with its column.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import wrap
from typing import Any, get_type_hints

from nbgraph.errors import suggest
from nbgraph.grammar.lexer import GrammarError, Word
from nbgraph.grammar.parser import Option, Stage
from nbgraph.grammar.values import parse_value, without

INDENT, USAGE_WIDTH = 4, 30


@dataclass(frozen=True)
class Reply:
    """The answer to a line: `text` for a terminal; for a notebook `shown` objects and a `value` for the next cell."""

    text: str = ""
    value: Any = None
    shown: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Call:
    """A command with its arguments, ready to call with a session."""

    command: "Command"
    arguments: tuple[Any, ...]
    options: dict[str, Any]

    def __call__(self, session: object) -> Reply:
        return self.command.function(session, *self.arguments, **self.options)


@dataclass(frozen=True)
class Command:
    """A function that answers a stage. Its parameters after the session are the words and options that it takes."""

    name: str
    summary: str
    function: Callable[..., Reply]
    parameters: tuple[inspect.Parameter, ...]
    annotations: dict[str, Any]

    @property
    def usage(self) -> str:
        """How the command is written: `history [COUNT]`, `default set FIELD VALUE`."""
        return " ".join([self.name, *(self._usage_of(parameter) for parameter in self.parameters)])

    def _usage_of(self, parameter: inspect.Parameter) -> str:
        word, annotation = parameter.name.upper(), self.annotations[parameter.name]
        if parameter.kind is parameter.VAR_POSITIONAL:
            return f"[{word} ...]"
        if parameter.default is parameter.empty:
            return word
        if annotation is bool:
            return f"[--{parameter.name}]"
        if parameter is self.parameters[0] and annotation != Path | None:
            return f"[{word}]"  # what a person types first needs no option; files are clearer with one
        return f"[--{parameter.name} {word if parameter.default in (None, '') else parameter.default}]"

    @property
    def help(self) -> str:
        """The usage and the summary in lines of at most 80 columns."""
        lines = wrap(self.summary, 80 - INDENT - USAGE_WIDTH)
        # a long usage has a line of its own, so that it does not push the summaries of all commands to the right
        first = [] if len(self.usage) < USAGE_WIDTH else [" " * INDENT + self.usage]
        usages = [self.usage if not first else "", *[""] * len(lines)]
        margin = " " * INDENT
        rows = [f"{margin}{usage:<{USAGE_WIDTH}}{line}" for usage, line in zip(usages, lines)]
        return "\n".join([*first, *rows])

    def bind(self, words: tuple[Word, ...], options: tuple[Option, ...], column: int) -> Call:
        """Return the call for these words and options. Raises `GrammarError` where they do not fit the parameters."""
        given: dict[str, Any] = {}
        rest: list[Any] = []
        # a `[NODES ...]` parameter takes all remaining words, so it is never removed from here
        places = [p for p in self.parameters if p.kind is not p.KEYWORD_ONLY]
        for word in words:
            if not places:
                raise GrammarError(f"{word.text!r} is one word too many (usage: {self.usage})", word.column)
            place = places[0]
            if place.kind is place.VAR_POSITIONAL:
                rest.append(self._value(place, (word,), word.column))
            else:
                given[places.pop(0).name] = self._value(place, (word,), word.column)
        for option in options:
            self._take(option, given)
        for parameter in self.parameters:
            if (
                parameter.default is parameter.empty
                and parameter.kind is not parameter.VAR_POSITIONAL
                and parameter.name not in given
            ):
                raise GrammarError(f"{self.name} needs {parameter.name.upper()} (usage: {self.usage})", column)
        return Call(self, tuple(rest), given)

    def _take(self, option: Option, given: dict[str, Any]) -> None:
        named = {p.name: p for p in self.parameters if p.kind is not p.VAR_POSITIONAL}
        name = option.name
        if name not in named and name.startswith("no_") and name[3:] in named:
            given[name[3:]] = without(self.annotations[name[3:]], name[3:], option.column)
            return
        if name not in named:
            raise GrammarError(f"{self.name} has no option --{name}{suggest(name, named)}", option.column)
        if name in given:
            raise GrammarError(f"{self.name}: {name} is given twice", option.column)
        given[name] = self._value(named[name], option.values, option.column)

    def _value(self, parameter: inspect.Parameter, words: tuple[Word, ...], column: int) -> Any:
        annotation = self.annotations[parameter.name]
        if annotation in (Word, Word | None):
            if len(words) != 1:
                raise GrammarError(f"{parameter.name} takes one word, not {len(words)}", column)
            return words[0]
        return parse_value(annotation, words, parameter.name, column)


@dataclass
class CommandTable:
    """All commands by name, and their short names."""

    commands: dict[str, Command] = field(default_factory=dict[str, Command])
    short: dict[str, str] = field(default_factory=dict[str, str])

    def command(self, name: str, summary: str, *short: str) -> Callable[[Callable[..., Reply]], Callable[..., Reply]]:
        """Return a decorator that makes a function the command of that name; `short` are other names for it."""

        def decorate(function: Callable[..., Reply]) -> Callable[..., Reply]:
            parameters = tuple(inspect.signature(function).parameters.values())[1:]
            self.commands[name] = Command(name, summary, function, parameters, get_type_hints(function))
            self.short.update(dict.fromkeys(short, name))
            return function

        return decorate

    @property
    def first_words(self) -> list[str]:
        """The first words of the commands, sorted."""
        return sorted({name.split()[0] for name in (*self.commands, *self.short)})

    def second_words(self, first: str) -> list[str]:
        """Return the second words of the commands that begin so: `explain`, `forget`, `list` after `cache`."""
        return sorted(name.split()[1] for name in self.commands if name.startswith(f"{first} "))

    def bind(self, stage: Stage) -> Call:
        """Return the call for a stage. Raises `GrammarError` for an unknown command or arguments that do not fit."""
        first, words = stage.name.text, stage.words
        seconds = self.second_words(first)
        if words and words[0].text in seconds:
            return self.commands[f"{first} {words[0].text}"].bind(words[1:], stage.options, words[0].column)
        name = self.short.get(first, first)
        if name not in self.commands:
            found = (
                f"not {words[0].text!r}{suggest(words[0].text, seconds)}"
                if words
                else f"(possible: {', '.join(seconds)})"
            )
            raise GrammarError(f"{first} needs one more word, {found}", (words[0] if words else stage.name).column)
        if words and seconds and not self.commands[name].parameters:
            raise GrammarError(f"no command {first} {words[0].text}{suggest(words[0].text, seconds)}", words[0].column)
        return self.commands[name].bind(words, stage.options, stage.name.column)
