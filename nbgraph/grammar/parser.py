"""The grammar of a line, one for the shell and the magics: words become stages with options.

    LINE   := stage ("|" stage)*
    stage  := NAME word* option*                NAME: a node type, a library graph or a command
    option := "--" FIELD word* | "--" FIELD "=" word | ("--link" | "-l") SRC FIELD DEST | ("--link_node" | "-ln") SRC

Spaces separate words. `'...'` holds anything, `"..."` too (with `\\"` and `\\\\`), `$'...'` knows `\\n`, `\\t`,
`\\u00e9`. A quoted word is never an option, a pipe, a relative id or a command. The parser knows no node types.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nbgraph.grammar.lexer import GrammarError, Word, scan

SHORT_OPTIONS = {"-l": "link", "-ln": "link_node", "-h": "help"}
OPTION = re.compile(r"--([A-Za-z_][\w-]*)(=)?")


@dataclass(frozen=True)
class Option:
    """`--name value ...`; the name with underscores for hyphens."""

    name: str
    values: tuple[Word, ...]
    column: int


@dataclass(frozen=True)
class Stage:
    """One stage of a line: its name, the words before the first option, and the options in order."""

    name: Word
    words: tuple[Word, ...]
    options: tuple[Option, ...]


def parse_line(text: str) -> list[Stage]:
    """Return the stages of a line, none for an empty one. Raises `GrammarError` at the first wrong column."""
    groups: list[list[Word]] = [[]]
    pipes: list[int] = []
    for found in scan(text):
        if isinstance(found, Word):
            groups[-1].append(found)
        else:
            pipes.append(found)
            groups.append([])
    if not pipes and not groups[0]:
        return []
    for number, group in enumerate(groups):
        if not group:
            column = pipes[min(number, len(pipes) - 1)]
            text = 'this "|" has no stage on one side; a pipe joins two stages (quote a "|" that belongs to a text)'
            raise GrammarError(text, column)
    return [_stage(group) for group in groups]


def _stage(group: list[Word]) -> Stage:
    name = group[0]
    words: list[Word] = []
    if _option(name) is not None:
        raise GrammarError(
            f"a stage begins with a node type, a library graph or a command, not with the option {name.text}",
            name.column,
        )
    options: list[tuple[str, list[Word], int]] = []
    for word in group[1:]:
        option = _option(word)
        if option is not None:
            options.append((*option, word.column))
        else:
            (options[-1][1] if options else words).append(word)
    return Stage(name, tuple(words), tuple(Option(title, tuple(values), column) for title, values, column in options))


def _option(word: Word) -> tuple[str, list[Word]] | None:
    """Return the name and first value of an option, or None for a word that is not an option."""
    if word.text in SHORT_OPTIONS and not word.is_quoted:
        return SHORT_OPTIONS[word.text], []
    # only the part before the first quote or backslash can make a word an option
    found = OPTION.match(word.text, 0, word.bare)
    if found is None or (found.end() < len(word.text) and not found[2]):
        return None
    name = found[1].replace("-", "_")
    if not found[2]:
        return name, []
    return name, [Word(word.text[found.end() :], word.column + found.end(), 0)]


def logical_lines(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield (number, line), counted from 1, without blank lines and comments (`# ...`).

    A line that ends in a pipe or a backslash continues on the next one; its number is that of its first part.
    """
    waiting, first = "", 0
    for number, line in enumerate(lines, 1):
        bare = line.rstrip()
        if not waiting and (not bare or bare.lstrip().startswith("#")):
            continue
        first = first if waiting else number
        waiting += bare[:-1] + " " if bare.endswith("\\") else bare
        if not bare.endswith("\\") and not _ends_in_pipe(waiting):
            yield first, waiting
            waiting = ""
        elif not bare.endswith("\\"):
            waiting += " "
    if waiting.strip():
        yield first, waiting


def _ends_in_pipe(line: str) -> bool:
    try:
        # an open quote is an error of the whole line, which says where
        found = list(scan(line))
    except GrammarError:
        return False
    return bool(found) and isinstance(found[-1], int)
