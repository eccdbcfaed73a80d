"""The meanings of a stage's name: a command, a node type, or a library graph; and the help of a node type."""

import re
from collections.abc import Collection, Iterable
from textwrap import fill

from nbgraph.errors import NbgraphError, UnknownNodeTypeError, suggest
from nbgraph.grammar.lexer import GrammarError, Word
from nbgraph.grammar.values import format_value
from nbgraph.invocations.base import BaseInvocation
from nbgraph.invocations.inputs import InputSpec
from nbgraph.invocations.node_registry import registry
from nbgraph.invocations.types import type_name
from nbgraph.services.shared.graph.library import GraphInvocation, LibraryGraph

COMMAND_NAMES = frozenset(
    {
        *("?", "cache", "default", "draw_execution_graph", "draw_graph", "exit", "graph", "help", "history", "images"),
        *("load", "models", "nodes", "python", "quit", "save", "session", "show", "stats", "undo"),
    }
)
"""First words of the stages that are commands. A node type of such a name is written in quotes."""
SIGNS = {
    "gt": ">",
    "ge": ">=",
    "lt": "<",
    "le": "<=",
    "min_length": "length >=",
    "max_length": "length <=",
    "multiple_of": "multiple of",
}
"""How the limits of pydantic's fields are written."""


class Catalogue:
    """Node classes by the names of stages. The library graph "text to image" is the stage `text_to_image`."""

    def __init__(self, libraries: Iterable[LibraryGraph] = (), commands: Collection[str] = ()) -> None:
        self.commands = commands
        self.libraries = {stage_name(library.name): library for library in libraries}
        self._library_classes: dict[str, type[BaseInvocation]] = {}

    def is_command(self, name: Word) -> bool:
        """Whether a stage of that name is a command; a quoted name never is one."""
        return name.text in self.commands and not name.is_quoted

    def node_class(self, name: Word) -> type[BaseInvocation]:
        """Return the class of a node type or library graph. Raises `GrammarError` that suggests the nearest name."""
        found = self.find(name.text)
        if found is None:
            raise GrammarError(f"{self._unknown(name.text)}", name.column)
        return found

    def find(self, name: str) -> type[BaseInvocation] | None:
        """Return the class of a node type or library graph, or None."""
        if name in self.libraries:
            if name not in self._library_classes:
                self._library_classes[name] = self.libraries[name].node_class()
            return self._library_classes[name]
        try:
            found = registry()[name]
        except UnknownNodeTypeError:
            return None
        # the type "graph" itself is no node: it takes a library graph
        return found if found is not GraphInvocation else None  # type: ignore[return-value]

    def types(self) -> list[str]:
        """Return the names of all node types and library graphs, sorted."""
        return sorted({*registry(), *self.libraries} - {GraphInvocation.type})

    def name_of(self, node: BaseInvocation) -> str:
        """Return the stage name of such a node. Raises `NbgraphError` for a library graph that the studio lacks."""
        library: LibraryGraph | None = getattr(node, "library", None)
        if library is None:
            return node.type
        name = stage_name(library.name)
        if name not in self.libraries:
            raise NbgraphError(
                f"the graph {name!r} is not in the library of this studio, so no line can name it; save it as JSON"
            )
        return name

    def _unknown(self, name: str) -> str:
        near = suggest(name, {*self.types(), *self.commands}).partition(" (")[0]
        if self.commands:
            return f'no node type, library graph or command {name!r}{near}; "nodes list" and "help" list them'
        return f"no node type {name!r}{near}; describe without a type lists them"


def stage_name(library_name: str) -> str:
    """Return the name of a library graph as one word: `text to image` is `text_to_image`."""
    return re.sub(r"\W+", "_", library_name.strip()).strip("_").lower()


def describe_node(cls: type[BaseInvocation], name: str) -> str:
    """Return the help of a node type: what it does, its inputs with types, defaults and limits, its outputs."""
    paragraphs = (cls.__doc__ or "").split("\n\n")
    lines = [f"{name}: {cls.title} ({cls.category}, version {cls.version})"]
    lines += [_indented(" ".join(paragraph.split()), 4) for paragraph in paragraphs]
    lines += ["inputs", *(_describe_input(spec) for spec in cls.inputs().values())]
    lines += ["outputs", *(f"    {output}: {type_name(kind)}" for output, kind in cls.outputs().items())]
    return "\n".join(lines)


def _describe_input(spec: InputSpec) -> str:
    default = "required" if spec.required else f"default {format_value(spec.annotation, spec.default)}"
    if spec.seed:
        default = "drawn anew at every run if left out"
    many = ["takes several links"] if spec.many else []
    facts = ", ".join([default, *limits(spec), *many])
    return f"{_indented(f'--{spec.name}: {type_name(spec.annotation)} ({facts})', 4)}\n{_indented(spec.about, 8)}"


def _indented(text: str, spaces: int) -> str:
    """The text in lines of at most 80 columns, the first indented by that many spaces, the others by eight."""
    # neither words nor hyphens are broken: an option or a number cut in two cannot be copied
    return fill(
        text,
        80,
        initial_indent=" " * spaces,
        subsequent_indent=" " * 8 if text.startswith("--") else " " * spaces,
        break_long_words=False,
        break_on_hyphens=False,
    )


def limits(spec: InputSpec) -> list[str]:
    """Return what limits the values of an input: `[">= 1", "<= 1000"]`."""
    return [
        f"{sign} {getattr(mark, name)}"
        for mark in spec.info.metadata
        for name, sign in SIGNS.items()
        if getattr(mark, name, None) is not None
    ]


def node_table(classes: dict[str, type[BaseInvocation]]) -> str:
    """Return one line for each node type, grouped by category."""
    rows = sorted((cls.category, name, cls.title) for name, cls in classes.items())
    width = max((len(name) for _, name, _ in rows), default=0)
    lines: list[str] = []
    last: str | None = None
    for category, name, title in rows:
        if category != last:
            lines.append(category or "other")
            last = category
        lines.append(f"    {name:<{width}}  {title}")
    return "\n".join(lines)
