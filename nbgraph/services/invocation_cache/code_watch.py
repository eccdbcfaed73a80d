"""Detect cheaply whether what code reached when it was hashed is still the same.

Names, cells, the code of functions and the contents of containers are compared by identity, some tens of nanoseconds
each: the objects are referenced, so no other object can get their identity. What can change inside without a change of
identity, such as an array, is compared by a snapshot of its content.
"""

from collections.abc import Callable, Collection, Mapping
from operator import is_
from types import CellType, FunctionType
from typing import Any, TypeVar

Content = TypeVar("Content")
Key = TypeVar("Key")
MISSING = object()


def cell_contents(cell: CellType) -> object:
    """Return what a cell holds, `MISSING` for an empty one."""
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


class Watch:
    """All that was looked at, with what was found there."""

    __slots__ = (
        "_cells",
        "_classes",
        "_contents",
        "_empty",
        "_functions",
        "_mappings",
        "_names",
        "_sequences",
        "_slots",
    )

    def __init__(self) -> None:
        self._names: list[tuple[Mapping[str, object], str, object]] = []
        self._cells: list[tuple[CellType, object]] = []
        self._classes: list[tuple[Mapping[str, object], tuple[object, ...]]] = []
        self._functions: list[tuple[FunctionType, object, object, object]] = []
        self._empty: list[Collection[object]] = []
        self._mappings: list[tuple[Mapping[Any, object], tuple[object, ...], tuple[object, ...]]] = []
        self._sequences: list[tuple[Collection[object], tuple[object, ...]]] = []
        self._slots: list[tuple[object, str, object]] = []
        self._contents: list[tuple[Any, Callable[[Any], Any], Any]] = []

    def name(self, namespace: Mapping[str, object], name: str) -> object:
        """Return the value of a name in a namespace, `MISSING` without one, and watch it."""
        value = namespace.get(name, MISSING)
        self._names.append((namespace, name, value))
        return value

    def cell(self, cell: CellType) -> object:
        """Return what a cell holds, and watch it."""
        value = cell_contents(cell)
        self._cells.append((cell, value))
        return value

    def function(self, function: FunctionType) -> None:
        """Watch the code and the defaults of a function; its attributes and cells are watched by themselves."""
        self._functions.append((function, function.__code__, function.__defaults__, function.__kwdefaults__))

    def cls(self, cls: type) -> None:
        """Watch the members of a class."""
        members = vars(cls)
        self._classes.append((members, tuple(members.values())))

    def mapping(self, mapping: Mapping[Key, object]) -> None:
        """Watch the keys and values of a mapping, in their order."""
        if mapping:
            self._mappings.append((mapping, tuple(mapping), tuple(mapping.values())))
        else:
            self._empty.append(mapping)

    def items(self, items: Collection[object]) -> None:
        """Watch the items of a list, a set or the like."""
        if items:
            self._sequences.append((items, tuple(items)))
        else:
            self._empty.append(items)

    def slot(self, thing: object, name: str) -> object:
        """Return an attribute kept in a slot, `MISSING` if it is not set, and watch it."""
        value = getattr(thing, name, MISSING)
        self._slots.append((thing, name, value))
        return value

    def content(self, thing: Content, snapshot: Callable[[Content], object]) -> None:
        """Watch the content of a thing by a snapshot of it, which is equal as long as nothing changes."""
        self._contents.append((thing, snapshot, snapshot(thing)))

    def size(self) -> tuple[int, ...]:
        """Return how much is watched, for `forget_since`."""
        return tuple(len(getattr(self, name)) for name in self.__slots__)

    def forget_since(self, size: tuple[int, ...]) -> None:
        """Watch no more than was watched then."""
        for name, length in zip(self.__slots__, size):
            del getattr(self, name)[length:]

    def holds(self) -> bool:
        """Return whether everything watched is still the same."""
        try:
            return not any(self._empty) and self._identities_hold() and self._contents_hold()
        except Exception:
            return False  # changed while it was looked at, or can no longer be read

    def _identities_hold(self) -> bool:
        for namespace, name, value in self._names:
            if namespace.get(name, MISSING) is not value:
                return False
        for cell, value in self._cells:
            if cell_contents(cell) is not value:
                return False
        for members, held in self._classes:
            if len(members) != len(held) or not all(map(is_, members.values(), held)):
                return False
        for function, code, defaults, keyword_defaults in self._functions:
            if function.__code__ is not code or function.__defaults__ is not defaults:
                return False
            if function.__kwdefaults__ is not keyword_defaults:
                return False
        return all(getattr(thing, name, MISSING) is value for thing, name, value in self._slots)

    def _contents_hold(self) -> bool:
        for mapping, keys, values in self._mappings:
            if len(mapping) != len(keys) or not all(map(is_, mapping.values(), values)):
                return False
            if not all(map(is_, mapping, keys)):
                return False
        for items, held in self._sequences:
            if len(items) != len(held) or not all(map(is_, items, held)):
                return False
        return all(snapshot(thing) == known for thing, snapshot, known in self._contents)
