"""What of a graph runs when some nodes are muted or bypassed: a copy without them, the original stays as it is."""

from nbgraph.errors import Problems
from nbgraph.invocations.types import assignable
from nbgraph.services.shared.graph.edges import Connection, Edge, Link
from nbgraph.services.shared.graph.graph import Graph


def running_graph(graph: Graph) -> Graph:
    """The graph to run. A muted node takes what needs it with it; a bypassed one hands on what arrives of its type."""
    modes = {node_id: own.get("mode") for node_id, own in graph.layout.get("nodes", {}).items() if own.get("mode")}
    muted = [node_id for node_id, mode in modes.items() if mode == "mute" and node_id in graph.nodes]
    bypassed = [node_id for node_id, mode in modes.items() if mode == "bypass" and node_id in graph.nodes]
    if not muted and not bypassed:
        return graph
    copy = graph.copy()
    problems = Problems()
    for node_id in bypassed:
        _bypass(copy, node_id, problems)
    for node_id in [*muted, *_dependants(copy, muted)]:
        if node_id in copy.nodes:
            copy.delete_node(node_id)
    problems.raise_any()
    if not copy.nodes:
        problems.add("all_muted", "every node is muted or needs a muted node; there is nothing to run")
        problems.raise_any()
    return copy


def _dependants(graph: Graph, node_ids: list[str]) -> list[str]:
    found: dict[str, None] = {}
    waiting = list(node_ids)
    while waiting:
        source = waiting.pop()
        for node_id in graph.nodes:
            if node_id not in found and any(link.source == source for link in graph.links(node_id)):
                found[node_id] = None
                waiting.append(node_id)
    return list(found)


def _bypass(graph: Graph, node_id: str, problems: Problems) -> None:
    """Lead each edge that leaves a node back to what arrives at it, then take the node out."""
    arriving = list(graph.links(node_id))
    outputs = graph.nodes[node_id].outputs()
    for other in list(graph.nodes):
        for link in [link for link in graph.links(other) if link.source == node_id]:
            wanted = graph.nodes[other].inputs()[link.field].annotation
            end = Connection(other, link.field)
            graph.delete_edge(Edge(Connection(link.source, link.output), end))
            source = _same_kind(graph, arriving, outputs[link.output], wanted)
            if source is not None:
                graph.add_edge(Edge(Connection(source.source, source.output), end))
            elif graph.nodes[other].inputs()[link.field].required:
                text = f"{node_id!r} is bypassed, and nothing that arrives there fits; link something else, or mute it"
                problems.add("missing_input", text, other, link.field)
    graph.delete_node(node_id)


def _same_kind(graph: Graph, arriving: list[Link], given: object, wanted: object) -> Link | None:
    for link in arriving:
        annotation = graph.nodes[link.source].outputs()[link.output]
        if assignable(annotation, given) and assignable(annotation, wanted):
            return link
    return None
