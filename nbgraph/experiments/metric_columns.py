"""The metrics of a sweep: nodes that are put behind the swept node, each of which gives a column of its frame.

A metric is an ordinary node of the graph of each cell. So it is cached, it is found again in the stats, and where it
fails, its cell says why and keeps its image.
"""

from collections.abc import Iterable
from itertools import count
from typing import Any, NamedTuple, cast

from nbgraph.errors import GraphError, Problem, suggest
from nbgraph.invocations.base import BaseInvocation
from nbgraph.invocations.fields import ImageField
from nbgraph.invocations.inputs import REQUIRED
from nbgraph.invocations.metrics import METRICS
from nbgraph.invocations.types import assignable, plain, type_name
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.texts import value_text

Metric = str | BaseInvocation | type[BaseInvocation]
NUMBERS = (int, float, bool)


class MetricColumn(NamedTuple):
    """Where the values of a column come from: the id of a node and the name of its output.

    `is_added` says that the node was put into the graph to measure its cell.
    """

    node: str
    output: str
    is_added: bool


class MeasuredGraph(NamedTuple):
    """A graph with the nodes of metrics, and the columns that they give, by name."""

    graph: Graph
    columns: dict[str, MetricColumn]


def with_metrics(graph: Graph, shown: str, metrics: Iterable[Metric]) -> MeasuredGraph:
    """Return the graph with a node for each metric that is not in it yet.

    Parameters
    ----------
    graph
        The graph; it is not changed.
    shown
        The id of the node whose image is measured.
    metrics
        Each is a name (`"sharpness"`), a class of nodes with one open image input, such as what `@nb.node` makes, a
        node with one open image input, or the id of a node of the graph that gives a number.

    Raises
    ------
    GraphError
        With every metric that is none of these.
    """
    given = cast(object, metrics)
    if isinstance(given, str | BaseInvocation | type) or not isinstance(given, Iterable):
        raise GraphError([Problem("bad_value", f'metrics are a list, such as ["sharpness"], not {value_text(given)}')])
    measured, columns, problems = graph.copy(), dict[str, MetricColumn](), list[Problem]()
    for metric in cast("Iterable[Any]", given):
        try:
            name, column = _put(measured, shown, metric)
        except GraphError as error:
            problems += error.problems
            continue
        if name in columns:
            text = f"two metrics would give the column {name!r}; leave one out, or give its node another id"
            problems.append(Problem("duplicate_field", text))
        columns[name] = column
    if problems:
        raise GraphError(problems)
    return MeasuredGraph(measured, columns)


def refuse_taken(columns: Iterable[str], taken: Iterable[str]) -> None:
    """Raise `GraphError` for metrics whose column would replace another one of the frame, such as an axis."""
    known = set(taken)
    text = "a metric cannot give the column {!r}, which the frame has already; give its node another id"
    problems = [Problem("duplicate_field", text.format(name)) for name in columns if name in known]
    if problems:
        raise GraphError(problems)


def _put(graph: Graph, shown: str, metric: Metric) -> tuple[str, MetricColumn]:
    """Put a metric into the graph, unless it is a node of it; return the name of its column and where it comes from."""
    if isinstance(metric, str) and metric not in METRICS:
        if metric not in graph.nodes:
            possible = [*METRICS, *graph.nodes]
            text = f"there is no metric {metric!r}{suggest(metric, possible)}; nodes that give a number are metrics too"
            raise GraphError([Problem("bad_value", text)])
        return metric, MetricColumn(metric, _number_of(graph[metric], metric), False)
    if isinstance(metric, BaseInvocation) and metric in graph:
        node_id = graph.id_of(metric)
        return node_id, MetricColumn(node_id, _number_of(metric, node_id), False)
    cls, values = _class_and_values(metric)
    name = metric if isinstance(metric, str) else values.get("id") or _short_name(cls)
    output = _number_of(cls, name)
    image = _open_image_input(cls, values, name)
    values[image] = graph[shown].output(_image_output(graph[shown], shown))
    # A node of the graph may have that id.
    ids = (f"{name}_{number}" if number > 1 else name for number in count(1))
    free = next(node_id for node_id in ids if node_id not in graph.nodes)
    return name, MetricColumn(graph.add_node(cls(**{**values, "id": free})), output, True)


def _class_and_values(metric: Metric) -> tuple[type[BaseInvocation], dict[str, Any]]:
    """Return the class of a metric, and the values that a person gave it."""
    if isinstance(metric, str):
        return METRICS[metric], {}
    if isinstance(metric, BaseInvocation):
        return type(metric), {name: value for name, value in vars(metric).items() if value is not REQUIRED}
    given = cast(object, metric)  # a person may give anything
    if isinstance(given, type) and issubclass(given, BaseInvocation):
        return given, {}
    text = f"a metric is a name ({', '.join(METRICS)}), a node or a class of nodes, not {value_text(metric)}"
    raise GraphError([Problem("bad_value", text)])


def _short_name(cls: type[BaseInvocation]) -> str:
    return next((name for name, known in METRICS.items() if known is cls), cls.type)


def _number_of(node: BaseInvocation | type[BaseInvocation], name: str) -> str:
    """Return the output of a node that is its number: the main one, or the only one that is a number."""
    outputs = node.outputs()
    main = (node if isinstance(node, type) else type(node)).output_class.main_field
    numbers = [output for output, annotation in outputs.items() if plain(annotation) in NUMBERS]
    if main in numbers:
        return main
    if len(numbers) == 1:
        return numbers[0]
    gives = ", ".join(f"{output}: {type_name(annotation)}" for output, annotation in outputs.items()) or "nothing"
    raise GraphError([Problem("bad_value", f"a metric gives one number, and {name!r} gives {gives}")])


def _open_image_input(cls: type[BaseInvocation], values: dict[str, Any], name: str) -> str:
    """Return the image input of a metric that is still open; the swept node is linked to it."""
    missing = [spec for spec in cls.inputs().values() if spec.required and values.get(spec.name) is None]
    images = [spec.name for spec in missing if assignable(ImageField, spec.annotation)]
    if len(images) == 1 and len(missing) == 1:
        return images[0]
    if "reference" in images and "image" in images:
        text = f"{name!r} compares with a reference; give it: metrics=[{cls.__name__}(reference=...)]"
    elif not images:
        text = f"{name!r} has no open image input to measure by; its inputs: {', '.join(cls.inputs()) or 'none'}"
    else:
        others = ", ".join(spec.name for spec in missing)
        text = f"a metric has one open input, an image, and {name!r} has {others}; give the others: {cls.__name__}(...)"
    raise GraphError([Problem("bad_value", text)])


def _image_output(node: BaseInvocation, shown: str) -> str:
    outputs = node.outputs()
    images = [name for name, annotation in outputs.items() if plain(annotation) is ImageField]
    if not images:
        text = f"metrics measure an image, and {shown!r} gives {', '.join(outputs) or 'nothing'}; name it: node=..."
        raise GraphError([Problem("bad_value", text)])
    return images[0]
