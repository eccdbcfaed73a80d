"""Replay a picture: what it was made with is looked for here, and what is another is named before anything runs.

plan_replay(recipe, services)      the graph to run, with the models and pictures of this studio, and what differs
facts_differences(recipe, made)    what was another all the same, known from the recipe of the picture made anew
compared(recipe, picture, made)    equal, or how far the two pictures are apart
"""

import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, cast

import numpy as np
from PIL import Image, ImageChops

from nbgraph.diffusion.fingerprints import fingerprint_path
from nbgraph.errors import GraphError, NbgraphError, Problem, UnknownNodeTypeError
from nbgraph.html import Html, element
from nbgraph.invocations.base import BaseInvocation
from nbgraph.invocations.image_compare import ssim
from nbgraph.invocations.node_registry import registry
from nbgraph.invocations.pictures import common_mode
from nbgraph.recipes.json_values import is_list
from nbgraph.recipes.made import code_fingerprint
from nbgraph.recipes.recipe import ModelFact, Recipe
from nbgraph.recipes.shelf import Shelf
from nbgraph.recipes.versions import packages, version
from nbgraph.recipes.without_prompts import MODEL_INPUTS
from nbgraph.services.images.images_base import picture_content
from nbgraph.services.images.images_common import ImageQuery
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.shared.graph.expand import expand
from nbgraph.services.shared.graph.graph import Graph

FILE_INPUTS = {
    "lora": ("lora", "model"),
    "embedding": ("textual_inversion",),
    "ip_adapter_model": ("ip_adapter", "model"),
}
"""Inputs that are files over a model, and the kinds of fact that a recipe may have of them: a control LoRA and an
IP-Adapter are models of their own there. The first kind is what a person calls it."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What is another than when the picture was made: its kind (model, package, code ...), its name, both values."""

    kind: str
    name: str
    was: str
    now: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {self.was or 'none'} -> {self.now or 'none'}"


@dataclass
class ReplayPlan:
    """The graph to run, and what is known to differ before it runs."""

    graph: Graph
    differences: list[Difference] = field(default_factory=list[Difference])


@dataclass
class Replayed:
    """The picture made anew beside the one that was given.

    `is_equal` says that the pixels are those of the recipe. Else `max_difference`, 0 to 255, and `ssim`, 1 for equal
    ones, say how far the two pictures are apart; both are None where their sizes differ. A JPEG or lossy WebP file
    is apart by its compression even if the picture made anew is equal.
    """

    picture: Image.Image
    given: Image.Image | None
    differences: list[Difference]
    is_equal: bool
    max_difference: int | None = None
    ssim: float | None = None

    def __repr__(self) -> str:
        if self.is_equal:
            result = "equal"
        elif self.max_difference is None:
            result = "different, or of unknown pixels"
        else:
            result = f"different (at most {self.max_difference} of 255, SSIM {self.ssim:.4f})"
        return "\n  ".join([f"Replayed({result})", *map(str, self.differences)])

    def _repr_html_(self) -> Html:
        return element("pre", repr(self))


def plan_replay(recipe: Recipe, services: InvocationServices, shelf: Shelf) -> ReplayPlan:
    """Return the graph to run for a recipe; `GraphError` names each model and picture that is not here."""
    graph = Graph.from_dict(recipe.graph)
    differences = [*_environment(recipe), *code_differences(recipe.code)]
    differences += [Difference("seed", address, "drawn", "drawn anew") for address in recipe.random_seeds]
    if recipe.without:
        differences.append(Difference("setting", "prompts", "left out of the picture", "empty"))
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    nodes = expand(graph).nodes
    for address, name in _typed(nodes, MODEL_INPUTS):
        names = [name] if isinstance(name, str) else name
        found = [_model_here(address, each, recipe, services, differences, problems) for each in names]
        if found != names:
            values[address] = found[0] if isinstance(name, str) else found
    for field_name, kinds in FILE_INPUTS.items():
        for address, name in _typed(nodes, {field_name}):
            given = str(name)
            path = _file_here(address, given, kinds, recipe, services, shelf, differences, problems)
            if path and path != given:
                values[address] = path
    for address, given in _given_pictures(nodes):
        _find_picture(address, given, recipe.pictures, services, values, problems)
    if problems:
        raise GraphError(problems)
    return ReplayPlan(graph.with_values(values) if values else graph, differences)


def facts_differences(recipe: Recipe, made: Recipe) -> Iterator[Difference]:
    """Yield in what the recipe of the picture made anew differs: models, files of any kind, pictures, device, dtype."""
    now = {fact.fingerprint: fact for fact in made.models}
    for fact in recipe.models:
        if fact.fingerprint not in now:
            others = [each for each in made.models if each.kind == fact.kind and each not in recipe.models]
            same = [each for each in others if each.name == fact.name] or others
            yield Difference("model", fact.name, fact.fingerprint[:8], same[0].fingerprint[:8] if same else "")
    contents = set(made.pictures.values())
    for name, content in recipe.pictures.items():
        if content and content not in contents:
            yield Difference("picture", name, content[:8], "another one")
    for name, was, is_now in (("device", recipe.device, made.device), ("dtype", recipe.dtype, made.dtype)):
        if was and is_now and was != is_now:
            yield Difference("setting", name, was, is_now)


def compared(recipe: Recipe, given: Image.Image | None, made: Image.Image, plan: ReplayPlan) -> Replayed:
    """Return how a picture that was made anew differs from the one of the recipe, and from the one that was given."""
    is_equal = bool(recipe.content) and picture_content(made.copy()) == recipe.content
    if given is None or given.size != made.size:
        return Replayed(made, given, plan.differences, is_equal)
    first, second = common_mode(given.convert("RGB"), made.convert("RGB"))
    apart = int(np.asarray(ImageChops.difference(first, second)).max())
    return Replayed(made, given, plan.differences, is_equal, apart, ssim(first, second))


def environment(recipe_like: Mapping[str, str]) -> list[Difference]:
    """Return the packages whose versions are others than in a mapping of name to version."""
    python = ".".join(map(str, sys.version_info[:3]))
    now = {"nbgraph": version(), "python": python, **packages()}
    return [
        Difference("package", name, was, now.get(name, ""))
        for name, was in recipe_like.items()
        if now.get(name, "") != was
    ]


def _environment(recipe: Recipe) -> list[Difference]:
    return environment({"nbgraph": recipe.nbgraph, **recipe.packages})


def code_differences(code: Mapping[str, str]) -> Iterator[Difference]:
    """Yield the node types whose code here is another than in a mapping of type to fingerprint."""
    for type_name, was in code.items():
        try:
            now = code_fingerprint(cast("type[BaseInvocation]", registry()[type_name]))
        except UnknownNodeTypeError:
            now = ""
        if now != was:
            yield Difference("code", type_name, was[:8], now[:8])


def _typed(nodes: Mapping[str, BaseInvocation], names: Collection[str]) -> Iterator[tuple[str, str | list[str]]]:
    for node_id, node in nodes.items():
        for name, value in node.literals().items():
            if name in names and isinstance(value, str | PurePath) and str(value):
                yield f"{node_id}.{name}", str(value)
            elif name in names and is_list(value):
                yield f"{node_id}.{name}", [str(each) for each in value]


def _fact_of(recipe: Recipe, name: str, *kinds: str) -> ModelFact | None:
    return next((fact for fact in recipe.models if fact.kind in kinds and fact.name == PurePath(name).name), None)


def _model_here(
    address: str,
    name: str,
    recipe: Recipe,
    services: InvocationServices,
    differences: list[Difference],
    problems: list[Problem],
) -> str:
    """Return the name here of a model: the one of that name, else any of that content, else that name all the same."""
    fact = _fact_of(recipe, name, "model", "part")
    if fact is None:
        return name
    rows = services.model_manager.rows()
    same_name = ""
    for known in (name, *(row.name for row in rows if row.name != name)):
        try:
            found = services.model_manager.resolve(known)
        except NbgraphError:
            continue
        if found.fingerprint == fact.fingerprint:
            return known
        if PurePath(known).name == fact.name:
            same_name = same_name or known
    if not same_name:
        shown = ", ".join(row.name for row in rows[:10])
        text = f"no model here has the content of {fact.name!r} ({fact.fingerprint[:8]}), and none its name ({shown})"
        problems.append(Problem("missing_model", text, *_place(address)))
        return name
    now = services.model_manager.resolve(same_name).fingerprint
    differences.append(Difference("model", fact.name, fact.fingerprint[:8], now[:8]))
    return same_name


def _file_here(
    address: str,
    name: str,
    kinds: Sequence[str],
    recipe: Recipe,
    services: InvocationServices,
    shelf: Shelf,
    differences: list[Difference],
    problems: list[Problem],
) -> str:
    """Return the path here of a LoRA or another file over a model, looked for as a model is; "" if there is none."""
    listed = Path(services.model_manager.file_of(name))
    fact = _fact_of(recipe, str(listed), *kinds) or _fact_of(recipe, name, *kinds)
    wanted = fact.fingerprint if fact else ""
    named = [
        path for path in (listed, *shelf.loras) if path.is_file() and path.name in (listed.name, fact and fact.name)
    ]
    # those of the same name first: a folder of LoRAs takes long to read
    for path in (*named, *(path for path in shelf.loras if wanted and path not in named)):
        if fingerprint_path(path) == wanted:
            return name if path == listed else str(path)
    if listed.is_dir():
        return name
    if not named:
        kind = kinds[0]
        text = f"there is no {kind.replace('_', ' ')} {PurePath(name).name!r} here"
        text += (
            "; put it into a folder named lora in a model folder" if kind == "lora" else "; put it into a model folder"
        )
        problems.append(Problem("missing_model", text, *_place(address)))
        return ""
    differences.append(Difference("model", named[0].name, wanted[:8], fingerprint_path(named[0])[:8]))
    return name if named[0] == listed else str(named[0])


def _place(address: str) -> tuple[str, str]:
    """(node, field) of an address, whose node may be within others."""
    node_id, _, field_name = address.rpartition(".")
    return node_id, field_name


def _given_pictures(nodes: Mapping[str, BaseInvocation]) -> Iterator[tuple[str, str]]:
    for node_id, node in nodes.items():
        for name, value in node.literals().items():
            if image_name := getattr(value, "image_name", ""):
                yield f"{node_id}.{name}", image_name


def _find_picture(
    address: str,
    image_name: str,
    contents: Mapping[str, str],
    services: InvocationServices,
    values: dict[str, Any],
    problems: list[Problem],
) -> None:
    if services.images.exists(image_name):
        return
    wanted = contents.get(image_name, "")
    for record in services.images.records(ImageQuery()):
        if wanted and services.images.content(record.image_name) == wanted:
            values[address] = {"image_name": record.image_name}
            return
    text = "the picture that went in is not in this studio; bring it in with studio.images.add(file)"
    problems.append(Problem("missing_picture", text, *_place(address)))
