"""diffusers' tables of pipeline classes, by family and task, read from the source of the module that defines them.

Importing that module imports every pipeline of diffusers, a tenth of the time of a first picture. Here only the names
are read, and a class is imported when it is asked for.
"""

import ast
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import diffusers

Task = Literal["text_to_image", "image_to_image", "inpaint"]
_MODULE = "diffusers.pipelines.auto_pipeline"
_TABLES: dict[str, Task] = {
    "AUTO_TEXT2IMAGE_PIPELINES_MAPPING": "text_to_image",
    "AUTO_IMAGE2IMAGE_PIPELINES_MAPPING": "image_to_image",
    "AUTO_INPAINT_PIPELINES_MAPPING": "inpaint",
}


@cache
def class_names() -> dict[Task, dict[str, str]]:
    """Return the names of pipeline classes for each task, by the keys of families, such as `flux`."""
    spec = find_spec(_MODULE)
    if spec is None or spec.origin is None:
        raise ImportError(f"{_MODULE} is not found; install diffusers again")
    found: dict[Task, dict[str, str]] = {task: {} for task in _TABLES.values()}
    for statement in _executed(ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body):
        match statement:
            case ast.Assign([ast.Name(table)], ast.Call(args=[ast.List(rows)])) if table in _TABLES:
                for row in rows:
                    match row:
                        case ast.Tuple([ast.Constant(str(key)), ast.Name(name)]):
                            found[_TABLES[table]][key] = name
            case ast.Assign([ast.Subscript(ast.Name(table), ast.Constant(str(key)))], ast.Name(name)) if (
                table in _TABLES
            ):
                found[_TABLES[table]][key] = name
    return found


def pipeline_class(class_name: str) -> type[diffusers.DiffusionPipeline]:
    """Import a pipeline class by its name."""
    return getattr(diffusers, class_name)


def _executed(statements: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Give the statements of a module that run when it is imported: those under an `if` where its test holds."""
    for statement in statements:
        match statement:
            case ast.If(ast.Call(ast.Name(test), [])):
                utilities: Any = diffusers.utils
                if getattr(utilities, test)():  # such as is_sentencepiece_available
                    yield from _executed(statement.body)
            case _:
                yield statement
