"""Open anything: pictures, files and texts of this package and of others, each as a graph with a report."""

from collections.abc import Callable, Mapping
from functools import partial
from io import BytesIO
from os import PathLike
from os.path import isfile
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image

from nbgraph.errors import GraphError, NbgraphError, NotFoundError, Problem, RecipeError
from nbgraph.image_modes import in_plain_mode
from nbgraph.recipes.a1111_text import is_parameters, read_parameters
from nbgraph.recipes.carriers import FORMATS
from nbgraph.recipes.chunks import MAX_FILE, is_picture, read_texts
from nbgraph.recipes.comfy_format import is_api, is_workflow, read_api, read_workflow
from nbgraph.recipes.comfy_import import import_comfy
from nbgraph.recipes.invoke_import import from_workflow, import_invoke
from nbgraph.recipes.json_values import is_list, is_object
from nbgraph.recipes.opened import Opened, Report
from nbgraph.recipes.recipe import MAX_CHARACTERS, Recipe, parse_json, recipe_from_json
from nbgraph.recipes.settings_import import ListedSettings, import_settings
from nbgraph.recipes.settings_json import read_fooocus, read_invoke_metadata, read_novelai
from nbgraph.recipes.shelf import Shelf
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.graph_json import foreign_error, foreign_object, foreign_text
from nbgraph.services.shared.graph.library import LibraryGraph
from nbgraph.texts import value_text

MAX_NAME = 4096
Found = TypeVar("Found")
INVOKE_TYPES = ("main_model_loader", "sdxl_model_loader", "flux_model_loader", "sd3_model_loader", "core_metadata")
READABLE = "our own pictures and graphs, and those of ComfyUI, InvokeAI, A1111, Forge, Fooocus and NovelAI"


def read_recipe(source: str | bytes | PathLike[str], shelf: Shelf | None = None, name: str = "the file") -> Opened:
    """Open a path, the bytes of a file called `name`, or a text; nothing is run, and nothing is written.

    Raises
    ------
    NotFoundError
        There is no file of that name.
    RecipeError
        The picture or file holds no recipe that can be read, or is damaged, hostile or ambiguous.
    GraphError
        It holds a graph that is wrong; all of its problems are named.
    """
    shelf = shelf or Shelf()
    if isinstance(source, bytes):
        return _open_bytes(source, name, shelf)
    if isinstance(source, str) and (len(source) > MAX_NAME or "\n" in source or source.lstrip()[:1] in ("{", "[")):
        return _open_text(source, "the text", shelf)
    path = Path(source).expanduser()
    if not isfile(path):
        raise NotFoundError(f"there is no file {value_text(str(source))} (looked in {Path.cwd()})")
    if path.stat().st_size > MAX_FILE:
        raise RecipeError(f"{str(path)!r} has more than {MAX_FILE:,} bytes, and is not read")
    return _open_bytes(path.read_bytes(), str(path), shelf)


def picture_of(source: str | bytes | PathLike[str]) -> Image.Image | None:
    """Return the picture in a file whose recipe was read, as RGB or RGBA; None for what is no picture."""
    if isinstance(source, str) and (len(source) > MAX_NAME or source.lstrip()[:1] == "{"):
        return None
    data = source if isinstance(source, bytes) else Path(source).expanduser().read_bytes()
    if not is_picture(data):
        return None
    with Image.open(BytesIO(data), formats=FORMATS) as opened:
        opened.load()
        return in_plain_mode(opened)


def _open_bytes(data: bytes, where: str, shelf: Shelf) -> Opened:
    if is_picture(data):
        return _open_texts(read_texts(data, where).texts, where, shelf)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        seems = foreign_text(data[:200].decode("utf-8", "replace"))
        raise _no_recipe(seems, where) from None
    return _open_text(text, where, shelf)


def _open_texts(texts: Mapping[str, str], where: str, shelf: Shelf) -> Opened:
    """Open the texts of a picture: our own first, then those that say most of the others."""
    for name, read in _TEXTS.items():
        if name in texts:
            opened = read(texts[name], texts, f"{where}, text {name!r}", shelf)
            others = [other for other in _TEXTS if other in texts and other != name]
            if others:
                opened.report.exact(f"text {name!r}", f"read in place of {', '.join(map(repr, others))}")
            return opened
    raise RecipeError(f"{where} carries no recipe (read are {READABLE})")


def _open_text(text: str, where: str, shelf: Shelf) -> Opened:
    if len(text) > MAX_CHARACTERS * 4:
        raise RecipeError(f"{where} has {len(text):,} characters; a graph has at most {MAX_CHARACTERS * 4:,}")
    if text.lstrip()[:1] not in ("{", "["):
        if is_parameters(text):
            return _listed(read_parameters, text, "A1111 parameters", shelf)
        raise _no_recipe(foreign_text(text), where)
    try:
        return Opened(Graph.from_json(text), "graph of nbgraph")
    except GraphError as error:
        values = parse_json(text, where)
        if not is_object(values):
            raise RecipeError(
                f"{where} is a JSON {type(values).__name__}, and no recipe (read are {READABLE})"
            ) from None
        opened = _open_object(values, text, where, shelf)
        if opened is None:
            named = [Problem(each.kind, each.message, each.node or where, each.field) for each in error.problems]
            raise GraphError(named) from None
        return opened


def _open_object(values: dict[str, Any], text: str, where: str, shelf: Shelf) -> Opened | None:
    """Open the values of a JSON object; None for what is of nbgraph's own form, or not known."""
    if "graph" in values and "nbgraph" in values:
        return _own(recipe_from_json(text, where))
    if is_object(values.get("graph")) and "name" in values:
        return Opened(LibraryGraph.from_dict(values).graph, "library graph of nbgraph")
    if is_api(values) or is_api(values.get("prompt")):
        return _comfy(values if is_api(values) else values["prompt"], shelf, api=True)
    if is_workflow(values):
        return _comfy(values, shelf, api=False)
    if is_list(values.get("nodes")) and is_list(values.get("edges")):
        kind = "InvokeAI workflow"
        return _invoke(_read(kind, lambda: from_workflow(values)), shelf, kind)
    if is_object(values.get("nodes")) and any(
        is_object(node) and node.get("type") in INVOKE_TYPES for node in values["nodes"].values()
    ):
        return _invoke(values, shelf, "InvokeAI graph")
    if "positive_prompt" in values or "generation_mode" in values:
        return _listed(read_invoke_metadata, values, "InvokeAI metadata", shelf)
    if "base_model" in values and "prompt" in values:
        return _listed(read_fooocus, values, "Fooocus", shelf)
    if seems := foreign_object(values):
        raise _no_recipe(seems, where)
    return None


def _no_recipe(seems: str, where: str) -> NbgraphError:
    """The error for what holds no recipe, with what it seems to be if that is known."""
    if not seems:
        return RecipeError(f"{where} holds no recipe (read are {READABLE})")
    return GraphError([Problem(each.kind, each.message, where) for each in foreign_error(seems).problems])


def _own(recipe: Recipe) -> Opened:
    report = Report()
    if recipe.without:
        report.differs("prompts", "they were left out when the picture was saved")
    for address in recipe.random_seeds:
        report.differs(address, "its seed was drawn, and is drawn anew")
    for name in recipe.pictures:
        report.missing(f"picture {name}", "a picture that went in is not in the file; it must be in the studio")
    return Opened(recipe.to_graph(), "picture of nbgraph", report, recipe)


def _comfy(values: dict[str, Any], shelf: Shelf, api: bool) -> Opened:
    report = Report()
    kind = f"ComfyUI {'API' if api else 'workflow'}"
    nodes = _read(kind, lambda: read_api(values) if api else read_workflow(values))
    if not nodes:
        raise RecipeError("the workflow has no nodes")
    return Opened(_read(kind, lambda: import_comfy(nodes, shelf, report)), kind, report)


def _invoke(values: dict[str, Any], shelf: Shelf, kind: str) -> Opened:
    report = Report()
    if not values["nodes"]:
        raise RecipeError(f"the {kind} has no nodes")
    return Opened(_read(kind, lambda: import_invoke(values, shelf, report)), kind, report)


def _read(kind: str, read: Callable[[], Found]) -> Found:
    """What another program's values are read as; `RecipeError` where they are not of its form."""
    try:
        return read()
    except NbgraphError:
        raise
    except RecursionError:
        raise RecipeError(f"the {kind} has too many nodes in a row to be read") from None
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
        raise RecipeError(f"the {kind} is damaged, and cannot be read: {error}") from None


def _listed(read: Callable[..., ListedSettings], values: Any, kind: str, shelf: Shelf) -> Opened:
    report = Report()
    settings = _read(kind, lambda: read(values, report))
    return Opened(_read(kind, lambda: import_settings(settings, shelf, report)), kind, report)


def _parameters(text: str, texts: Mapping[str, str], where: str, shelf: Shelf) -> Opened:
    if text.lstrip()[:1] == "{":
        return _json_text(text, texts, where, shelf)
    return _listed(read_parameters, text, "A1111 parameters", shelf)


def _json_text(text: str, texts: Mapping[str, str], where: str, shelf: Shelf) -> Opened:
    values = parse_json(text, where)
    opened = _open_object(values, text, where, shelf) if is_object(values) else None
    if opened is None:
        raise RecipeError(f"{where} is no recipe that is read (read are {READABLE})")
    return opened


def _novelai(text: str, texts: Mapping[str, str], where: str, shelf: Shelf) -> Opened:
    values = parse_json(text, where)
    if not is_object(values) or "steps" not in values:
        raise RecipeError(f"{where} is no recipe that is read (read are {READABLE})")
    prompt = texts.get("Description", "")
    return _listed(partial(read_novelai, prompt), values, "NovelAI", shelf)


_TEXTS: dict[str, Callable[[str, Mapping[str, str], str, Shelf], Opened]] = {
    "nbgraph": lambda text, texts, where, shelf: _own(recipe_from_json(text, where)),
    "prompt": _json_text,
    "workflow": _json_text,
    "invokeai_graph": _json_text,
    "invokeai_workflow": _json_text,
    "invokeai_metadata": _json_text,
    "parameters": _parameters,
    "Comment": _novelai,
}
"""The texts that are read, those that say most first."""
