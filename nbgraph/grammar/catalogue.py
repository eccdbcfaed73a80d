"""What the name of a stage may mean: a command, a node type, or a library graph under its name in one word."""

import re
from collections.abc import Collection, Iterable

from nbgraph.errors import NbgraphError, UnknownNodeTypeError, suggest
from nbgraph.grammar.lexer import GrammarError, Word
from nbgraph.invocations.base import BaseInvocation
from nbgraph.invocations.node_registry import registry
from nbgraph.services.shared.graph.library import GraphInvocation, LibraryGraph

COMMAND_NAMES = frozenset(
    {
        *("?", "cache", "default", "draw_execution_graph", "draw_graph", "exit", "graph", "help", "history", "images"),
        *("load", "models", "nodes", "python", "quit", "save", "session", "show", "stats", "undo"),
    }
)
"""First words of the stages that are commands. A node type of such a name is written in quotes."""


class Catalogue:
    """Node classes by the names that stages have. `"text to image"` is the stage `text_to_image`."""

    def __init__(self, libraries: Iterable[LibraryGraph] = (), commands: Collection[str] = ()) -> None:
        self.commands = commands
        self.libraries = {stage_name(library.name): library for library in libraries}
        self._library_classes: dict[str, type[BaseInvocation]] = {}

    def is_command(self, name: Word) -> bool:
        """Whether a stage of that name is a command; a quoted name never is."""
        return name.text in self.commands and not name.is_quoted

    def node_class(self, name: Word) -> type[BaseInvocation]:
        """The class of a node type or library graph; `GrammarError` with the nearest name if there is none."""
        found = self.find(name.text)
        if found is None:
            text = f"no node type, library graph or command {name.text!r}{self._nearest(name.text)}"
            raise GrammarError(text, name.column)
        return found

    def find(self, name: str) -> type[BaseInvocation] | None:
        """The class of a node type or library graph, or None."""
        if name in self.libraries:
            if name not in self._library_classes:
                self._library_classes[name] = self.libraries[name].node_class()
            return self._library_classes[name]
        try:
            found = registry()[name]
        except UnknownNodeTypeError:
            return None
        return found if found is not GraphInvocation else None  # type: ignore[return-value]

    def types(self) -> list[str]:
        """The names of all node types and library graphs, sorted."""
        return sorted({*registry(), *self.libraries} - {GraphInvocation.type})

    def name_of(self, node: BaseInvocation) -> str:
        """The stage name that makes such a node; `NbgraphError` for a library graph that the studio does not have."""
        library: LibraryGraph | None = getattr(node, "library", None)
        if library is None:
            return node.type
        name = stage_name(library.name)
        if name not in self.libraries:
            raise NbgraphError(
                f"the graph {name!r} is no library graph of this studio, so no line can name it; save it as JSON"
            )
        return name

    def _nearest(self, name: str) -> str:
        return (
            suggest(name, {*self.types(), *self.commands}).partition(" (possible")[0] + '; see "nodes list" and "help"'
        )


def stage_name(library_name: str) -> str:
    """`text to image` -> `text_to_image`"""
    return re.sub(r"\W+", "_", library_name.strip()).strip("_").lower()
