"""The registry: node type -> class. It is asked late, so that a node defined or redefined in a cell is found."""

import warnings
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol

from nbgraph.errors import NbgraphError, NbgraphWarning, UnknownNodeTypeError
from nbgraph.html import element, table
from nbgraph.loading import load

BUILT_IN = "nbgraph.invocations"
ENTRY_POINTS = "nbgraph.nodes"


class NodeClass(Protocol):
    """The attributes of a node class that the registry reads."""

    type: str
    title: str
    category: str
    __module__: str
    __qualname__: str

    @classmethod
    def inputs(cls) -> Mapping[str, Any]: ...

    @classmethod
    def outputs(cls) -> Mapping[str, Any]: ...

    @classmethod
    def class_from_json(cls, values: dict[str, Any]) -> Any: ...

    def __call__(self, **inputs: Any) -> Any: ...


class Registry(Mapping[str, NodeClass]):
    """Node type -> class: a mapping that shows itself as a table."""

    def __init__(self) -> None:
        self._classes: dict[str, NodeClass] = {}
        self._packages_loaded = False

    def register(self, cls: NodeClass) -> None:
        """Add a class, or replace the one of the same type and name; another class's type is not taken over."""
        known = self._classes.get(cls.type)
        if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            where = f"{known.__module__}.{known.__qualname__}"
            # a worker process has imported the script that started it under the second name
            if known.__module__ not in ("__main__", "__mp_main__"):
                raise NbgraphError(f"node type {cls.type!r} is taken by {where}; choose another type")
        self._classes[cls.type] = cls

    def load_packages(self) -> None:
        """Import the built-in nodes and those of installed packages (entry points `nbgraph.nodes`), once.

        A package that cannot be imported is warned about and left out.
        """
        if self._packages_loaded:
            return
        self._packages_loaded = True
        try:
            load(BUILT_IN)
            for entry in entry_points(group=ENTRY_POINTS):
                self._load_package(entry)
        except BaseException:
            self._packages_loaded = False  # interrupted: the next who asks begins again
            raise

    @staticmethod
    def _load_package(entry: EntryPoint) -> None:
        try:
            entry.load()
        except Exception as error:
            text = f"the nodes of {entry.name!r} cannot be loaded: {type(error).__name__}: {error}"
            warnings.warn(text, NbgraphWarning, stacklevel=4)

    def __getitem__(self, type_name: str) -> NodeClass:
        if type_name not in self._classes:
            self.load_packages()
        try:
            return self._classes[type_name]
        except (KeyError, TypeError):
            raise UnknownNodeTypeError(str(type_name), self._classes) from None

    def __iter__(self) -> Iterator[str]:
        self.load_packages()
        return iter(sorted(self._classes))

    def __len__(self) -> int:
        self.load_packages()
        return len(self._classes)

    def __repr__(self) -> str:
        return "\n".join(f"{name:<24} {cls.title:<28} {cls.category}" for name, cls in self.items())

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        rows = [
            (element("code", name), cls.title, cls.category, ", ".join(cls.inputs()), ", ".join(cls.outputs()))
            for name, cls in self.items()
        ]
        return {"text/plain": repr(self), "text/html": table(rows, ("type", "title", "category", "inputs", "outputs"))}


_registry = Registry()


def registry() -> Registry:
    """Return all node types, the built-in ones and those of installed packages and cells.

    Examples
    --------
    >>> registry()["add"].title
    'Add'
    """
    return _registry


def register(cls: NodeClass) -> None:
    """Add a node class to the registry."""
    _registry.register(cls)
