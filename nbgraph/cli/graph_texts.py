"""Graphs and sessions as text: labels, typed values, prepared nodes with states and results, drawings."""

from typing import Any, NamedTuple

from nbgraph.cli.results import SHOWN, printed, state_of
from nbgraph.invocations.fields import ResourceField
from nbgraph.services.shared.drawing.layout import ordered_parents
from nbgraph.services.shared.drawing.text import draw_rails
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.plan import prepared_id
from nbgraph.texts import one_line

SHORT = 40


class PreparedText(NamedTuple):
    """A prepared node as text: its iteration path, its state, and its result or the reason it has none."""

    path: str
    state: str
    result: str

    def __str__(self) -> str:
        return " ".join(part for part in (self.path, self.result or self.state) if part)


def node_label(graph: Graph, node_id: str) -> str:
    """Return the id and type of a node: `2 mul`."""
    return f"{one_line(node_id)} {graph.nodes[node_id].type}"


def prepared_texts(session: GraphExecutionState, node_id: str) -> list[PreparedText]:
    """Return the first prepared nodes of a source node; a waiting one if none has run."""
    found = session.outputs_of(node_id)
    if not found:
        reason = session.errors.get(node_id) or session.skipped.get(node_id) or ""
        state = state_of(session, node_id)
        return [PreparedText("", state, one_line(f"{state}: {reason}") if reason else "")]
    texts = [
        PreparedText(
            prepared_id("", path),
            "completed",
            ", ".join(f"{name}={_brief(value, 20)}" for name, value in output.__dict__.items()),
        )
        for path, output in list(found.items())[:SHOWN]
    ]
    # An iteration may have made a hundred thousand; a drawing is read by people.
    if len(found) > SHOWN:
        texts.append(PreparedText("", "completed", f"... and {len(found) - SHOWN} more"))
    return texts


def graph_drawing(graph: Graph) -> str:
    """Return the source graph drawn with characters."""
    labels = {node_id: _label(graph, node_id) for node_id in graph.nodes}
    return draw_rails(ordered_parents(graph), labels) or "no nodes yet"


def execution_drawing(session: GraphExecutionState) -> str:
    """Return the source graph drawn with characters, each node with its states and results."""
    labels = {
        node_id: f"{node_label(session.graph, node_id)}  {'; '.join(map(str, prepared_texts(session, node_id)))}"
        for node_id in session.graph.nodes
    }
    return draw_rails(ordered_parents(session.graph), labels) or "no nodes yet"


def typed_texts(graph: Graph, node_id: str) -> list[str]:
    """Return the typed values of the inputs without an edge: `steps=20`."""
    node, linked = graph.nodes[node_id], {link.field for link in graph.links(node_id)}
    return [
        f"{name}={_brief(value, SHORT)}"
        for name, value in node.literals().items()
        if name in node.model_fields_set and name not in linked
    ]


def _label(graph: Graph, node_id: str) -> str:
    incoming = [f"{link.field}<-{link.source}.{link.output}" for link in graph.links(node_id)]
    return "  ".join([node_label(graph, node_id), *typed_texts(graph, node_id), *incoming])


def _brief(value: Any, limit: int) -> str:
    """Return a value as the results print it, but a resource by the start of its name, which fits into a drawing."""
    return value.resource_name[:8] if isinstance(value, ResourceField) else printed(value, limit)
