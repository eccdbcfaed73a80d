"""Completion of lines: stage names, options, choices, ids, outputs, models; for the shell and the magics."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from nbgraph.cli.command_table import Command, CommandTable
from nbgraph.cli.shell_session import ShellSession
from nbgraph.errors import NbgraphError
from nbgraph.grammar.catalogue import Catalogue
from nbgraph.grammar.compiler import COMMON, find_node, plan_line
from nbgraph.grammar.lexer import GrammarError, Word, quote, scan
from nbgraph.grammar.parser import parse_line
from nbgraph.grammar.values import choices
from nbgraph.invocations.base import BaseInvocation
from nbgraph.invocations.types import type_name
from nbgraph.services.shared.graph.graph import Graph

MAX_FILES = 500
WEIGHT_FILES = ("lora", "embedding", "ip_adapter_model")
"""Inputs that take a single file of the shelf by name, beside a path."""
SHORT_LINKS = {"-l": "--link", "-ln": "--link_node"}
LINK_OPTIONS = {"--link": "SRC FIELD DEST", "--link_node": "SRC", "--id": "a name for the node", "--help": ""}


@dataclass(frozen=True)
class Suggestion:
    """A word that fits at the cursor, and a few words about it."""

    text: str
    about: str = ""


@dataclass(frozen=True)
class Surroundings:
    """What completion knows: stage names, commands, the graph, and the models, which are listed only when needed."""

    catalogue: Catalogue
    commands: CommandTable
    graph: Graph
    models: Callable[[], Iterable[str]]


def surroundings(session: ShellSession) -> Surroundings:
    """Return what completion in a session knows."""
    models = session.studio.services.model_manager.names
    return Surroundings(session.catalogue, session.commands, session.graph, models)


def complete(text: str, around: Surroundings) -> tuple[str, list[Suggestion]]:
    """Return the word before the cursor and what it may become, for the text before the cursor.

    Inside quotes there are no suggestions: a text is not completed.
    """
    try:
        found = list(scan(text))
    except GrammarError:
        return "", []
    last = found[-1] if found else 0
    current = last if isinstance(last, Word) and not text[-1:].isspace() else Word("", len(text) + 1, 0)
    if current.is_quoted and current.text:
        return "", []
    # Only the stage of the cursor counts for its options; the stages before it give the graph.
    pipe = max((place for place in found if isinstance(place, int)), default=0)
    words = [word for word in found if isinstance(word, Word) and pipe < word.column < current.column]
    possible = _after(words, current.text, text[: max(pipe - 1, 0)], around)
    return current.text, [one for one in possible if one.text.startswith(current.text)]


def _after(words: Sequence[Word], current: str, before: str, around: Surroundings) -> list[Suggestion]:
    if not words:
        types = [Suggestion(name, _title(around, name)) for name in around.catalogue.types()]
        return types + [Suggestion(name, "command") for name in around.commands.first_words]
    if around.catalogue.is_command(words[0]):
        return _in_command(words, current, around)
    cls = around.catalogue.find(words[0].text)
    return [] if cls is None else _in_node(cls, words[1:], current, _graph_before(before, around), around)


def _title(around: Surroundings, name: str) -> str:
    cls = around.catalogue.find(name)
    return cls.title if cls else ""


def _graph_before(before: str, around: Surroundings) -> Graph:
    """Return the graph with the earlier stages of the line, or without them while they are not valid."""
    try:
        # without running it: the line is not complete yet
        return plan_line(parse_line(before), around.graph, around.catalogue).graph
    except NbgraphError:
        return around.graph


def _weight_files(around: Surroundings, name: str) -> list[Suggestion]:
    """The single files of the shelf, for an input that takes one."""
    if name not in WEIGHT_FILES:
        return []
    return [Suggestion(quote(model), "model") for model in around.models() if model.endswith(".safetensors")]


def _in_node(
    cls: type[BaseInvocation], words: Sequence[Word], current: str, graph: Graph, around: Surroundings
) -> list[Suggestion]:
    places = [place for place, word in enumerate(words) if word.text.startswith("--") or word.text in SHORT_LINKS]
    option = words[places[-1]].text if places else ""
    option = SHORT_LINKS.get(option, option)
    values: Sequence[Word] = words[places[-1] + 1 :] if places else ()
    name = option[2:].replace("-", "_")
    if option == "--link" and len(values) < 3:
        return _link_words(cls, values, graph)
    if option == "--link_node" and not values:
        return _ids(graph)
    spec = cls.inputs().get(name)
    if spec is not None and not values and not current.startswith("-"):
        if name == "model":
            return [Suggestion(model, "model") for model in map(quote, around.models())]
        if Path in (spec.annotation, *get_args(spec.annotation)):
            return [*_weight_files(around, name), *_files(current)]
        found = [Suggestion(quote(choice), name) for choice in choices(spec.annotation)]
        if found or type_name(spec.annotation) != "bool":
            return found
    # An option is given once, a link as often as there are edges.
    given = {word.text for word in words}
    return [one for one in _options(cls) if one.text not in given or one.text in ("--link", "--link_node")]


def _options(cls: type[BaseInvocation]) -> list[Suggestion]:
    fields = [Suggestion(f"--{name}", type_name(spec.annotation)) for name, spec in cls.inputs().items()]
    flags = [Suggestion(f"--no-{name}") for name, spec in cls.inputs().items() if spec.annotation is bool]
    links = [Suggestion(name, about) for name, about in LINK_OPTIONS.items()]
    return [*fields, *flags, *links, *(Suggestion(f"--{name}") for name in COMMON)]


def _link_words(cls: type[BaseInvocation], values: Sequence[Word], graph: Graph) -> list[Suggestion]:
    if not values:
        return _ids(graph)
    if len(values) == 2:
        return [Suggestion(name, type_name(spec.annotation)) for name, spec in cls.inputs().items()]
    try:
        source = graph.nodes[find_node(graph, values[0])]
    except GrammarError:
        return []
    return [Suggestion(name, type_name(annotation)) for name, annotation in source.outputs().items()]


def _ids(graph: Graph) -> list[Suggestion]:
    order = list(graph.nodes)
    ids = [Suggestion(quote(node_id), graph.nodes[node_id].type) for node_id in order]
    back = [
        Suggestion(f"-{steps}", f"{order[-steps]} {graph.nodes[order[-steps]].type}")
        for steps in range(1, len(order) + 1)
    ]
    return ids + back


def _files(current: str) -> list[Suggestion]:
    """Return the files and folders whose path begins as the word does; hidden ones only after a dot."""
    head, slash, start = current.rpartition("/")
    # A folder that does not exist or may not be read completes nothing, and is no error while one types.
    try:
        found = sorted(Path(head + slash or ".").iterdir())
    except OSError:
        return []
    visible = [path for path in found if start.startswith(".") or not path.name.startswith(".")]
    return [Suggestion(quote(f"{head}{slash}{path.name}{'/' * path.is_dir()}")) for path in visible[:MAX_FILES]]


def _in_command(words: Sequence[Word], current: str, around: Surroundings) -> list[Suggestion]:
    first = words[0].text
    seconds = around.commands.second_words(first)
    name = (
        f"{first} {words[1].text}"
        if len(words) > 1 and words[1].text in seconds
        else around.commands.short.get(first, first)
    )
    command = around.commands.commands.get(name)
    found = (
        [Suggestion(second, around.commands.commands[f"{first} {second}"].summary) for second in seconds]
        if len(words) == 1
        else []
    )
    if command is None:
        return found
    options = [
        Suggestion(f"--{parameter.name}")
        for parameter in command.parameters
        if parameter.default is not parameter.empty
    ]
    # By annotation rather than by name, so that a new command needs nothing here.
    takes_files = any(annotation in (Path, Path | None) for annotation in command.annotations.values())
    files = _files(current) if takes_files and not current.startswith("-") else []
    return found + options + _arguments(command, around) + files


def _arguments(command: Command, around: Surroundings) -> list[Suggestion]:
    """Return what the words of a command may be, by the names of its parameters."""
    names = {parameter.name for parameter in command.parameters}
    found: list[Suggestion] = []
    if names & {"node", "nodes"}:
        found += _ids(around.graph)
    if names & {"type", "name"} and "file" not in names:
        found += [Suggestion(name) for name in around.catalogue.types()]
    if command.name == "help":
        found += [Suggestion(name) for name in around.commands.first_words]
    if "field" in names:
        classes = [around.catalogue.find(name) for name in around.catalogue.types()]
        found += [Suggestion(name) for name in sorted({name for cls in classes if cls for name in cls.inputs()})]
    return found
