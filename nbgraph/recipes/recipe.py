"""A recipe: the graph that made a picture, with the models, the code and the versions that ran."""

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nbgraph.errors import RecipeError
from nbgraph.recipes.json_values import is_list, is_object
from nbgraph.services.shared.graph.graph import Graph

FORMAT = 1
MAX_CHARACTERS = 16 * 2**20
"""The longest recipe that is read or written, as JSON."""
MAX_NESTING = 200
Source = Literal["", "generated", "composite"]
"""Where the pixels are from: unknown, a model alone, or a model and a picture that went in."""


class ModelFact(BaseModel):
    """A model, LoRA or adapter that took part: its name, and the hash of its content."""

    model_config = ConfigDict(frozen=True)

    name: str
    fingerprint: str
    kind: str = "model"


class Recipe(BaseModel):
    """What is known of how a picture was made.

    `graph` has the nodes that the picture needs and no others, in the form of a graph file. `node` gave the picture, at
    `path` where the graph iterates. `content` is the hash of its pixels as they were kept, `code` the hash of the code
    of each node type, and `pictures` the hash of each picture that went in. `random_seeds` are the inputs whose drawn
    seeds could not be written into the graph: a replay draws others.
    """

    model_config = ConfigDict(frozen=True)

    nbgraph: str
    format: int = FORMAT
    graph: dict[str, Any]
    node: str = ""
    path: tuple[int, ...] = ()
    content: str = ""
    source: Source = ""
    models: tuple[ModelFact, ...] = ()
    code: dict[str, str] = Field(default_factory=dict)
    pictures: dict[str, str] = Field(default_factory=dict)
    packages: dict[str, str] = Field(default_factory=dict)
    device: str = ""
    dtype: str = ""
    random_seeds: tuple[str, ...] = ()
    without: Literal["", "prompts"] = ""

    def to_json(self) -> str:
        """Return the recipe as JSON; what has nothing to say is left out."""
        values = self.model_dump(mode="json", exclude_defaults=True)
        return json.dumps({"format": self.format, **values}, ensure_ascii=False, allow_nan=False)

    def to_graph(self) -> Graph:
        """Return the graph; `GraphError` names everything that is wrong with it."""
        return Graph.from_dict(self.graph)


def recipe_from_json(text: str, where: str) -> Recipe:
    """Return the recipe in a JSON text; `RecipeError` names `where` it is and what is wrong with it."""
    values = parse_json(text, where)
    if not is_object(values) or not is_object(values.get("graph")):
        raise RecipeError(f"{where} is no recipe of nbgraph: an object with nbgraph, format and graph is expected")
    if isinstance(values.get("format"), int) and values["format"] > FORMAT:
        raise RecipeError(
            f"{where} was written by nbgraph {str(values.get('nbgraph'))[:40]} in format {values['format']}, and this "
            f"one reads up to {FORMAT}; upgrade nbgraph"
        )
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, found["loc"]))
        raise RecipeError(f"{where} is no recipe of nbgraph: {place}: {found['msg']}") from None


def parse_json(text: str, where: str) -> Any:
    """Return the values of a JSON text of another program, which may hold NaN; `RecipeError` for all else.

    Texts over `MAX_CHARACTERS`, and values nested deeper than `MAX_NESTING`, are refused before they are used.
    """
    if len(text) > MAX_CHARACTERS:
        raise RecipeError(f"{where} has {len(text):,} characters; at most {MAX_CHARACTERS:,} are read")
    try:
        values = json.loads(text, parse_constant=lambda name: None)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise RecipeError(f"{where} is no JSON: {reason}") from None
    if _depth(values) > MAX_NESTING:
        raise RecipeError(f"{where} is nested more than {MAX_NESTING} deep")
    return values


def _depth(values: Any) -> int:
    level: list[Any] = [values]
    depth = 0
    while level and depth <= MAX_NESTING:
        depth += 1
        objects = [item for each in level if is_object(each) for item in each.values()]
        level = [*objects, *(item for each in level if is_list(each) for item in each)]
    return depth
