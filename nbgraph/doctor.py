"""A report for a bug report: versions, devices, SQLite, front end and folder, without home paths and secrets."""

import os
import platform
import sqlite3
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from textwrap import fill
from urllib.parse import quote

import psutil

from nbgraph.config import PREFIX
from nbgraph.services.shared.sqlite.store_folder import SUFFIXES, StoreFolder
from nbgraph.services.shared.sqlite.write_ahead_log import network_filesystem

PACKAGES = (
    *(
        "nbgraph",
        "torch",
        "torchvision",
        "diffusers",
        "transformers",
        "accelerate",
        "peft",
        "safetensors",
        "tokenizers",
    ),
    *("huggingface-hub", "numpy", "pillow", "pydantic", "pandas", "matplotlib", "compel", "dynamicprompts"),
    *("ipykernel", "ipywidgets", "anywidget", "jupyterlab", "notebook", "marimo"),
)
GIB = 2**30
TIE = "\N{NO-BREAK SPACE}"  # keeps a package and its version on one line
WAL_RESET_FIXED = (3, 51, 3)
"""The SQLite version without the fault in resetting a write-ahead log."""


def report(folder: str | os.PathLike[str] | None = None) -> str:
    """Return lines to paste into a bug report.

    Of environment variables only the names are printed, never the values.

    Parameters
    ----------
    folder
        A studio's folder to describe as well; nothing in it is changed.
    """
    lines = [*_system(), *_packages(), *_devices(), *_sqlite(), *_front_end(), *_settings()]
    if folder is not None:
        lines += _folder(StoreFolder(folder))
    return "\n".join(_wrapped(without_home(line)) for line in lines)


def _wrapped(line: str) -> str:
    """Return a line in at most 80 columns, continued below its label."""
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    return fill(line, 80, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False).replace(TIE, " ")


def without_home(text: str) -> str:
    """Return the text with `~` in place of the home folder, in each of its spellings."""
    homes = {os.path.expanduser("~"), os.path.realpath(os.path.expanduser("~"))}
    for home in sorted(homes, key=len, reverse=True):
        if len(home) > 1:
            text = text.replace(home, "~")
    return text


def _system() -> Iterator[str]:
    memory = psutil.virtual_memory()
    yield f"system: {platform.system()} {platform.release()} {platform.machine()}, Python {platform.python_version()}"
    yield f"memory: {memory.total / GIB:.1f} GiB, {memory.available / GIB:.1f} GiB free; {os.cpu_count()} CPUs"


def _packages() -> Iterator[str]:
    found = [f"{name}{TIE}{found}" for name in PACKAGES if (found := _version(name))]
    yield f"packages: {', '.join(found)}"
    yield f"not installed: {', '.join(name for name in PACKAGES if not _version(name)) or 'none of those asked for'}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _devices() -> Iterator[str]:
    try:
        # A broken torch is what the report is often about, so it must not end the report.
        torch = import_module("torch")
    except (ImportError, OSError) as error:
        yield f"devices: torch cannot be imported: {str(error)[:300]}"
        return
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    mps = ["mps"] if torch.backends.mps.is_available() else []
    yield f"devices: {', '.join([*names, *mps, 'cpu'])}; CUDA {torch.version.cuda or 'not built in'}"


def _sqlite() -> Iterator[str]:
    is_safe = sqlite3.sqlite_version_info >= WAL_RESET_FIXED
    note = "" if is_safe else " (older than 3.51.3: kernels take turns, so its WAL-reset fault is not met)"
    yield f"SQLite: {sqlite3.sqlite_version}{note}"


def _front_end() -> Iterator[str]:
    built = import_module("nbgraph.widgets.js_bundle").STATIC / "widgets.js"
    state = f"built, {built.stat().st_size:,} bytes" if built.is_file() else "not built; widgets show text only"
    yield f"front end: {state}; in a kernel: {'ipykernel' in sys.modules}"


def _settings() -> Iterator[str]:
    names = sorted(name for name in os.environ if name.startswith((PREFIX, "HF_", "TORCH_", "CUDA_")))
    yield f"environment: {', '.join(names) or 'nothing is set'}; .env file here: {Path('.env').is_file()}"


def _folder(folder: StoreFolder) -> Iterator[str]:
    yield f"folder: {folder.root}"
    if not folder.database.is_file():
        yield "  it is a file, not a folder" if folder.root.is_file() else "  there is no studio in it"
        return
    usage = psutil.disk_usage(str(folder.root))
    kind = network_filesystem(folder.root) or "local"
    yield f"  disk: {usage.free / GIB:.1f} of {usage.total / GIB:.1f} GiB free, {kind} filesystem"
    yield f"  database: {folder.database.stat().st_size:,} bytes, {_database_state(folder.database)}"
    for name in (*SUFFIXES, "tmp", "backups"):
        sizes = [path.stat().st_size for path in (folder.root / name).rglob("*") if path.is_file()]
        yield f"  {name}: {len(sizes):,} files, {sum(sizes):,} bytes"
    yield f"  kernels: {sum(len(path.stem) == 32 for path in folder.locks.glob('*.lock'))} have it open, or ended badly"


def _database_state(database: Path) -> str:
    """Return format, row counts and integrity of a database, opened read-only."""
    try:
        how = "mode=ro" if Path(f"{database}-wal").exists() else "immutable=1"  # so that no file is made beside it
        connection = sqlite3.connect(f"file:{quote(str(database))}?{how}", uri=True, timeout=2)
        try:
            (number,) = connection.execute("PRAGMA user_version").fetchone()
            (health,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            tables = ("sessions", "images", "tensors", "cache_entries", "queue")
            rows = [(table, connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]) for table in tables]  # noqa: S608
        finally:
            connection.close()
    except sqlite3.Error as error:
        return f"cannot be read: {error}"
    return f"format {number}, check: {health}; " + ", ".join(f"{count:,} {table}" for table, count in rows)
