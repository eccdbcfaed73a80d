"""The recipe of a picture that a run made: everything is read from the session, and nothing is run."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path as FilePath
from typing import Any

from PIL import Image

from nbgraph.config import RecipeParts
from nbgraph.errors import NbgraphError
from nbgraph.invocations.base import BaseInvocation
from nbgraph.invocations.fields import ImageField, ModelField, models_in, resources_in
from nbgraph.recipes.parameters import parameters_text
from nbgraph.recipes.recipe import ModelFact, Recipe, Source
from nbgraph.recipes.upstream import Upstream
from nbgraph.recipes.versions import packages, version
from nbgraph.recipes.without_prompts import without_prompts
from nbgraph.services.images.images_base import picture_content
from nbgraph.services.invocation_cache.code_hash import code_of
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.plan import Path

FROM_OUTSIDE = frozenset({"image", "load_image"})
"""Nodes that bring in a picture which no node of the graph made."""


@dataclass(frozen=True)
class Carried:
    """What a saved picture carries: our recipe as JSON, the text for other programs, and where the pixels are from.

    `brought` are the texts that a picture brought into the studio had already, by the name of their chunk.
    """

    recipe: str = ""
    parameters: str = ""
    source: Source = ""
    brought: Mapping[str, str] | None = None


def carried_by(
    services: InvocationServices, session: GraphExecutionState, node_id: str, path: Path, image: Image.Image
) -> Carried:
    """Return what the picture that a node gave at a path carries into files, as far as the settings let it."""
    parts = services.recipes
    if parts == "none" or node_id not in session.plan.ranks:
        return Carried()
    upstream = Upstream(session, node_id, path)
    recipe = recipe_of(services, upstream, image, parts)
    text = parameters_text(upstream, image.size, version(), with_prompts=parts == "all")
    return Carried(recipe.to_json(), text, recipe.source)


def recipe_of(
    services: InvocationServices, upstream: Upstream, image: Image.Image, parts: RecipeParts = "all"
) -> Recipe:
    """Return the recipe of a picture, with the fingerprints of everything that took part."""
    graph, path, random_seeds = upstream.graph()
    models: dict[tuple[str, str], ModelFact] = {}
    code: dict[str, str] = {}
    pictures: dict[str, str] = {}
    first: ModelField | None = None
    from_outside = False
    for one in upstream.prepared():
        cls = type(one.planned.node)
        code.setdefault(cls.type, code_fingerprint(cls))
        found = models_in(upstream.output(one))
        first = first or next(iter(found), None)
        for fact in model_facts(found):
            models.setdefault((fact.kind, fact.fingerprint), fact)
        typed = resources_in({name: one.planned.values[name] for name in one.planned.node.literals()})
        from_outside = from_outside or cls.type in FROM_OUTSIDE or any(isinstance(each, ImageField) for each in typed)
        given = resources_in(upstream.output(one)) if cls.type == "load_image" else []
        pictures.update(_contents(services, [*typed, *given]))
    computed = services.model_manager.content(first) if first else {}
    recipe = Recipe(
        nbgraph=version(),
        graph=graph.to_dict(),
        node=upstream.node_id,
        path=path,
        content=picture_content(image),
        source=("composite" if from_outside else "generated") if models else "",
        models=tuple(models.values()),
        code=dict(sorted(code.items())),
        pictures=pictures,
        packages=packages(),
        device=str(computed.get("device", "")),
        dtype=str(computed.get("dtype", "")),
        random_seeds=random_seeds,
    )
    return without_prompts(recipe) if parts == "without prompts" else recipe


def code_fingerprint(cls: type[BaseInvocation]) -> str:
    """Return a hash of the code that a node type reaches, without the versions of packages; "" if it has none."""
    code = code_of(cls)
    if code.refusal:
        return ""
    parts = json.dumps([cls.version, sorted(code.parts.items())], default=repr)
    return blake2b(parts.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def model_facts(models: Iterable[ModelField]) -> Iterable[ModelFact]:
    """Yield what is to be known of models, of the files of their parts, and of the LoRAs and adapters over them."""
    for model in models:
        yield ModelFact(name=FilePath(model.name).name, fingerprint=model.fingerprint)
        for part in model.parts:
            if part.use != "configuration":
                yield ModelFact(name=FilePath(part.path).name, fingerprint=part.fingerprint, kind="part")
        for patch in model.patches:
            path, fingerprint = getattr(patch, "path", ""), getattr(patch, "fingerprint", "")
            if fingerprint:
                yield ModelFact(name=FilePath(path).name, fingerprint=fingerprint, kind=patch.kind)


def _contents(services: InvocationServices, fields: Iterable[Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for field in fields:
        if isinstance(field, ImageField):
            try:
                found[field.image_name] = services.images.content(field.image_name)
            except NbgraphError:
                found[field.image_name] = ""  # deleted since: a replay will say that it is missing
    return found
