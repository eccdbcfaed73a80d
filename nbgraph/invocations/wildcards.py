"""Wildcards: lists of texts from a folder, of which `__name__` in a template takes one."""

import json
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from os.path import isdir
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field

from nbgraph.errors import NbgraphError, suggest
from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput, InvocationContext, invocation
from nbgraph.texts import value_text

MAX_FILES = 5_000
MAX_FILE_BYTES = 4 * 2**20
MAX_TEXTS = 200_000
MAX_DEPTH = 20
ENDINGS = (".txt", ".yaml", ".yml", ".json")
WILDCARD = re.compile(r"__([^\s_$|{}][^\s$|{}]*?)(?:\([^)]*\))?__")
"""A wildcard within a text: its name may have folders, `*` and single underscores."""
_WEIGHT = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)::(.*)", re.DOTALL)
Weighted = tuple[str, float]


class WildcardsField(BaseModel):
    """Lists of texts by the name of their wildcard, such as `animals/dogs`; a text may have a weight, `2::red`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lists: dict[str, tuple[str, ...]]

    def texts(self, name: str) -> list[Weighted]:
        """Return the texts that `__name__` can become, each once, with their weights; texts of weight 0 are left out.

        `*` in a name stands for any letters: `animals/*`. `NbgraphError` where there is no list of that name.
        """
        wanted = name.strip("_ /")
        found = [key for key in self.lists if key == wanted or fnmatchcase(key, wanted)]
        if not found:
            raise NbgraphError(f"there is no wildcard {value_text(f'__{wanted}__')}{suggest(wanted, self.lists)}")
        texts: dict[str, float] = {}
        for key in found:
            for text, weight in map(split_weight, self.lists[key]):
                texts.setdefault(text, weight)
        return [(text, weight) for text, weight in texts.items() if weight > 0]

    def check(self) -> None:
        """Raise `NbgraphError` for a list that holds a wildcard that is not there, or that leads back to itself."""
        uses = {key: self._used_by(key) for key in self.lists}
        done: set[str] = set()
        for start in uses:
            path: list[str] = []
            waiting: list[Iterator[str]] = [iter((start,))]
            while waiting:
                name = next(waiting[-1], None)
                if name is None:
                    waiting.pop()
                    done.update(path[-1:])
                    del path[-1:]
                elif name in path:
                    circle = " -> ".join(f"__{each}__" for each in [*path[path.index(name) :], name])
                    raise NbgraphError(f"the wildcards go round in a circle: {circle}; take one of them out")
                elif name not in done:
                    path.append(name)
                    waiting.append(iter(uses[name]))

    def _used_by(self, key: str) -> list[str]:
        """Return the lists that the texts of a list need."""
        names = dict.fromkeys(name for text in self.lists[key] for name in WILDCARD.findall(text))
        used: dict[str, None] = {}
        for name in names:
            fitting = [each for each in self.lists if each == name or fnmatchcase(each, name)]
            if not fitting:
                text = f"the wildcard __{key}__ needs __{name}__, which is not there{suggest(name, self.lists)}"
                raise NbgraphError(text)
            used.update(dict.fromkeys(fitting))
        return list(used)


class WildcardsOutput(BaseInvocationOutput):
    """Lists of texts by name."""

    wildcards: WildcardsField


@invocation("wildcards", title="Wildcards", category="strings", version="1.0.0", use_cache=False)
class Wildcards(BaseInvocation):
    """The lists of a folder, for `__name__` in the templates of a dynamic prompt.

    `color.txt` is `__color__`, a text on each line, and `animals/dog.txt` is `__animals/dog__`; YAML and JSON files
    hold several lists by name. `2::red` counts twice as much as `red`. Texts may hold choices and other wildcards. The
    folder is read at every run, and what follows runs again where its lists have changed.
    """

    folder: Path = Field(description="Folder of text, YAML or JSON files, also in folders within it")

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        if "folder" in known and not isdir(known["folder"]):
            yield "folder", f"there is no folder {value_text(str(known['folder']))} (looked in {Path.cwd()})"

    def invoke(self, context: InvocationContext) -> WildcardsOutput:
        found = read_folder(self.folder)
        found.check()
        return WildcardsOutput(wildcards=found)


def split_weight(text: str) -> Weighted:
    """Return a text and its weight: `2::red` is ("red", 2.0), and without one it is 1."""
    found = _WEIGHT.fullmatch(text)
    return (found[2], float(found[1])) if found else (text, 1.0)


def read_folder(folder: Path) -> WildcardsField:
    """Return the lists of a folder; `NbgraphError` names a file that cannot be read, or that is too large."""
    files = [file for file in sorted(folder.rglob("*")) if file.suffix.casefold() in ENDINGS and file.is_file()]
    if len(files) > MAX_FILES:
        raise NbgraphError(f"{str(folder)!r} has {len(files):,} files of wildcards; at most {MAX_FILES:,} are read")
    lists: dict[str, list[str]] = {}
    count = 0
    for file in files:
        for name, texts in _read_file(file, file.relative_to(folder).with_suffix("").as_posix()):
            lists.setdefault(name, []).extend(texts)
            count += len(texts)
            if count > MAX_TEXTS:
                raise NbgraphError(f"{str(folder)!r} has more than {MAX_TEXTS:,} texts; split it")
    if not lists:
        raise NbgraphError(f"{str(folder)!r} has no wildcards: no file of {', '.join(ENDINGS)} with a text in it")
    return WildcardsField(lists={name: tuple(texts) for name, texts in lists.items()})


def _read_file(file: Path, name: str) -> Iterator[tuple[str, list[str]]]:
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise NbgraphError(f"{str(file)!r} has more than {MAX_FILE_BYTES:,} bytes; split it")
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise NbgraphError(f"{str(file)!r} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise NbgraphError(f"{str(file)!r} is not UTF-8 text: byte {error.start}; save it as UTF-8") from None
    if file.suffix.casefold() == ".txt":
        lines = (line.strip() for line in text.splitlines())
        texts = [line for line in lines if line and not line.startswith("#")]
        yield from [(name, texts)] if texts else []
        return
    # the names in a structured file are its own; those of a plain list is the file's
    yield from _lists_in(_parsed(file, text), name, "", file, 0)


def _parsed(file: Path, text: str) -> Any:
    try:
        if file.suffix.casefold() == ".json":
            return json.loads(text)
        import yaml  # only where there is such a file: it costs 20 ms

        return yaml.safe_load(text)
    except ImportError:
        raise NbgraphError(f"{str(file)!r} needs the package pyyaml: pip install pyyaml") from None
    except (ValueError, RecursionError) as error:
        raise NbgraphError(f"{str(file)!r} cannot be read: {' '.join(str(error).split())[:200]}") from None
    except Exception as error:  # the errors of yaml have a base of their own, which cannot be named without it
        raise NbgraphError(f"{str(file)!r} is no YAML: {' '.join(str(error).split())[:200]}") from None


def _lists_in(value: Any, name: str, prefix: str, file: Path, depth: int) -> Iterator[tuple[str, list[str]]]:
    if depth > MAX_DEPTH:
        raise NbgraphError(f"{str(file)!r} is nested more than {MAX_DEPTH} deep")
    if isinstance(value, dict):
        for key, inner in cast(dict[object, object], value).items():
            path = f"{prefix}/{key}".strip("/")
            yield from _lists_in(inner, path, path, file, depth + 1)
    elif isinstance(value, str | int | float | list):
        items = cast(list[Any], value) if isinstance(value, list) else [value]
        if texts := [_text(item, name, file) for item in items if item not in ("", None)]:
            yield name, texts
    elif value is not None:
        raise NbgraphError(f"{str(file)!r}: {name!r} is no list of texts")


def _text(item: Any, name: str, file: Path) -> str:
    """Return one text of a list: a text, a number, or an object with text and weight."""
    if isinstance(item, str | int | float):
        return str(item)
    if isinstance(item, dict):
        named = cast(dict[str, Any], item)
        if isinstance(text := named.get("text", named.get("content")), str):
            try:
                return f"{float(named.get('weight', 1)):.6g}::{text}"
            except (TypeError, ValueError):
                pass
    raise NbgraphError(f"{str(file)!r}: {value_text(item)} in {name!r} is no text; write a text, or text and weight")
