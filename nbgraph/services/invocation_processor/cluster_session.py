"""A session on its way to a worker: as a job of plain values, and made a session again there.

Node classes are never sent but those of `__main__`, the cells of a notebook, which nothing else could import: they go
as cloudpickle writes them, from the kernel that defined them, as Dask sends any function. All others are imported.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path as FilePath
from typing import Any, cast

import cloudpickle as dask_cloudpickle  # pyright: ignore[reportMissingTypeStubs] - it has none

from nbgraph.diffusion.fingerprints import fingerprint_path
from nbgraph.errors import ClusterError, ModelError
from nbgraph.invocations.base import BaseInvocation
from nbgraph.invocations.function import FunctionInvocation, node
from nbgraph.invocations.node_registry import registry
from nbgraph.invocations.types import JsonObject, JsonValue
from nbgraph.services.invocation_processor.cluster_messages import Job, Outputs
from nbgraph.services.model_manager.model_manager_base import ModelManagerBase
from nbgraph.services.shared.graph.execution_state import GraphExecutionState

PACKAGE = "put it into a module of a package that is installed on the workers"
_cloudpickle: Any = dask_cloudpickle
Classes = Iterable[type[BaseInvocation]]


def modules_of(classes: Classes) -> list[str]:
    """Return the modules that a worker has to import for these node classes."""
    names = dict.fromkeys(cls.__module__ for cls in classes)
    return [name for name in names if name != "__main__" and not name.startswith("nbgraph.")]


def pickled_classes(classes: Classes) -> bytes:
    """Return the node classes of `__main__` as bytes for `define_classes`; empty if there are none.

    Raises
    ------
    ClusterError
        One of them refers to something that cannot be sent.
    """
    sent: list[tuple[object, ...]] = []
    for cls in classes:
        if cls.__module__ != "__main__":
            continue
        found = _as_function(cls) if issubclass(cls, FunctionInvocation) else (cls,)
        try:
            _cloudpickle.dumps(found)
        except Exception as error:
            why = f"{type(error).__name__}: {str(error)[:200]}"
            text = f"node {cls.type!r} is defined in this notebook and cannot be sent to a worker ({why})"
            raise ClusterError(f"{text}; {PACKAGE}") from None
        sent.append(found)
    return bytes(_cloudpickle.dumps(sent)) if sent else b""


def _as_function(cls: type[FunctionInvocation]) -> tuple[object, ...]:
    """Return the function of a node and what `nb.node` was told, as its class cannot be written."""
    use_cache = None if cls.cached_by_default and not cls.cached_in_any_case else cls.cached_by_default
    options = {
        "type": cls.type,
        "version": cls.version,
        "use_cache": use_cache,
        "title": cls.title,
        "category": cls.category,
        "tags": cls.tags,
    }
    return cls.__wrapped_function__, options


def define_classes(pickled: bytes) -> None:
    """Define the node classes that `pickled_classes` wrote, in place of earlier ones of the same types."""
    for found in _cloudpickle.loads(pickled):
        if len(found) == 1:
            registry().register(found[0])
        else:
            node(found[0], **found[1])


def missing_modules(names: list[str]) -> list[str]:
    """Return those of the modules that cannot be imported here; none of them is imported."""

    def is_missing(name: str) -> bool:
        try:
            return name not in sys.modules and find_spec(name) is None
        except (ImportError, ValueError):
            return True

    return [name for name in names if is_missing(name)]


def session_of(job: Job, outputs: Outputs, models: ModelManagerBase, worker: str) -> GraphExecutionState:
    """Return the session of a job, as far as it is to run here.

    Parameters
    ----------
    job
        What the head sent.
    outputs
        Rows of results that the head has got since, in place of those in the job; none if there is nothing new.
    models
        Finds models on this worker.
    worker
        The name of this worker, for errors.

    Raises
    ------
    ClusterError
        A module cannot be imported here.
    ModelError
        A model is not on this worker, or is another one.
    GraphError
        The session cannot be read.
    """
    for name in job.modules:
        try:
            import_module(name)
        except Exception as error:
            text = f"worker {worker!r} cannot import {name}: {type(error).__name__}: {str(error)[:200]}"
            raise ClusterError(f"{text}; install the package of your nodes there") from None
    if job.classes:
        define_classes(job.classes)
    compare_models(job.models, models, worker)
    data: JsonObject = {**job.session, "outputs": outputs or job.session["outputs"]}
    data["outputs"] = with_local_paths(data["outputs"], models, worker)
    if (part := job.part) is not None:
        data["targets"] = part["targets"]
        left_out = (*range(part["first"]), *range(part["last"], part["total"]))
        # like items that failed: nothing that depends on them is run here
        data["failed"] = [(part["iterate"], (index,), None) for index in left_out]
        kept = _with_ancestors(data["graph"], part["targets"])
        data["outputs"] = [row for row in data["outputs"] if row[0] in kept]
        data["seeds"] = [row for row in data["seeds"] if row[0] in kept]
    return GraphExecutionState.from_dict(data)


def _with_ancestors(graph: JsonObject, targets: Iterable[str]) -> set[str]:
    """Return nodes of a graph in JSON, and all that they depend on."""
    parents: dict[str, list[str]] = {}
    for edge in graph["edges"]:
        parents.setdefault(edge["destination"]["node_id"], []).append(edge["source"]["node_id"])
    found: set[str] = set()
    waiting = list(targets)
    while waiting:
        each = waiting.pop()
        if each not in found:
            found.add(each)
            waiting += parents.get(each, [])
    return found


def compare_models(wanted: Mapping[str, str], models: ModelManagerBase, worker: str) -> None:
    """Raise `ModelError` if a model, by name, has not the fingerprint here that it has at the head."""
    for name, fingerprint in wanted.items():
        try:
            found = models.resolve(name).fingerprint
        except ModelError as error:
            raise ModelError(f"worker {worker!r} has no model {name!r}: {error}") from None
        if found != fingerprint:
            raise _other_model(name, worker)


def with_local_paths(value: JsonValue, models: ModelManagerBase, worker: str) -> JsonValue:
    """Return JSON values in which models, parts and patches have the paths that they have on this worker.

    Raises
    ------
    ModelError
        One is not here, or is another one.
    """
    if not any(True for _ in _references(value)):
        return value
    if isinstance(value, dict):
        given = cast(JsonObject, value)
        found = {name: with_local_paths(each, models, worker) for name, each in given.items()}
        return {**found, "path": _local_path(found, models, worker)} if _is_reference(found) else found
    return [with_local_paths(each, models, worker) for each in value]


def _is_reference(value: JsonObject) -> bool:
    return isinstance(value.get("path"), str) and isinstance(value.get("fingerprint"), str)


def _references(value: JsonValue) -> Iterator[JsonObject]:
    if isinstance(value, dict):
        given = cast(JsonObject, value)
        if _is_reference(given):
            yield given
        for each in given.values():
            yield from _references(each)
    elif isinstance(value, list | tuple):
        for each in cast("list[JsonValue]", value):
            yield from _references(each)


def _local_path(reference: JsonObject, models: ModelManagerBase, worker: str) -> str:
    path, fingerprint = reference["path"], reference["fingerprint"]
    if path == fingerprint:  # a configuration is named by its kind; it has no file
        return path
    name = reference.get("name") or FilePath(path).name
    places = [path] if FilePath(path).exists() else []
    try:
        places.append(models.resolve(name).path if "name" in reference else models.file_of(name))
    except ModelError as error:
        if not places:
            raise ModelError(f"worker {worker!r} has no model {name!r}: {error}") from None
    for place in places:
        if FilePath(place).exists() and fingerprint_path(place) == fingerprint:
            return place
    if not any(FilePath(place).exists() for place in places):
        raise ModelError(f"worker {worker!r} has no file {name!r}; put it into one of its model folders")
    raise _other_model(name, worker)


def _other_model(name: str, worker: str) -> ModelError:
    text = f"worker {worker!r} has another model of the name {name!r} than this kernel (their files differ)"
    return ModelError(f"{text}; copy the same files there, or give one of them another name")
