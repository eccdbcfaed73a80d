"""Node types as text: what one does, its inputs with types, defaults and limits, and its outputs."""

from nbgraph.grammar.values import format_value
from nbgraph.invocations.base import BaseInvocation
from nbgraph.invocations.inputs import InputSpec
from nbgraph.invocations.types import type_name


def describe_node(cls: type[BaseInvocation], name: str) -> str:
    """A page about a node type."""
    lines = [
        f"{name}: {cls.title} ({cls.category}, version {cls.version})",
        f"    {' '.join((cls.__doc__ or '').split())}",
        "inputs",
    ]
    lines += [_describe_input(spec) for spec in cls.inputs().values()] or ["    none"]
    lines += ["outputs"]
    lines += [f"    {output}: {type_name(annotation)}" for output, annotation in cls.outputs().items()] or ["    none"]
    return "\n".join(lines)


def _describe_input(spec: InputSpec) -> str:
    default = "needed" if spec.required else f"default {format_value(spec.annotation, spec.default)}"
    if spec.seed:
        default = "drawn anew each time if left out"
    limits = "".join(f", {text}" for mark in spec.info.metadata for text in _limits(mark))
    many = ", takes several links" if spec.many else ""
    description = f"  {spec.info.description}" if spec.info.description else ""
    return f"    --{spec.name}: {type_name(spec.annotation)} ({default}{limits}{many}){description}"


def _limits(mark: object) -> list[str]:
    signs = {
        "gt": ">",
        "ge": ">=",
        "lt": "<",
        "le": "<=",
        "min_length": "length >=",
        "max_length": "length <=",
        "multiple_of": "multiple of",
    }
    return [f"{sign} {getattr(mark, name)}" for name, sign in signs.items() if getattr(mark, name, None) is not None]


def node_table(classes: dict[str, type[BaseInvocation]]) -> str:
    """One line for each node type, by category."""
    rows = sorted((cls.category, name, cls.title) for name, cls in classes.items())
    width = max((len(name) for _, name, _ in rows), default=0)
    lines, last = [], None
    for category, name, title in rows:
        if category != last:
            lines.append(category or "other")
            last = category
        lines.append(f"    {name:<{width}}  {title}")
    return "\n".join(lines)
