"""What a graph node gives: the outputs of its inner nodes, by the names they have outside, as far as there are any."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import PrivateAttr

from nbgraph.invocations.base import BaseInvocationOutput
from nbgraph.services.shared.graph.plan import Path, Plan


class ExposedOutput(BaseInvocationOutput):
    """The output of a graph node; to ask for what an inner node has not given is an `AttributeError` that says why."""

    _missing: dict[str, str] = PrivateAttr(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        if name in type(self).model_fields:
            raise AttributeError(f"there is no {name!r} here: {self._missing[name]}")
        return super().__getattr__(name)  # pyright: ignore[reportAttributeAccessIssue]


@dataclass
class Outlet:
    """The outputs of a graph node: its output class, and by name the inner node and output each one is."""

    output_class: type[ExposedOutput]
    ends: dict[str, tuple[str, str]]


def exposed_outputs(
    outlet: Outlet,
    plan: Plan,
    outputs_of: Callable[[str], Mapping[Path, BaseInvocationOutput]],
    why_missing: Callable[[str, Path], str],
) -> dict[Path, BaseInvocationOutput]:
    """The outputs of a graph node, in path order, at each path at which at least one of its inner nodes has one.

    What runs under fewer iterations than the others stands beside each of theirs.
    """
    given = {source: outputs_of(source) for source, _ in outlet.ends.values()}
    axes = {source: plan.nodes[plan.ranks[source]].axes if source in plan.ranks else () for source in given}
    used: set[tuple[str, Path]] = set()
    exposed: dict[Path, BaseInvocationOutput] = {}
    for source in sorted(given, key=lambda each: len(axes[each]), reverse=True):
        for path in given[source]:
            if (source, path) not in used:
                paths = {other: _path_in(axes[other], path, axes[source]) for other in given}
                used.update(paths.items())
                exposed[path] = _output(outlet, given, paths, why_missing)
    return dict(sorted(exposed.items()))


def _path_in(axes: Sequence[int], path: Path, path_axes: Sequence[int]) -> Path:
    """The path of a node under some of the iterations of another one, given the path of that."""
    index_of = dict(zip(path_axes, path))
    return tuple([index_of[axis] for axis in axes]) if index_of.keys() >= set(axes) else path


def _output(
    outlet: Outlet,
    given: Mapping[str, Mapping[Path, BaseInvocationOutput]],
    paths: Mapping[str, Path],
    why_missing: Callable[[str, Path], str],
) -> ExposedOutput:
    values: dict[str, Any] = {}
    missing: dict[str, str] = {}
    for alias, (source, field) in outlet.ends.items():
        path = paths[source]
        if path in given[source]:
            values[alias] = getattr(given[source][path], field)
        else:
            missing[alias] = f"{source}: {why_missing(source, path) or 'it has given nothing at this path'}"
    output = outlet.output_class.model_construct(**values)
    output._missing = missing
    return output
