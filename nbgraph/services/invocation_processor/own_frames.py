"""Find where a person's own code failed: file or cell, line and code of the last own frame, as text.

The frames of nbgraph, of installed packages and of the standard library are passed over: what a person can mend is the
call that led there.
"""

import linecache
import os
from pathlib import Path
from traceback import walk_tb
from types import CodeType, TracebackType
from typing import NamedTuple

from pydantic import ValidationError

from nbgraph.notebook import shell
from nbgraph.services.invocation_cache.code_packages import is_own_file, package_of
from nbgraph.texts import shorten

CODE_LENGTH, PATH_LENGTH, NAME_LENGTH = 120, 80, 60


class OwnLine(NamedTuple):
    """A line of a person's own code: `code` is empty where there is no source, `name` outside of functions."""

    where: str
    line: int
    name: str
    code: str

    @property
    def is_found(self) -> bool:
        """True if the line can be looked up: it has a source, and a file or a cell, other than code made by `exec`."""
        return bool(self.code) and not self.where.startswith("<")

    def __str__(self) -> str:
        inside = f", in {self.name}" if self.name else ""
        return f"{self.where}, line {self.line}{inside}" + (f": {self.code}" if self.code else "")


def place_of(error: BaseException) -> str:
    """Return the last own line that ran: `cell [5], line 3, in tint: return 1 / strength`; empty if no own code ran.

    Of a line that cannot be looked up, such as one made by `exec` or by a dataclass, the nearest caller that can is
    named too. It is one line of printable text of a limited length, and not escaped for HTML.
    """
    lines = _own_lines(error)
    if not lines:
        return ""
    last = lines.pop()
    caller = None if last.is_found else next((line for line in reversed(lines) if line.is_found), None)
    return f"{last}, called from {caller}" if caller else str(last)


def _own_lines(error: BaseException) -> list[OwnLine]:
    """Return the lines of own frames, outermost first; a wrong syntax in an own file is the innermost one."""
    lines = _lines_of(error.__traceback__)
    if isinstance(error, ValidationError):
        lines += _lines_of_validators(error)
    elif isinstance(error, SyntaxError) and lines and isinstance(error.filename, str) and is_own_file(error.filename):
        lines.append(OwnLine(_where(error.filename), error.lineno or 0, "", _shown_code(error.text or "")))
    return lines


def _lines_of_validators(error: ValidationError) -> list[OwnLine]:
    """Return the lines in the first own validator that refused a value; pydantic keeps its exception."""
    for found in error.errors(include_url=False, include_input=False):
        refused = found.get("ctx", {}).get("error")
        if isinstance(refused, BaseException) and (lines := _lines_of(refused.__traceback__)):
            return lines
    return []


def _lines_of(trace: TracebackType | None) -> list[OwnLine]:
    """Return the lines of own frames; of a recursion the same few come a thousand times, and each is looked up once."""
    known: dict[tuple[int, int], OwnLine | None] = {}  # by id: code of another file may be equal
    lines: list[OwnLine] = []
    for frame, number in walk_tb(trace):
        code, namespace = frame.f_code, frame.f_globals
        number = number or code.co_firstlineno
        place = id(code), number
        if place not in known:
            known[place] = _own_line(code, number, namespace) if _is_own(code, namespace) else None
        if (line := known[place]) is not None:
            lines.append(line)
    return lines


def _is_own(code: CodeType, namespace: dict[str, object]) -> bool:
    module = namespace.get("__name__")
    return is_own_file(code.co_filename) and package_of(module if isinstance(module, str) else None) is None


def _own_line(code: CodeType, number: int, namespace: dict[str, object]) -> OwnLine:
    file = code.co_filename
    linecache.checkcache(file)
    source = linecache.getline(file, number, namespace)
    name = code.co_qualname.rpartition("<locals>.")[2]
    shown = "" if name == "<module>" else shorten(_printable(name), NAME_LENGTH)
    return OwnLine(_where(file), number, shown, _shown_code(source))


def _where(file: str) -> str:
    """Return the cell, or the path, relative to the working folder or the home folder if it is in one of these."""
    runs_cells = shell()
    cell = runs_cells and runs_cells.compile.format_code_name(file)
    if cell:
        kind, name = cell
        return f"{kind.lower()} {name.removeprefix('In')}"
    return _printable(_short_path(file))


def _short_path(file: str) -> str:
    path, shown = Path(file), file
    for folder, prefix in ((_working_folder(), ""), (os.path.expanduser("~"), f"~{os.sep}")):  # noqa: PTH111
        if len(Path(folder).parts) > 1 and path.is_relative_to(folder):
            shown = f"{prefix}{path.relative_to(folder)}"
            break
    return shown if len(shown) <= PATH_LENGTH else "..." + shown[3 - PATH_LENGTH :]


def _working_folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109
    except OSError:  # it was deleted
        return ""


def _shown_code(source: str) -> str:
    start = source.strip()[: CODE_LENGTH + 1]
    return shorten(_printable(start.expandtabs()), CODE_LENGTH)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
