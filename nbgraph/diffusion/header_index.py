"""Facts of many files, kept by path, size and times: five hundred files cost nothing the second time."""

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from platformdirs import user_cache_path

from nbgraph.diffusion.fingerprints import file_identity
from nbgraph.diffusion.what_is import FileFacts, what_is
from nbgraph.errors import ModelError

_VERSION = 1
"""The version of an entry; entries of other versions are not used."""


def facts_of_files(paths: Iterable[str], index: Path | None = None) -> dict[str, FileFacts]:
    """Return the facts of each file, by its path; a file that has vanished is left out.

    Parameters
    ----------
    index
        The file that keeps the facts; None is one in the cache folder of the person.
    """
    kept_in = index or user_cache_path("nbgraph") / "headers.json"
    known = _read(kept_in)
    found: dict[str, FileFacts] = {}
    has_news = False
    for path in paths:
        try:
            identity = list(file_identity(path))
            entry = known.get(path)
            if entry is None or entry.get("identity") != identity:
                known[path] = entry = dict[str, Any](identity=identity, facts=asdict(what_is(path)))
                has_news = True
            found[path] = _facts(entry["facts"])
        except (ModelError, OSError, TypeError, KeyError):
            continue
    if has_news:
        _write(kept_in, known)
    return found


def _facts(stored: Mapping[str, Any]) -> FileFacts:
    values: dict[str, Any] = {**stored, "parts": tuple(stored["parts"])}
    return FileFacts(**values)


def _read(file: Path) -> dict[str, Any]:
    try:
        content: Any = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(content, dict):
        return {}
    kept = cast(dict[str, Any], content)
    return kept["files"] if kept.get("version") == _VERSION and isinstance(kept.get("files"), dict) else {}


def _write(file: Path, known: dict[str, Any]) -> None:
    written = file.with_name(f"{file.name}.{os.getpid()}")
    with suppress(OSError):  # where the cache folder cannot be written to, the next kernel looks again
        file.parent.mkdir(parents=True, exist_ok=True)
        written.write_text(json.dumps({"version": _VERSION, "files": known}), encoding="utf-8")
        written.replace(file)
