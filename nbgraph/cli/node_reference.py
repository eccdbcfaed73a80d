"""The node reference, docs/nodes.md, made from the registry: `python -m nbgraph.cli.node_reference`."""

import inspect
import sys
from pathlib import Path
from typing import Any

from nbgraph.cli.node_examples import example_of
from nbgraph.invocations.base import BaseInvocation
from nbgraph.invocations.inputs import REQUIRED, InputSpec
from nbgraph.invocations.node_registry import BUILT_IN, registry
from nbgraph.invocations.types import type_name

TARGET = Path("docs/nodes.md")
SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "min_length": "length >=", "max_length": "length <="}
HEAD = """\
# The nodes

Made from the registry by `python -m nbgraph.cli.node_reference`; do not edit it by hand. Every node also has `id`,
`is_intermediate` and `use_cache`. Every input takes a value or another node, except where only nodes make sense.
A seed that is left out is drawn anew at every run, and recorded in the stats.
The examples need `from nbgraph.invocations import *`, a picture in `picture.png` and prompts in `prompts.txt`.
"""


def built_in_nodes() -> dict[str, type[BaseInvocation]]:
    """Every node that comes with the package, by type."""
    found: dict[str, Any] = {name: cls for name, cls in registry().items() if cls.__module__.startswith(f"{BUILT_IN}.")}
    return found


def reference() -> str:
    """The whole page."""
    nodes = built_in_nodes()
    categories = sorted({cls.category for cls in nodes.values()})
    parts = [HEAD]
    for category in categories:
        listed = [cls for cls in nodes.values() if cls.category == category]
        links = " · ".join(f"[{cls.type}](#{cls.type})" for cls in listed)
        parts.append(f"## {category.capitalize()}\n\n{links}\n")
        parts.extend(map(section, listed))
    return "\n".join(parts)


def section(cls: type[BaseInvocation]) -> str:
    """What a person needs to know of one node."""
    marks = [] if cls.cached_by_default else ["runs every time"]
    note = f" ({', '.join(marks)})" if marks else ""
    inputs = "\n".join(map(_input_row, cls.inputs().values()))
    outputs = ", ".join(f"`{name}`: {type_name(annotation)}" for name, annotation in cls.outputs().items())
    table = (
        f"\n| input | type | default | limits |\n|---|---|---|---|\n{inputs}\n" if inputs else "\nIt has no inputs.\n"
    )
    return (
        f"### {cls.type}\n\n`{cls.__name__}`, version {cls.version}{note}. {inspect.getdoc(cls)}\n{table}\n"
        f"Outputs: {outputs}\n\n```python\n{example_of(cls)}\n```\n"
    )


def _input_row(spec: InputSpec) -> str:
    default = "required" if spec.required or spec.default is REQUIRED else f"`{_shown(spec.default)}`"
    kind = type_name(spec.annotation).replace("|", "\\|")
    return f"| `{spec.name}` | {kind} | {default} | {', '.join(_limits(spec))} |"


def _shown(value: Any) -> str:
    return repr(value).replace("|", "\\|")


def _limits(spec: InputSpec) -> list[str]:
    found = [
        f"{sign} {getattr(mark, name)}"
        for mark in spec.info.metadata
        for name, sign in SIGNS.items()
        if _has(mark, name)
    ]
    if spec.many:
        found.append("any number of edges")
    return [*found, "drawn if left out"] if spec.seed else found


def _has(mark: Any, name: str) -> bool:
    return getattr(mark, name, None) is not None


def main() -> None:
    """Write the page; its path may be given."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(reference(), encoding="utf-8")
    print(f"wrote {target}: {len(built_in_nodes())} nodes")


if __name__ == "__main__":
    main()
