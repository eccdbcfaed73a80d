"""Lines compiled to nodes and edges: a copy of the graph gets all of them, or an error names the column.

Edges into a new node, by input; later rules replace the edges of earlier ones:
1. implicit edges from the stage before in the same pipe: between outputs and inputs of equal name and fitting type;
   if no name is equal, from its only (or main) output to the first input that fits
2. `--link_node SRC`: as 1, from SRC
3. `--link SRC FIELD DEST`
An edge never replaces a typed value. An input for many edges keeps every `--link` to it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from nbgraph.errors import GraphError, suggest
from nbgraph.grammar.catalogue import Catalogue
from nbgraph.grammar.lexer import GrammarError, Word
from nbgraph.grammar.parser import Option, Stage
from nbgraph.grammar.values import parse_value, without
from nbgraph.invocations.base import BaseInvocation
from nbgraph.invocations.types import assignable, type_name
from nbgraph.services.shared.graph.edges import Connection, Edge
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.topology import topological_order
from nbgraph.services.shared.graph.validation import output_types

COMMON = {"is_intermediate": bool, "use_cache": bool | None}
LINK_FORM = "SRC FIELD DEST, which are a node (id or -N), an output of it, and an input of the new node"
RELATIVE = re.compile(r"-\d+")
Source = tuple[str, str]
Words = tuple[Word, ...]


@dataclass
class NodeOptions:
    """The options of a stage: typed values by input, links, and the column of each option by its input."""

    values: dict[str, Any] = field(default_factory=dict[str, Any])
    id: Word | None = None
    link_nodes: list[Word] = field(default_factory=list[Word])
    links: list[tuple[Word, Word, Word]] = field(default_factory=list[tuple[Word, Word, Word]])
    columns: dict[str, int] = field(default_factory=dict[str, int])


def read_options(cls: type[BaseInvocation], stage: Stage) -> NodeOptions:
    """Read the options of a stage that makes a node of that class. Raises `GrammarError` at the first wrong one."""
    if stage.words:
        word = stage.words[0]
        text = f"{word.text!r} is not an option; {stage.name.text} takes options only, such as --{_example(cls)}"
        raise GrammarError(text, word.column)
    found = NodeOptions()
    for option in stage.options:
        _read_option(cls, option, found)
    return found


def _read_option(cls: type[BaseInvocation], option: Option, found: NodeOptions) -> None:
    if option.name == "link":
        if len(option.values) != 3:
            raise GrammarError(f"--link takes three words, not {len(option.values)}: {LINK_FORM}", option.column)
        source, output, target = option.values
        found.links.append((source, output, target))
        found.columns[target.text] = option.column
    elif option.name == "link_node":
        found.link_nodes.append(_one_word(option))
    # --name means --id, except for a node with an input of that name
    elif option.name == "id" or (option.name == "name" and "name" not in cls.inputs()):
        found.id = _one_word(option)
        if not found.id.text:
            raise GrammarError("an id has at least one character", found.id.column)
    else:
        name, value = _read_value(cls, option)
        if name in found.values:
            raise GrammarError(f"--{name} is given twice", option.column)
        found.values[name] = value
        found.columns[name] = option.column


def _read_value(cls: type[BaseInvocation], option: Option) -> tuple[str, Any]:
    specs = cls.inputs()
    # an input may itself be called no_...; then it is not a negation
    negated = option.name.startswith("no_") and option.name not in specs
    name = option.name[3:] if negated else option.name
    if name not in specs and name not in COMMON:
        possible = [*specs, *COMMON, "id", "link", "link_node"]
        raise GrammarError(f"{cls.type!r} has no input {name!r}{suggest(name, possible)}", option.column)
    annotation, marks = (specs[name].annotation, specs[name].info.metadata) if name in specs else (COMMON[name], ())
    if negated:
        if option.values:
            raise GrammarError(f"--no-{name} takes no value", option.values[0].column)
        return name, without(annotation, name, option.column)
    return name, parse_value(annotation, option.values, name, option.column, marks)


def _one_word(option: Option) -> Word:
    if len(option.values) != 1:
        raise GrammarError(f"--{option.name} takes one word, not {len(option.values)}", option.column)
    return option.values[0]


def _example(cls: type[BaseInvocation]) -> str:
    return next(iter(cls.inputs()), "id")


@dataclass
class Planned:
    """A graph with the nodes of a line added, their ids, and the columns that errors about them point at."""

    graph: Graph
    added: list[str] = field(default_factory=list[str])
    columns: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])

    def check(self) -> None:
        """Raise `GrammarError` if the nodes of the line cannot run, as with a required input left open."""
        mine = [problem for problem in self.graph.problems() if problem.node in self.added]
        if mine:
            raise self.located(GraphError(mine))

    def located(self, error: GraphError) -> GrammarError:
        """Return an error for the first problem of a node of the line, at its column, with the number of others."""
        problems = error.problems
        first = next((problem for problem in problems if problem.node in self.added), problems[0])
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        node, name = first.node or "", first.field or ""
        column = self.columns.get((node, name)) or self.columns.get((node, ""), 1)
        return GrammarError(f"{first}{more}", column)


def plan_line(
    stages: Sequence[Stage], graph: Graph, catalogue: Catalogue, defaults: Mapping[str, Words] | None = None
) -> Planned:
    """Return a copy of the graph with the nodes of these stages added.

    `defaults` are words by input name; they fill inputs that have neither a typed value nor an edge. Raises
    `GrammarError` at the first column that is wrong.
    """
    # a copy, so that a line that fails leaves no node behind
    planned = Planned(graph.copy())
    for stage in stages:
        cls = catalogue.node_class(stage.name)
        options = read_options(cls, stage)
        sources = _edges(planned.graph, cls, options, before=planned.added[-1] if planned.added else None)
        _add(planned, stage, cls, options, sources, defaults or {})
    return planned


def _add(
    planned: Planned,
    stage: Stage,
    cls: type[BaseInvocation],
    options: NodeOptions,
    sources: dict[str, list[Source]],
    defaults: Mapping[str, Words],
) -> None:
    graph, column = planned.graph, stage.name.column
    node_id = _new_id(graph, options)
    planned.columns.update({(node_id, name): place for name, place in options.columns.items()})
    planned.columns[node_id, ""] = column
    untouched = {name: value for name, value in defaults.items() if name not in options.values and name not in sources}
    values = {**_fitting_defaults(cls, untouched), **options.values}
    try:
        graph.add_node(cls(id=node_id, **values))
    except GraphError as error:
        first = error.problems[0]
        raise GrammarError(first.message, options.columns.get(first.field or "", column)) from None
    planned.added.append(node_id)
    for name, found in sources.items():
        try:
            graph.add_edges(Edge(Connection(*source), Connection(node_id, name)) for source in found)
        except GraphError as error:
            raise GrammarError(f"{name}: {error.problems[0].message}", options.columns.get(name, column)) from None


def _new_id(graph: Graph, options: NodeOptions) -> str:
    if options.id is None:
        # a predictable number, so that lines in a file can name it; a person may have given that id to a node
        number = len(graph.nodes)
        while str(number) in graph.nodes:
            number += 1
        return str(number)
    if options.id.text in graph.nodes:
        raise GrammarError(f"there is a node {options.id.text!r} already; choose another id", options.id.column)
    return options.id.text


def _fitting_defaults(cls: type[BaseInvocation], defaults: Mapping[str, Words]) -> dict[str, Any]:
    """Return the values of those defaults for which the class has an input that accepts them."""
    found: dict[str, Any] = {}
    for name, words in defaults.items():
        spec = cls.inputs().get(name)
        if spec is not None:
            # inputs of one name differ between node types: a default that does not fit is meant for another
            with suppress(GrammarError):
                found[name] = parse_value(spec.annotation, words, name, 1, spec.info.metadata)
    return found


def _edges(
    graph: Graph, cls: type[BaseInvocation], options: NodeOptions, before: str | None
) -> dict[str, list[Source]]:
    """Return the sources of each input of the new node."""
    sources: dict[str, list[Source]] = {}
    if before is not None:
        sources.update(_matching(graph, before, cls, options.values))
    for word in options.link_nodes:
        source = find_node(graph, word)
        matches = _matching(graph, source, cls, options.values)
        if not matches:
            outputs = _listed(graph.nodes[source].outputs())
            raise GrammarError(f"no output of {source!r} ({outputs}) fits an open input of {cls.type!r}", word.column)
        sources.update(matches)
    linked: set[str] = set()
    for start, output, target in options.links:
        spec = cls.inputs().get(target.text)
        if spec is None:
            raise GrammarError(
                f"{cls.type!r} has no input {target.text!r}{suggest(target.text, cls.inputs())}", target.column
            )
        if target.text in options.values:
            raise GrammarError(f"{target.text} has a typed value and a --link; leave one of them out", target.column)
        source = find_node(graph, start)
        outputs = graph.nodes[source].outputs()
        if output.text not in outputs:
            raise GrammarError(
                f"{source!r} ({graph.nodes[source].type}) has no output {output.text!r}{suggest(output.text, outputs)}",
                output.column,
            )
        # the first --link to an input replaces its implicit edges; further ones add to an input for many
        kept = sources[target.text] if spec.many and target.text in linked else []
        sources[target.text] = [*kept, (source, output.text)]
        linked.add(target.text)
    return sources


def find_node(graph: Graph, word: Word) -> str:
    """Return the id that a word names: an id, or unquoted `-N`, the N-th node counted back from the next one."""
    if RELATIVE.fullmatch(word.text) and not word.is_quoted:
        order = list(graph.nodes)
        # Python refuses to read numbers of thousands of digits, and no session has a billion nodes
        steps = -int(word.text) if len(word.text) < 10 else 0
        if not 1 <= steps <= len(order):
            count = f"there {'is 1 node' if len(order) == 1 else f'are {len(order)} nodes'}"
            raise GrammarError(f"{word.text} counts back from here, and {count} before (-1 is the last)", word.column)
        return order[-steps]
    if word.text not in graph.nodes:
        raise GrammarError(f"there is no node {word.text!r}{suggest(word.text, graph.nodes)}", word.column)
    return word.text


def _matching(graph: Graph, source: str, cls: type[BaseInvocation], typed: Iterable[str]) -> dict[str, list[Source]]:
    """Return the implicit edges: the sources of the inputs of a class that outputs of the node are linked to."""
    outputs = _output_types(graph, source)
    inputs = {name: spec.annotation for name, spec in cls.inputs().items() if name not in typed}
    equal = outputs.keys() & cls.inputs().keys()
    if equal:
        return {
            name: [(source, name)] for name in outputs if name in inputs and assignable(outputs[name], inputs[name])
        }
    main = next(iter(outputs)) if len(outputs) == 1 else graph.nodes[source].output_class.main_field
    if main not in outputs:
        return {}
    fitting = next((name for name, annotation in inputs.items() if assignable(outputs[main], annotation)), None)
    return {} if fitting is None else {fitting: [(source, main)]}


def _output_types(graph: Graph, node_id: str) -> dict[str, Any]:
    """Return the outputs of a node with their types; those that depend on its inputs with the type they have here."""
    node = graph.nodes[node_id]
    if not node.output_types_vary:
        return node.outputs()
    order, _ = topological_order({name: [link.source for link in graph.links(name)] for name in graph.nodes})
    return {**node.outputs(), **output_types(graph, order).get(node_id, {})}


def _listed(outputs: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {type_name(annotation)}" for name, annotation in outputs.items())
