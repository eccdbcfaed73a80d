"""The words, quotes and pipes of a line, and how any text is quoted as one word."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from nbgraph.errors import NbgraphError
from nbgraph.texts import one_line

ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "\\": "\\", "'": "'", '"': '"'}
CODE_DIGITS = {"x": 2, "u": 4, "U": 8}
PLAIN = re.compile(r"[\w./:,=+@%^-]+", re.ASCII)


class GrammarError(NbgraphError, ValueError):
    """A line that cannot be read: the problem and its column, counted from 1. Its text is always one line.

    `message` is the problem without its place, for input that has no columns, such as an option of the program.
    """

    def __init__(self, message: str, column: int, line: int | None = None) -> None:
        self.message, self.column, self.line = one_line(message), column, line
        super().__init__(f"{f'line {line}, ' if line else ''}column {column}: {self.message}")

    def at_line(self, line: int) -> "GrammarError":
        """Return the same error with the number of the line it is in."""
        return GrammarError(self.message, self.column, line)


class Word(NamedTuple):
    """A word without its quotes; `bare` counts the characters before the first quote or backslash in it."""

    text: str
    column: int
    bare: int

    @property
    def is_quoted(self) -> bool:
        """Whether any part of the word was quoted."""
        return self.bare < len(self.text) or not self.text


def scan(text: str) -> Iterator[Word | int]:
    """Yield the words of a line and, as bare column numbers, its pipes."""
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
        elif text[position] == "|":
            position += 1
            yield position
        else:
            word, position = _word(text, position)
            yield word


def _word(text: str, start: int) -> tuple[Word, int]:
    parts: list[str] = []
    bare, position = None, start
    while position < len(text) and not text[position].isspace() and text[position] != "|":
        part, after, quoted = _part(text, position)
        if quoted and bare is None:
            bare = position - start
        parts.append(part)
        position = after
    found = "".join(parts)
    return Word(found, start + 1, len(found) if bare is None else bare), position


def _part(text: str, position: int) -> tuple[str, int, bool]:
    """Return the next piece of a word, the position after it, and whether it is quoted."""
    character = text[position]
    if character == "'":
        end = text.find("'", position + 1)
        if end < 0:
            raise GrammarError("this quote ' is never closed", position + 1)
        return text[position + 1 : end], end + 1, True
    if character == '"':
        return _double_quoted(text, position)
    if text.startswith("$'", position):
        return _escaped(text, position)
    if character == "\\":
        if position + 1 == len(text):
            raise GrammarError(
                "no character follows this backslash; quote it to mean the backslash itself", position + 1
            )
        return text[position + 1], position + 2, True
    return character, position + 1, False


def _double_quoted(text: str, start: int) -> tuple[str, int, bool]:
    parts: list[str] = []
    position = start + 1
    while position < len(text):
        character = text[position]
        if character == '"':
            return "".join(parts), position + 1, True
        if character == "\\" and text[position + 1 : position + 2] in ('"', "\\"):
            position += 1
        parts.append(text[position])
        position += 1
    raise GrammarError('this quote " is never closed', start + 1)


def _escaped(text: str, start: int) -> tuple[str, int, bool]:
    parts: list[str] = []
    position = start + 2
    while position < len(text):
        character = text[position]
        if character == "'":
            return "".join(parts), position + 1, True
        if character != "\\":
            parts.append(character)
            position += 1
            continue
        kind = text[position + 1 : position + 2]
        digits = text[position + 2 : position + 2 + CODE_DIGITS.get(kind, 0)]
        if kind in ESCAPES:
            parts.append(ESCAPES[kind])
        elif (
            kind in CODE_DIGITS
            and re.fullmatch(f"[0-9a-fA-F]{{{CODE_DIGITS[kind]}}}", digits)
            # beyond the last code point of Unicode
            and int(digits, 16) < 0x110000
        ):
            parts.append(chr(int(digits, 16)))
        elif position + 1 < len(text):
            raise GrammarError(
                f"unknown escape \\{kind} (possible: \\n \\t \\r \\0 \\\\ \\' \\\" \\xHH \\uHHHH \\UHHHHHHHH)",
                position + 1,
            )
        position += 2 + len(digits)
    raise GrammarError("this quote $' is never closed", start + 1)


def quote(text: str, always: bool = False) -> str:
    """Return the text as one word of the grammar; `always` quotes even a word without special characters."""
    # a leading - would make an option or a relative id of it
    if not always and PLAIN.fullmatch(text) and not text.startswith("-"):
        return text
    if not all(character.isprintable() for character in text):
        return "$'" + "".join(_escape(character) for character in text) + "'"
    if '"' not in text and "\\" not in text:
        return f'"{text}"'
    if "'" not in text:
        return f"'{text}'"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _escape(character: str) -> str:
    if character in "\\'":
        return "\\" + character
    if character.isprintable():
        return character
    return f"\\U{ord(character):08x}"
