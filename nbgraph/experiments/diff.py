"""What differs between two graphs, runs, saved images or files: nodes, inputs, edges, models, code and versions."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from nbgraph.errors import NbgraphError
from nbgraph.frames import frame
from nbgraph.html import Html, element, table
from nbgraph.invocations.base import BaseInvocation
from nbgraph.recipes.local import open_recipe
from nbgraph.recipes.recipe import Recipe
from nbgraph.run import Run
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.library import LibraryGraph
from nbgraph.texts import shorten, value_text

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs] - its types are in its code

Kind = Literal["added", "removed", "replaced", "changed", "model", "code", "package", "device"]
Source = Graph | LibraryGraph | Run | BaseInvocation | str | bytes | PathLike[str]
COMMON = ("use_cache", "is_intermediate")
"""Fields that every node has; `id` is what nodes are matched by."""
SHOWN, LONGEST_SUMMARY = 80, 300
COLOURS = {
    "added": "var(--jp-success-color1,#2e7d32)",
    "removed": "var(--jp-error-color1,#c62828)",
}
COLUMNS = {"kind": "str", "name": "str", "a": "object", "b": "object"}


@dataclass(frozen=True)
class Change:
    """One difference: its kind, the node, address or name it is of, and both values; None where there is none."""

    kind: Kind
    name: str
    a: Any = None
    b: Any = None

    def __str__(self) -> str:
        if self.kind in ("added", "removed"):
            mark = "+" if self.kind == "added" else "-"
            return f"{mark} {self.name} ({self.b if self.kind == 'added' else self.a})"
        kind = "" if self.kind == "changed" else f"{self.kind} "
        return f"~ {kind}{self.name}: {_shown(self.a)} -> {_shown(self.b)}"


@dataclass(frozen=True)
class Edges:
    """The edges that arrive at an input, in place of a value."""

    sources: tuple[str, ...]

    def __repr__(self) -> str:
        return "from " + ", ".join(self.sources)


@dataclass
class Side:
    """One of the two things: its graph, and the recipe of a saved image."""

    graph: Graph
    recipe: Recipe | None = None


class Diff:
    """The differences of two graphs, the nodes first; a cell shows them in two colours, `print` as text."""

    def __init__(self, changes: Iterable[Change], graph: Graph | None = None) -> None:
        self.changes = list(changes)
        self.graph = Graph() if graph is None else graph
        """The graph of `b`."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs."""
        return not self.changes

    @property
    def inputs(self) -> list[Change]:
        """The inputs of nodes of both sides that have other values or edges."""
        return [each for each in self.changes if each.kind == "changed"]

    @property
    def marks(self) -> "dict[str, Literal['added', 'changed']]":
        """For each node of `b` that differs: "added", or "changed" where its type, an input or an edge does."""
        found: dict[str, Literal["added", "changed"]] = {}
        for each in self.changes:
            if each.kind in ("changed", "replaced"):
                node_id = each.name if each.kind == "replaced" else each.name.rpartition(".")[0]
                found.setdefault(node_id, "changed")
            elif each.kind == "added":
                found[each.name] = "added"
        return found

    @property
    def summary(self) -> str:
        """What differs in one line, with the nodes that `b` does not have any more."""
        marks = list(self.marks.values())
        counts = [f"{marks.count(kind)} {kind}" for kind in ("added", "changed") if kind in marks]
        removed = [f"{each.name} ({each.a})" for each in self.changes if each.kind == "removed"]
        counts += [f"{len(removed)} removed: {shorten(', '.join(removed), LONGEST_SUMMARY)}"] if removed else []
        return ", ".join(counts) or "no node differs"

    @property
    def frame(self) -> "pd.DataFrame":
        """One row per difference: `kind` (added, removed, replaced, changed, model, code ...), `name`, `a`, `b`."""
        return frame(((each.kind, each.name, each.a, each.b) for each in self.changes), COLUMNS)

    def __len__(self) -> int:
        return len(self.changes)

    def __iter__(self) -> Iterator[Change]:
        return iter(self.changes)

    def __repr__(self) -> str:
        return "\n".join(map(str, self.changes)) or "nothing differs"

    def _repr_html_(self) -> Html:
        if not self.changes:
            return element("p", "nothing differs")
        rows = [
            (
                element("span", each.kind, style=f"color:{COLOURS.get(each.kind, 'inherit')};font-weight:600"),
                each.name,
                _shown(each.a),
                _shown(each.b),
            )
            for each in self.changes
        ]
        return table(rows, ("", "name", "a", "b"))


def diff(a: Source, b: Source) -> Diff:
    """Return what differs between two graphs, nodes, runs, saved images or files.

    Nodes are matched by their ids. Of two saved images, models, code and versions are compared as well.

    Parameters
    ----------
    a, b
        A `Graph`, a node, a `LibraryGraph`, a `Run`, or what `nb.open` reads: a path, the bytes of a file, a text.

    Raises
    ------
    NbgraphError
        One of them is none of these.
    RecipeError
        A file holds no graph that can be read.
    """
    one, other = _side(a), _side(b)
    changes = list(graph_changes(one.graph, other.graph))
    if one.recipe is not None and other.recipe is not None:
        changes += _recipe_changes(one.recipe, other.recipe)
    return Diff(changes, other.graph)


def _side(source: Source) -> Side:
    given = cast(object, source)
    if isinstance(given, Run):
        return Side(given.graph)
    if isinstance(given, Graph):
        return Side(given)
    if isinstance(given, LibraryGraph):
        return Side(given.graph)
    if isinstance(given, BaseInvocation):
        return Side(Graph.of(given))
    if isinstance(given, str | bytes | PathLike):
        source = cast("str | bytes | PathLike[str]", given)
        opened = open_recipe(source, _name(source))
        return Side(opened.graph, opened.recipe)
    raise NbgraphError(f"a diff is of graphs, nodes, runs, images and files, not of {value_text(given)}")


def _name(source: "str | bytes | PathLike[str]") -> str:
    return Path(source).name if isinstance(source, PathLike) else "the file"


def graph_changes(a: Graph, b: Graph) -> Iterator[Change]:
    """Yield the differences of two graphs in the order of their nodes: nodes that one lacks, other types and inputs."""
    for node_id, node in a.nodes.items():
        if node_id not in b.nodes:
            yield Change("removed", node_id, node.type, None)
        elif b.nodes[node_id].type != node.type:
            yield Change("replaced", node_id, node.type, b.nodes[node_id].type)
        else:
            before, after = _inputs(a, node_id), _inputs(b, node_id)
            for name in dict.fromkeys([*before, *after]):
                if not _equal(before.get(name), after.get(name)):
                    yield Change("changed", f"{node_id}.{name}", before.get(name), after.get(name))
    for node_id, node in b.nodes.items():
        if node_id not in a.nodes:
            yield Change("added", node_id, None, node.type)


def _inputs(graph: Graph, node_id: str) -> Mapping[str, Any]:
    """Return the inputs of a node by name: values, and `Edges` where edges arrive."""
    node = graph.nodes[node_id]
    values: dict[str, Any] = {name: getattr(node, name) for name in (*node.inputs(), *COMMON)}
    arriving: dict[str, list[str]] = {}
    for link in graph.links(node_id):
        arriving.setdefault(link.field, []).append(f"{link.source}.{link.output}")
    return {**values, **{name: Edges(tuple(sources)) for name, sources in arriving.items()}}


def _equal(a: Any, b: Any) -> bool:
    # 1 and 1.0 and True are equal in Python, and other inputs for a node
    return type(a) is type(b) and repr(a) == repr(b)


def _recipe_changes(a: Recipe, b: Recipe) -> Iterator[Change]:
    kinds: tuple[tuple[Kind, Mapping[str, str], Mapping[str, str]], ...] = (
        ("model", _models(a), _models(b)),
        ("code", a.code, b.code),
        ("package", {"nbgraph": a.nbgraph, **a.packages}, {"nbgraph": b.nbgraph, **b.packages}),
        ("device", {"device": a.device, "dtype": a.dtype}, {"device": b.device, "dtype": b.dtype}),
    )
    for kind, before, after in kinds:
        for name in dict.fromkeys([*before, *after]):
            if before.get(name) != after.get(name):
                yield Change(kind, name, before.get(name), after.get(name))


def _models(recipe: Recipe) -> dict[str, str]:
    return {f"{fact.kind} {fact.name}": fact.fingerprint for fact in recipe.models}


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    return value_text(value, SHOWN)
