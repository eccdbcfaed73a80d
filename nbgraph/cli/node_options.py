"""What the options of a node stage say: values for its inputs, its id, and where its edges come from."""

from dataclasses import dataclass, field
from typing import Any

from nbgraph.cli.arguments import parse_value, without
from nbgraph.cli.grammar import Option, Stage
from nbgraph.cli.words import GrammarError, Word
from nbgraph.errors import suggest
from nbgraph.invocations.base import BaseInvocation

COMMON = {"is_intermediate": bool, "use_cache": bool | None}
LINK_FORM = "--link SRC FIELD DEST: an id, a name or -N, an output of that node, an input of this one"


@dataclass
class NodeOptions:
    """Typed values by input, links as typed, and the column of each option by the input it is about."""

    values: dict[str, Any] = field(default_factory=dict)
    id: Word | None = None
    link_nodes: list[Word] = field(default_factory=list)
    links: list[tuple[Word, Word, Word]] = field(default_factory=list)
    columns: dict[str, int] = field(default_factory=dict)


def read_options(cls: type[BaseInvocation], stage: Stage) -> NodeOptions:
    """The options of a stage that makes a node of that class; `GrammarError` at the first one that is wrong."""
    if stage.words:
        word = stage.words[0]
        raise GrammarError(
            f"{stage.name.text} takes options only, such as --{_example(cls)}; {word.text!r} is none", word.column
        )
    found = NodeOptions()
    for option in stage.options:
        _read_option(cls, option, found)
    return found


def _read_option(cls: type[BaseInvocation], option: Option, found: NodeOptions) -> None:
    if option.name == "link":
        if len(option.values) != 3:
            raise GrammarError(f"takes three words, not {len(option.values)}: {LINK_FORM}", option.column)
        source, output, target = option.values
        found.links.append((source, output, target))
        found.columns[target.text] = option.column
    elif option.name == "link_node":
        found.link_nodes.append(_one_word(option))
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
