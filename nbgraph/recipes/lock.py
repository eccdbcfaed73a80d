"""A lock: what the runs of a notebook ran with, in a small file that a replay is checked against."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from os import PathLike
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import to_jsonable_python

from nbgraph.errors import NbgraphError, NotFoundError, RecipeError
from nbgraph.invocations.base import BaseInvocation
from nbgraph.invocations.fields import models_in
from nbgraph.recipes.json_values import is_object
from nbgraph.recipes.made import code_fingerprint, model_facts
from nbgraph.recipes.recipe import ModelFact, Recipe, parse_json
from nbgraph.recipes.replay import Difference, code_differences, environment
from nbgraph.recipes.versions import packages, version
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.expand import expand
from nbgraph.services.shared.graph.graph import Graph

FORMAT = 1
MAX_BYTES = 16 * 2**20
LONG_TEXT = 200
"""A longer text is kept as its hash: a lock says whether a text is another one, a picture's recipe says which."""


class LockedRun(BaseModel):
    """What one run was: the type of each node, and by address the values of inputs and the seeds that were drawn.

    Under an iteration there is a seed for each item.
    """

    model_config = ConfigDict(frozen=True)

    nodes: dict[str, str]
    values: dict[str, Any] = Field(default_factory=dict)
    seeds: dict[str, list[int]] = Field(default_factory=dict)


class LockContent(BaseModel):
    """What a lock file holds."""

    model_config = ConfigDict(frozen=True)

    nbgraph: str
    format: int = FORMAT
    python: str = ""
    packages: dict[str, str] = Field(default_factory=dict)
    device: str = ""
    dtype: str = ""
    models: tuple[ModelFact, ...] = ()
    code: dict[str, str] = Field(default_factory=dict)
    runs: tuple[LockedRun, ...] = ()


@dataclass(frozen=True)
class Lock:
    """What runs ran with, and the file it was written to."""

    content: LockContent
    path: Path | None = field(default=None)

    def __repr__(self) -> str:
        found = self.content
        where = f" -> {self.path}" if self.path else ""
        return f"Lock({len(found.runs)} runs, {len(found.models)} models, {len(found.code)} node types{where})"

    def to_json(self) -> str:
        """Return the lock as JSON, the same text for the same content."""
        return json.dumps(self.content.model_dump(mode="json"), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def lock_of(session_ids: Iterable[str], services: InvocationServices, skip_missing: bool = False) -> Lock:
    """Return the lock of runs; texts are kept as hashes where the settings leave prompts out of pictures.

    `NotFoundError` for a run that is not kept any more, unless `skip_missing` leaves it out.
    """
    models: dict[tuple[str, str], ModelFact] = {}
    code: dict[str, str] = {}
    runs: list[LockedRun] = []
    computed: dict[str, Any] = {}
    for session in _sessions(session_ids, services, skip_missing):
        found = models_in(list(session.outputs.values()))
        for fact in model_facts(found):
            models.setdefault((fact.kind, fact.fingerprint), fact)
        if found and not computed:
            computed = services.model_manager.content(found[0])
        nodes = session.expanded.nodes
        for node in nodes.values():
            code.setdefault(node.type, code_fingerprint(type(node)))
        seeds: dict[str, list[int]] = {}
        for key, drawn in session.seeds.items():
            rank, _ = session.keys.place(key)
            for name, seed in drawn.items():
                seeds.setdefault(f"{session.plan.nodes[rank].id}.{name}", []).append(seed)
        runs.append(
            LockedRun(
                nodes={node_id: node.type for node_id, node in nodes.items()},
                values=dict(_values(nodes, services.recipes != "all")),
                seeds=seeds,
            )
        )
    content = LockContent(
        nbgraph=version(),
        python=".".join(map(str, sys.version_info[:3])),
        packages=packages(),
        device=str(computed.get("device", "")),
        dtype=str(computed.get("dtype", "")),
        models=tuple(models.values()),
        code=dict(sorted(code.items())),
        runs=tuple(runs),
    )
    return Lock(content)


def _sessions(
    session_ids: Iterable[str], services: InvocationServices, skip_missing: bool
) -> Iterator[GraphExecutionState]:
    for session_id in session_ids:
        try:
            yield services.graph_execution_manager.get(session_id)
        except NotFoundError:
            if not skip_missing:
                raise


def read_lock(source: "Lock | str | PathLike[str]") -> LockContent:
    """Return what a lock file holds; `RecipeError` names the file and what is wrong with it."""
    if isinstance(source, Lock):
        return source.content
    path = Path(source).expanduser()
    try:
        with path.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except FileNotFoundError:
        text = f"there is no lock {str(path)!r} (looked in {Path.cwd()}); studio.lock(path) writes one"
        raise NotFoundError(text) from None
    except OSError as error:
        raise RecipeError(f"the lock {str(path)!r} cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise RecipeError(f"the lock {str(path)!r} has more than {MAX_BYTES:,} bytes, and is not read")
    values = parse_json(data.decode("utf-8", "replace"), f"the lock {str(path)!r}")
    if is_object(values) and isinstance(values.get("format"), int) and values["format"] > FORMAT:
        raise RecipeError(f"the lock {str(path)!r} is of format {values['format']}, and this nbgraph reads {FORMAT}")
    try:
        return LockContent.model_validate(values)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, found["loc"]))
        raise RecipeError(f"{str(path)!r} is no lock of nbgraph: {place}: {found['msg']}") from None


def lock_differences(lock: LockContent, recipe: Recipe) -> list[Difference]:
    """Return in what a recipe, and what is installed here, differ from a lock: package, model, code, seed, setting."""
    found = environment({"nbgraph": lock.nbgraph, "python": lock.python, **lock.packages})
    found += code_differences({name: code for name, code in lock.code.items() if name in recipe.code})
    for name, was, now in (("device", lock.device, recipe.device), ("dtype", lock.dtype, recipe.dtype)):
        if was and now and was != now:
            found.append(Difference("setting", name, was, now))
    found += _model_differences(lock, recipe)
    return [*found, *_run_differences(lock, recipe)]


def _model_differences(lock: LockContent, recipe: Recipe) -> Iterator[Difference]:
    for fact in recipe.models:
        known = [each.fingerprint for each in lock.models if (each.kind, each.name) == (fact.kind, fact.name)]
        if fact.fingerprint not in (each.fingerprint for each in lock.models):
            yield Difference("model", fact.name, known[0][:8] if known else "", fact.fingerprint[:8])


def _run_differences(lock: LockContent, recipe: Recipe) -> list[Difference]:
    """The differences from the run of the lock that is most like the recipe."""
    nodes = expand(Graph.from_dict(recipe.graph)).nodes
    likest = sorted(
        (
            (-len({*_types(nodes).items()} & {*run.nodes.items()}), differences)
            for run, differences in ((run, _compared(run, nodes)) for run in lock.runs)
        ),
        key=lambda each: (each[0], len(each[1])),
    )
    if not likest or not likest[0][0]:
        return [Difference("run", recipe.node or "graph", "none of its nodes is in the lock", "in the picture")]
    return likest[0][1]


def _compared(run: LockedRun, nodes: Mapping[str, BaseInvocation]) -> list[Difference]:
    found = [
        Difference("node", node_id, run.nodes.get(node_id, ""), node.type)
        for node_id, node in nodes.items()
        if run.nodes.get(node_id) != node.type
    ]
    now, hashed = dict(_values(nodes, False)), dict(_values(nodes, True))
    for address, value in now.items():
        known = run.seeds.get(address) or [run.values[address]] if address in {**run.seeds, **run.values} else []
        if known and value not in known and hashed[address] not in known:
            node_id, _, name = address.rpartition(".")
            kind = "seed" if nodes[node_id].inputs()[name].seed else "setting"
            found.append(Difference(kind, address, _short(known[0]), _short(value)))
    return found


def _types(nodes: Mapping[str, BaseInvocation]) -> dict[str, str]:
    return {node_id: node.type for node_id, node in nodes.items()}


def _values(nodes: Mapping[str, BaseInvocation], hide: bool) -> Iterator[tuple[str, Any]]:
    """The values of inputs by address; texts as hashes where they are long, or where all are to be hidden."""
    for node_id, node in nodes.items():
        for name, value in node.literals().items():
            if value is None:
                continue
            plain = to_jsonable_python(value, fallback=str)
            text = plain if isinstance(plain, str) else json.dumps(plain, sort_keys=True)
            if len(text) > LONG_TEXT or (hide and isinstance(plain, str)):
                plain = f"blake2:{blake2b(text.encode('utf-8', 'surrogatepass'), digest_size=8).hexdigest()}"
            yield f"{node_id}.{name}", plain


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def write_lock(lock: Lock, path: str | PathLike[str]) -> Lock:
    """Write a lock beside its place and move it there; `NbgraphError` where the file cannot be written."""
    target = Path(path).expanduser()
    waiting = target.with_name(f".{target.name}.part")
    try:
        waiting.write_text(lock.to_json(), encoding="utf-8")
        waiting.replace(target)
    except OSError as error:
        raise NbgraphError(f"the lock {str(target)!r} cannot be written: {error.strerror or error}") from None
    return Lock(lock.content, target)
