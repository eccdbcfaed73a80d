"""Distinguish a person's own code from that of installed packages, which counts by their names and versions."""

import builtins
import site
import sys
import sysconfig
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType, ModuleType
from typing import cast

OWN_PACKAGE = "nbgraph"
PYTHON = "python"
_STANDARD = sys.stdlib_module_names | set(sys.builtin_module_names)
_known: dict[str, str | None] = {}


def package_of(module_name: str | None) -> str | None:
    """Return the installed package a module belongs to, `python` for the standard library; None for a person's own.

    A person's own are `__main__`, modules that are made at run time, and those whose files are in no folder where
    packages are installed. Of an installed file without a version nothing is known but its code, so it is one's own.
    """
    if not module_name or module_name == "__main__":
        return None
    if module_name not in _known:
        place = _place_of(module_name)
        if place is None and module_name.partition(".")[0] not in _STANDARD:
            return None
        _known[module_name] = _package_at(module_name.partition(".")[0], place)
    return _known[module_name]


def is_own(cls: type) -> bool:
    """Return whether a class is a person's own: not that of an installed package, found there under its name."""
    module = cast(object, cls.__module__)
    if not isinstance(module, str):  # of a class that a compiler of extensions made
        return False
    return package_of(module) is None or not is_importable(cls)


def is_importable(thing: type | FunctionType) -> bool:
    """Return whether the module of a function or class has it under its name: it was not made for the occasion."""
    if isinstance(thing, type) and not thing.__flags__ & _HEAP_TYPE:
        return True
    found: object = sys.modules.get(thing.__module__)
    for name in thing.__qualname__.split("."):
        found = cast(dict[str, object], vars(found)).get(name) if hasattr(found, "__dict__") else None
        if isinstance(found, staticmethod | classmethod):
            found = cast(Callable[..., object], found.__func__)  # pyright: ignore[reportUnknownMemberType]
    return found is thing


@lru_cache(maxsize=1024)
def is_own_file(file: str) -> bool:
    """Return whether code of a file name, or of a name such as `<string>`, is in no folder of installed code."""
    if file.startswith("<"):
        return not file.startswith("<frozen ")
    place = Path(file).absolute()
    folders = (_OWN_FOLDER, *_standard_folders())
    return not (_is_installed(place) or any(place.is_relative_to(folder) for folder in folders))


@lru_cache(maxsize=1024)
def version_of(package: str) -> str:
    """Return the version of a package that `package_of` names, "" if it has none."""
    if package == PYTHON:
        return f"{sys.version_info.major}.{sys.version_info.minor}"
    stated = vars(sys.modules[package]).get("__version__") if package in sys.modules else None
    if isinstance(stated, str):
        return stated
    try:
        return version(package)
    except PackageNotFoundError:
        names = sorted(packages_distributions().get(package, ()))
        return " ".join(f"{name} {version(name)}" for name in names)


_HEAP_TYPE = 1 << 9


def _place_of(module_name: str) -> Path | None:
    """Return the file or folder of a module, without importing anything; None for one that has none."""
    top = module_name.partition(".")[0]
    module = sys.modules.get(module_name) or sys.modules.get(top)
    if module is None:
        try:
            spec = find_spec(top)
        except (ImportError, ValueError):
            return None
        return _first(spec.origin if spec and spec.has_location else None, spec and spec.submodule_search_locations)
    return _first(getattr(module, "__file__", None), getattr(module, "__path__", None))


def _first(file: object, folders: Iterable[str] | None) -> Path | None:
    if isinstance(file, str):
        return Path(file).absolute()
    return next((Path(folder).absolute() for folder in folders or ()), None)


def _package_at(top: str, place: Path | None) -> str | None:
    if place is None:
        return PYTHON
    if place.is_relative_to(_OWN_FOLDER):
        return OWN_PACKAGE
    if _is_installed(place):
        return top if version_of(top) else None
    return PYTHON if any(place.is_relative_to(folder) for folder in _standard_folders()) else None


def _is_installed(place: Path) -> bool:
    return any(place.is_relative_to(folder) for folder in _installed_folders()) or bool(
        _PACKAGE_FOLDERS & set(place.parts)
    )


_OWN_FOLDER = Path(__file__).absolute().parents[2]
_PACKAGE_FOLDERS = {"site-packages", "dist-packages"}


@lru_cache(maxsize=1)
def _installed_folders() -> tuple[Path, ...]:
    folders = sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), site.getusersitepackages()
    return tuple(Path(folder).absolute() for folder in folders)


@lru_cache(maxsize=1)
def _standard_folders() -> tuple[Path, ...]:
    return tuple(Path(sysconfig.get_path(name)).absolute() for name in ("stdlib", "platstdlib"))


def builtins_of(namespace: Mapping[str, object]) -> Mapping[str, object]:
    """Return the builtins that code with these globals has."""
    found = namespace.get("__builtins__", builtins)
    return vars(found) if isinstance(found, ModuleType) else cast(Mapping[str, object], found)
