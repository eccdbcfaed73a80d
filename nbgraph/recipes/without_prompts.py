"""A recipe without what a person wrote: texts are emptied, and paths cut down to the names of files."""

import json
from collections.abc import Mapping
from pathlib import Path, PurePath
from types import NoneType
from typing import Any, get_args, get_origin

from nbgraph.errors import GraphError, UnknownNodeTypeError
from nbgraph.invocations.node_registry import registry
from nbgraph.recipes.json_values import is_list, is_object
from nbgraph.recipes.recipe import Recipe

MODEL_INPUTS = frozenset({
    "model", "vae_model", "control_model", "t2i_adapter_model", "image_encoder_model", "upscaler_model", "parts",
    "files",
})  # fmt: skip
"""Inputs whose texts name a model."""


def without_prompts(recipe: Recipe) -> Recipe:
    """Return the recipe in which every text of a person is empty: prompts, texts in lists, metadata, notes.

    Names of models and choices such as a scheduler stay. Inside library graphs too.
    """
    graph = json.loads(json.dumps(recipe.graph))
    _clear(graph)
    return recipe.model_copy(update={"graph": graph, "without": "prompts"})


def _clear(graph: dict[str, Any]) -> None:
    graph.pop("layout", None)
    for values in graph.get("nodes", {}).values():
        library = values.get("library")
        if is_object(library):
            library["description"] = ""
            _clear(library.get("graph", {}))
        try:
            specs: Mapping[str, Any] = registry()[values["type"]].class_from_json(dict(values)).inputs()
        except (UnknownNodeTypeError, GraphError):
            specs = {}
        for name, value in values.items():
            if name in ("id", "type", "library", "is_intermediate", "use_cache"):
                continue
            if name in MODEL_INPUTS and isinstance(value, str):
                values[name] = PurePath(value).name
            elif name in MODEL_INPUTS and is_list(value):
                values[name] = [PurePath(each).name if isinstance(each, str) else each for each in value]
            else:
                annotation: Any = specs[name].annotation if name in specs else str
                values[name] = _cleared(value, annotation)


def _cleared(value: Any, annotation: Any) -> Any:
    if isinstance(value, str):
        kinds = _kinds(annotation)
        if Path in kinds:
            return PurePath(value).name
        return "" if str in kinds or Any in kinds else value
    if is_list(value):
        return [_cleared(item, annotation) for item in value]
    if is_object(value):
        return {name: _cleared(item, annotation) for name, item in value.items()}
    return value


def _kinds(annotation: Any) -> set[Any]:
    """The plain types that an annotation is made of."""
    if annotation is Any or isinstance(annotation, type) and get_origin(annotation) is None:
        return {annotation} - {NoneType}
    inner = [_kinds(each) for each in get_args(annotation) if not isinstance(each, str | int | float)]
    return set[Any]().union(*inner)
