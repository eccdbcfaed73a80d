"""What many files are, kept by path, size and times: five hundred files cost nothing after the first look."""

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from nbgraph.diffusion.fingerprints import file_identity
from nbgraph.diffusion.what_is import FileFacts, what_is
from nbgraph.errors import ModelError

_VERSION = 1
"""Of what an entry says; entries of other versions are not used."""


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
                entry = known[path] = {"identity": identity, "facts": asdict(what_is(path))}
                has_news = True
            facts = entry["facts"]
            found[path] = FileFacts(**{**facts, "parts": tuple(facts["parts"])})
        except (ModelError, OSError, TypeError, KeyError):
            continue
    if has_news:
        _write(kept_in, known)
    return found


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    is_ours = isinstance(content, dict) and content.get("version") == _VERSION
    return content["files"] if is_ours and isinstance(content.get("files"), dict) else {}


def _write(file: Path, known: dict[str, Any]) -> None:
    written = file.with_name(f"{file.name}.{os.getpid()}")
    with suppress(OSError):  # where the cache folder cannot be written to, the next kernel looks again
        file.parent.mkdir(parents=True, exist_ok=True)
        written.write_text(json.dumps({"version": _VERSION, "files": known}), encoding="utf-8")
        written.replace(file)
