"""Parts of a graph: made into a library graph and back, as changes that can be undone; and the part that runs."""

import re
from typing import Any

from nbgraph.errors import GraphError, Problem, Problems
from nbgraph.invocations.base import BaseInvocation
from nbgraph.invocations.types import assignable
from nbgraph.services.shared.graph.edges import Connection, Edge, Link
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.library import Exposed, ExposedKind, LibraryGraph, alias_problem
from nbgraph.widgets.changes import Change
from nbgraph.widgets.graph_state import state_of


def collapse_changes(graph: Graph, ids: list[str], name: str) -> list[Change]:
    """Return the changes that replace nodes by a library graph of them.

    Its inputs are the inputs that come from outside or are left open, its outputs those that are used outside.

    Parameters
    ----------
    graph
        The graph that the nodes are in.
    ids
        The nodes, at least two.
    name
        The name of the library graph.

    Raises
    ------
    GraphError
        There are fewer than two nodes.
    """
    inside = [node_id for node_id in graph.nodes if node_id in set(ids)]
    if len(inside) < 2:
        raise GraphError([Problem("nothing_chosen", "choose at least two nodes to make a library graph of them")])
    # Through changes alone, so that undo takes the whole step back.
    inner = _part(graph, inside)
    open_inputs = _open_inputs(graph, inside)
    inputs = [Exposed(alias, node, field) for alias, (node, field) in _aliases(open_inputs, "inputs").items()]
    ends = _used_outputs(graph, inside)
    outputs = [Exposed(alias, node, field) for alias, (node, field) in _aliases(ends, "outputs").items()]
    library = LibraryGraph(name.strip() or "Group", inner, inputs, outputs)
    node_id = _free_id(graph, library.name)
    changes = [Change("node", gone, "") for gone in inside]
    changes.append(Change("node", node_id, "", {"type": "graph", "library": library.to_dict()}))
    for one in inputs:
        links = [[link.source, link.output] for link in graph.links(one.node) if link.field == one.field]
        if links:
            changes.append(Change("input", node_id, one.alias, {"links": links}))
    renamed = {(one.node, one.field): [node_id, one.alias] for one in outputs}
    changes += _rewired(graph, set(inside), renamed)
    places = [graph.layout.get("nodes", {}).get(node, {}) for node in inside]
    return changes + _at(node_id, places)


def expand_changes(graph: Graph, node_id: str) -> list[Change]:
    """Return the changes that replace a library graph by its nodes, with ids of the form `outer_inner`."""
    node, library = graph[node_id], _library_of(graph, node_id)
    names = {inner: _free_id(graph, f"{node_id}_{inner}") for inner in library.graph.nodes}
    place = graph.layout.get("nodes", {}).get(node_id, {})
    changes = [Change("node", node_id, "")]
    for (kind, inner, key), value in state_of(library.graph).items():
        if inner not in names:
            continue
        if kind == "input" and "links" in value:
            value = {"links": [[names[source], output] for source, output in value["links"]]}
        # Positions inside are relative to the corner of the library graph.
        if kind == "layout" and key in ("x", "y"):
            value = value + place.get(key, 0)
        changes.append(Change(kind, names[inner], key, value))
    typed = {name: value for name, value in node.literals().items() if name in node.model_fields_set}
    dumped = node.model_dump(mode="json", include=set(typed), warnings=False)
    for one in library.inputs:
        links = [[link.source, link.output] for link in graph.links(node_id) if link.field == one.alias]
        if links:
            changes.append(Change("input", names[one.node], one.field, {"links": links}))
        elif one.alias in dumped:
            changes.append(Change("input", names[one.node], one.field, {"value": dumped[one.alias]}))
    renamed = {(node_id, one.alias): [names[one.node], one.field] for one in library.outputs}
    return changes + _rewired(graph, {node_id}, renamed)


def _library_of(graph: Graph, node_id: str) -> LibraryGraph:
    library: LibraryGraph | None = getattr(graph[node_id], "library", None)
    if library is None:
        raise GraphError([Problem("no_library", "is not a library graph; it has no nodes to open or expand", node_id)])
    return library


def _part(graph: Graph, inside: list[str]) -> Graph:
    nodes = {node_id: graph.nodes[node_id] for node_id in inside}
    part = Graph()
    links = {node_id: [link for link in graph.links(node_id) if link.source in nodes] for node_id in inside}
    part.load({node_id: _unlinked(node) for node_id, node in nodes.items()}, links)
    layout = graph.layout.get("nodes", {})
    # From its own corner, so that the canvas of the library graph begins at its nodes.
    left = min(layout.get(node_id, {}).get("x", 0) for node_id in inside)
    top = min(layout.get(node_id, {}).get("y", 0) for node_id in inside)
    part.layout = {
        "nodes": {
            node_id: {**own, "x": own.get("x", 0) - left, "y": own.get("y", 0) - top}
            for node_id in inside
            if (own := layout.get(node_id, {}))
        }
    }
    return part


def _unlinked(node: BaseInvocation) -> BaseInvocation:
    """Return a node for the library graph that shares no object with the graph around it."""
    rest = node.dump_extra()
    cls: Any = type(node).class_from_json(rest)
    typed = {name: value for name, value in node.literals().items() if name in node.model_fields_set}
    return cls(**{**rest, **typed, "id": node.id})


def _open_inputs(graph: Graph, inside: list[str]) -> list[tuple[str, str]]:
    """Return the inputs of the chosen nodes that come from outside, or that were given no value."""
    members, found = set(inside), list[tuple[str, str]]()
    for node_id in inside:
        links = graph.links(node_id)
        literals = graph.nodes[node_id].literals()
        for field, spec in graph.nodes[node_id].inputs().items():
            sources = [link.source for link in links if link.field == field]
            open_input = not sources and (spec.required or field in literals)
            if any(source not in members for source in sources) or open_input:
                found.append((node_id, field))
    return found


def _used_outputs(graph: Graph, inside: list[str]) -> list[tuple[str, str]]:
    """Return the outputs of the chosen nodes that are used outside, and those of nodes that nothing inside uses."""
    members = set(inside)
    used = [
        (link.source, link.output)
        for node_id in graph.nodes
        if node_id not in members
        for link in graph.links(node_id)
        if link.source in members
    ]
    needed = {link.source for node_id in inside for link in graph.links(node_id)}
    ends = [(node_id, name) for node_id in inside if node_id not in needed for name in graph.nodes[node_id].outputs()]
    return list(dict.fromkeys(used + ends))


def _aliases(ends: list[tuple[str, str]], kind: ExposedKind) -> dict[str, tuple[str, str]]:
    """Return a name for each inner field: its own where no other has it, else with the id of its node."""
    names: dict[str, tuple[str, str]] = {}
    for node_id, field in ends:
        alone = sum(other == field for _, other in ends) == 1
        alias = field if alone else re.sub(r"\W", "_", f"{node_id}_{field}")
        # A library graph is a node class: its inputs must be Python names that no field of a node has.
        while alias in names or alias_problem(alias, kind):
            alias = f"node_{alias}"
        names[alias] = (node_id, field)
    return names


def _rewired(graph: Graph, gone: set[str], renamed: dict[tuple[str, str], list[str]]) -> list[Change]:
    changes: list[Change] = []
    for node_id in graph.nodes:
        if node_id in gone:
            continue
        links = graph.links(node_id)
        for field in dict.fromkeys(link.field for link in links if link.source in gone):
            now = [
                renamed.get((link.source, link.output), [link.source, link.output])
                for link in links
                if link.field == field
            ]
            changes.append(Change("input", node_id, field, {"links": now}))
    return changes


def _at(node_id: str, places: list[dict[str, Any]]) -> list[Change]:
    known = [place for place in places if "x" in place and "y" in place]
    if not known:
        return []
    return [Change("layout", node_id, axis, sum(place[axis] for place in known) / len(known)) for axis in ("x", "y")]


def _free_id(graph: Graph, name: str) -> str:
    stem = re.sub(r"\W+", "_", name).strip("_").lower() or "group"
    node_id, number = stem, 1
    while node_id in graph.nodes:
        number += 1
        node_id = f"{stem}_{number}"
    return node_id


def replaced_library(graph: Graph, node_id: str, inner: Graph) -> list[Change]:
    """Return the change that gives a library graph node its edited graph, without names that are gone inside."""
    library = _library_of(graph, node_id)
    inputs = [one for one in library.inputs if one.node in inner.nodes and one.field in inner.nodes[one.node].inputs()]
    outputs = [
        one for one in library.outputs if one.node in inner.nodes and one.field in inner.nodes[one.node].outputs()
    ]
    made = LibraryGraph(library.name, inner, inputs, outputs, library.description, library.id)
    return [Change("node", node_id, "", {"type": "graph", "library": made.to_dict()})]


def running_graph(graph: Graph) -> Graph:
    """Return the graph that runs: without muted nodes and those that depend on them, and with bypassed nodes bridged.

    A bypassed node passes on the input of the same type as its output.

    Raises
    ------
    GraphError
        Nothing is left to run, or a required input of a node after a bypassed one would be open.
    """
    modes = {node_id: own.get("mode") for node_id, own in graph.layout.get("nodes", {}).items() if own.get("mode")}
    muted = [node_id for node_id, mode in modes.items() if mode == "mute" and node_id in graph.nodes]
    bypassed = [node_id for node_id, mode in modes.items() if mode == "bypass" and node_id in graph.nodes]
    if not muted and not bypassed:
        return graph
    copy = graph.copy()
    problems = Problems()
    for node_id in bypassed:
        _bypass(copy, node_id, problems)
    # Bypassing comes first: it may cut the dependence on a muted node.
    for node_id in [*muted, *_dependants(copy, muted)]:
        if node_id in copy.nodes:
            copy.delete_node(node_id)
    problems.raise_any()
    if not copy.nodes:
        problems.add("all_muted", "every node is muted or depends on a muted node, so there is nothing to run")
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
    """Connect each target of a node to an input of the node of the same type, then delete the node."""
    arriving = list(graph.links(node_id))
    outputs = graph.nodes[node_id].outputs()
    for other in list(graph.nodes):
        for link in [link for link in graph.links(other) if link.source == node_id]:
            wanted = graph.nodes[other].inputs()[link.field].annotation
            end = Connection(other, link.field)
            # The old edge goes first, because most inputs take only one.
            graph.delete_edge(Edge(Connection(link.source, link.output), end))
            source = _same_kind(graph, arriving, outputs[link.output], wanted)
            if source is not None:
                graph.add_edge(Edge(Connection(source.source, source.output), end))
            elif graph.nodes[other].inputs()[link.field].required:
                text = f"{node_id!r} is bypassed, and none of its inputs has this type; link another node, or mute it"
                problems.add("missing_input", text, other, link.field)
    graph.delete_node(node_id)


def _same_kind(graph: Graph, arriving: list[Link], given: object, wanted: object) -> Link | None:
    for link in arriving:
        annotation = graph.nodes[link.source].outputs()[link.output]
        if assignable(annotation, given) and assignable(annotation, wanted):
            return link
    return None
