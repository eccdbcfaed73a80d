"""Results of nodes: as text for a terminal, as values for a notebook, as image files."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, cast, overload

from PIL.Image import Image

from nbgraph.cli.command_table import Reply
from nbgraph.cli.graph_programs import cannot_write
from nbgraph.html import Html, element, image, joined, table
from nbgraph.invocations.base import BaseInvocationOutput
from nbgraph.invocations.fields import ClipField, ImageField, ResourceField, UNetField, VaeField
from nbgraph.results import NodeResult
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.plan import Path as IterationPath
from nbgraph.services.shared.graph.plan import prepared_id
from nbgraph.texts import one_line, value_text

SHOWN = 10
LIMIT = 200


class Results(Sequence[NodeResult]):
    """The results of a node that ran several times, in path order; displayed one below the other."""

    def __init__(self, items: dict[str, NodeResult]) -> None:
        self._items = items

    @overload
    def __getitem__(self, place: int) -> NodeResult: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[NodeResult]: ...

    def __getitem__(self, place: int | slice) -> NodeResult | Sequence[NodeResult]:
        return list(self._items.values())[place]

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        lines = [f"{name}: {result!r}" for name, result in list(self._items.items())[:SHOWN]]
        return "\n".join([*lines, *_more(len(self) - SHOWN)]) or "no results"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        rows = [(element("code", name), self._cell(result)) for name, result in list(self._items.items())[:SHOWN]]
        return {"text/plain": repr(self), "text/html": joined([table(rows), *_more(len(self) - SHOWN)])}

    @staticmethod
    def _cell(result: NodeResult) -> Html:
        bundle = cast(Any, result)._repr_mimebundle_()  # the protocol of IPython
        png = bundle.get("image/png")
        if png is None:
            return element("code", one_line(value_text(result, LIMIT)))
        return image(png, "result")


def result_of(execution: GraphExecutionState, node_id: str, services: InvocationServices) -> Any:
    """Return the result of a node that ran once, `Results` of several times, None where it did not run."""
    found = execution.outputs_of(node_id)
    # Without an iteration a node has one result, at the empty path.
    if () in found:
        return NodeResult(found[()], services, execution, (node_id, ()))
    named = {
        prepared_id(node_id, path): NodeResult(output, services, execution, (node_id, path))
        for path, output in found.items()
    }
    return Results(named) if named else None


def line_reply(
    graph: Graph, execution: GraphExecutionState, added: Sequence[str], services: InvocationServices
) -> Reply:
    """Return the reply to a line: the results of all its nodes as text, that of the last one as the value."""
    lines = [line for node_id in added for line in node_lines(graph, execution, node_id, services)]
    return Reply("\n".join(lines), value=result_of(execution, added[-1], services))


def node_lines(graph: Graph, execution: GraphExecutionState, node_id: str, services: InvocationServices) -> list[str]:
    """Return a line for each iteration path: `2 mul (a=0.value, b=1.value): value=12`."""
    links = ", ".join(f"{link.field}={link.source}.{link.output}" for link in graph.links(node_id))
    head = f"{graph.nodes[node_id].type}{f' ({links})' if links else ''}"
    found = execution.outputs_of(node_id)
    if not found:
        return [f"{one_line(node_id)} {head}: {execution.skipped.get(node_id) or 'did not run'}"]
    lines = [
        f"{one_line(prepared_id(node_id, path))} {head}: {output_text(output, services)}"
        for path, output in list(found.items())[:SHOWN]
    ]
    return [*lines, *_more(len(found) - SHOWN)]


def output_text(output: BaseInvocationOutput, services: InvocationServices) -> str:
    """Return an output on one line: `value=12`; images as the paths of their files."""
    return ", ".join(f"{name}={_value_text(value, services)}" for name, value in output.__dict__.items())


def _value_text(value: Any, services: InvocationServices) -> str:
    if isinstance(value, ImageField):
        return str(image_path(value.image_name, services))
    if isinstance(value, list) and value and isinstance(value[0], ImageField):
        items = cast("list[Any]", value)
        return "[" + ", ".join(_value_text(item, services) for item in items) + "]"
    return printed(value, LIMIT)


def printed(value: Any, limit: int) -> str:
    """Return a value on one line of at most `limit` characters; resources and models by their names."""
    if isinstance(value, ResourceField):
        return value.resource_name
    # A model's own repr has its path and its fingerprint, which fill a screen.
    if isinstance(value, UNetField | ClipField | VaeField):
        return value.model.name
    return one_line(value_text(value, limit))


def _more(count: int) -> list[str]:
    return [f"... and {count} more"] if count > 0 else []


def state_of(execution: GraphExecutionState | None, node_id: str, path: IterationPath = ()) -> str:
    """Return "completed", "failed", "skipped" or "waiting"."""
    if execution is None:
        return "waiting"
    if path in execution.outputs_of(node_id):
        return "completed"
    name = prepared_id(node_id, path)
    return "failed" if name in execution.errors else "skipped" if name in execution.skipped else "waiting"


def image_path(image_name: str, services: InvocationServices) -> Path:
    """Return the file of an image; one of a studio in memory is written to a temporary folder first."""
    path = services.images.path(image_name)
    if path is not None:
        return path
    # A terminal cannot show an image, but most open a path that is clicked.
    path = temporary_folder() / f"{image_name}.png"
    if not path.exists():
        write_image(services.images.get(image_name), path)
    return path


def write_image(image: Image, path: Path) -> None:
    """Write an image in the format of the ending of the path. Raises `NbgraphError` if that cannot be."""
    try:
        image.save(path)
    except (OSError, ValueError, KeyError) as error:
        raise cannot_write(path, error) from None


@lru_cache(maxsize=1)
def temporary_folder() -> Path:
    """Return a folder of this process, readable by its user only; the system deletes it."""
    return Path(mkdtemp(prefix="nbgraph-"))
