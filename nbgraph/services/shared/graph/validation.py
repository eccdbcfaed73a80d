"""Validation: everything that is wrong with a graph, at once, each problem with node, field and remedy.

The same rules are applied to a single edge that is added, a file that is read, and the editor.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from nbgraph.errors import Problem, Problems, suggest
from nbgraph.invocations.base import BaseInvocation, is_link
from nbgraph.invocations.inputs import REQUIRED
from nbgraph.invocations.node_type import known_type_of
from nbgraph.invocations.types import JsonObject, NodeValue, assignable, type_name
from nbgraph.services.shared.graph.edges import Edge, GraphLike, Link, Nodes, refs_in
from nbgraph.services.shared.graph.topology import cycle_text, topological_order
from nbgraph.texts import as_utf8, is_utf8

OutputTypes = dict[str, dict[str, Any]]
"""The types of outputs that take the type of what arrives (iterate, collect, if), by node and output."""

LinkKind = tuple[type, str, str]
"""The class of the source of an edge, its output, the input."""

NodeShape = tuple[Any, ...]
"""The class of a node, and of each edge that arrives: the class of the source, its output, the input.

Of one edge these follow directly, of several as a tuple each."""

HALF_CHARACTER = "half of a surrogate pair, which is no character and cannot be stored"
PREPARED_ID = re.compile(r"(.+)\[\d+(?:,\d+)*\]", re.DOTALL)


def check_edge(graph: GraphLike, edge: Edge) -> list[Problem]:
    """Return what keeps one edge from being added, except for a cycle."""
    (source, output), (target, field) = edge
    problems = Problems()
    if not _ends_exist(graph, problems, target, Link(field, source, output)):
        return problems.found
    if source == target:
        problems.add("self_loop", f"the edge {edge} leads from a node to itself", target, field)
    spec = graph.nodes[target].inputs()[field]
    arriving = [link for link in graph.links(target) if link.field == field]
    if Link(field, source, output) in arriving:
        problems.add("duplicate_edge", f"the edge {edge} exists already", target, field)
    elif arriving and not spec.many:
        other = f"{arriving[0].source}.{arriving[0].output}"
        problems.add("two_edges", f"takes one edge, and {other} arrives already; delete that edge first", target, field)
    types = _types_up_to(graph, source)
    _check_type(graph, problems, target, Link(field, source, output), types)
    return problems.found


def graph_problems(
    graph: GraphLike, unknown_targets: Iterable[str] = (), order: Iterable[str] | None = None
) -> list[Problem]:
    """Return everything that keeps a graph from running.

    `unknown_targets` are ids at which edges of a file arrive, and that are no nodes. `order` is a topological order of
    all nodes, if one is known.
    """
    problems = Problems()
    for node_id in unknown_targets:
        text = f"an edge arrives at {node_id!r}, which is not a node{suggest(node_id, graph.nodes)}"
        problems.add("unknown_node", text)
    sound: set[NodeShape] = set()
    followed: dict[str, list[Link]] = {}  # nodes whose types are looked at edge by edge, with the edges that exist
    nodes = graph.nodes
    for node_id, node in nodes.items():
        links = graph.links(node_id)
        shape = _shape(node, links, nodes)
        if shape in sound and not (order is None and node_id in [link.source for link in links]):
            if not node_id.isidentifier():  # which no id is that `_check_id` refuses
                _check_id(graph, problems, node_id)
            continue
        before = len(problems.found)
        links = _valid_links(graph, problems, node_id)
        _check_inputs(graph, problems, node_id, links)
        _check_id(graph, problems, node_id)
        if len(problems.found) == before and _is_sound(graph, node, links):
            sound.add(shape)
        else:
            followed[node_id] = links
    if order is None:
        order = _checked_order(graph, problems, followed)
    # types are passed on along edges, so sources are checked first
    types: OutputTypes = {}
    for node_id in filter(followed.__contains__, order):
        fitting: set[LinkKind] = set()
        for link in followed[node_id]:
            kind = type(nodes[link.source]), link.output, link.field
            if kind in fitting and link.source not in types:
                continue
            if _check_type(graph, problems, node_id, link, types):
                fitting.add(kind)
        if graph.nodes[node_id].output_types_vary:
            _add_output_types(graph, problems, node_id, followed[node_id], types)
    return problems.found


def _shape(node: BaseInvocation, links: Sequence[Link], nodes: Nodes) -> NodeShape:
    if len(links) == 1:  # most nodes
        link = links[0]
        return type(node), type(nodes.get(link.source)), link.output, link.field
    if node.output_types_vary:  # never found sound, and a collect may have very many edges
        return ()
    return type(node), *[(type(nodes.get(link.source)), link.output, link.field) for link in links]


def _is_sound(graph: GraphLike, node: BaseInvocation, links: list[Link]) -> bool:
    """Return whether this node, at which nothing is wrong, shows that any other of its shape is good as well.

    False where that depends on its values, or on what arrives at the sources of its edges.
    """
    if node.output_types_vary or not {link.field for link in links}.issuperset(known_type_of(type(node)).required):
        return False
    for link in links:
        source = graph.nodes[link.source]
        given, wanted = source.outputs()[link.output], node.inputs()[link.field].annotation
        if source.output_types_vary or not assignable(given, wanted):
            return False
    return True


def _checked_order(graph: GraphLike, problems: Problems, existing: Mapping[str, list[Link]]) -> Iterable[str]:
    """Return the nodes in topological order; in a cycle, which is a problem, there is none, and any order will do."""
    links = {node_id: existing.get(node_id, graph.links(node_id)) for node_id in graph.nodes}
    parents = {node_id: [link.source for link in found if link.source != node_id] for node_id, found in links.items()}
    order, cycle = topological_order(parents)
    if cycle:
        problems.add("cycle", cycle_text(cycle), cycle[0])
    return graph.nodes if cycle else order


def _check_id(graph: GraphLike, problems: Problems, node_id: str) -> None:
    """Refuse an empty id, one that no file can hold, and one of a prepared node, with which errors would mix it up."""
    if not node_id:
        text = f"an id has at least one character; give the {graph.nodes[node_id].type!r} with an empty one another"
        problems.add("bad_id", text)
    if not is_utf8(node_id):
        problems.add("bad_id", f"the id {node_id!r} has {HALF_CHARACTER}; rename the node", as_utf8(node_id))
    found = PREPARED_ID.fullmatch(node_id) if node_id.endswith("]") else None
    if found is not None and found[1] in graph.nodes:
        text = f"has the id of an execution of the node {found[1]!r} in an iteration; rename one of them"
        problems.add("bad_id", text, node_id)


def _valid_links(graph: GraphLike, problems: Problems, node_id: str) -> list[Link]:
    """Return the edges that arrive at a node and whose ends exist; the others are problems."""
    # a quick test, and messages only for a node at which it fails: most edges of most graphs are good
    links, nodes = graph.links(node_id), graph.nodes
    specs = nodes[node_id].inputs() if links else {}
    good: set[LinkKind] = set()
    for link in links:
        source = nodes.get(link.source)
        kind = type(source), link.output, link.field
        if kind in good:
            continue
        if link.field not in specs or source is None or link.output not in source.outputs():
            return [link for link in links if _ends_exist(graph, problems, node_id, link)]
        good.add(kind)
    return links


def _ends_exist(graph: GraphLike, problems: Problems, target: str, link: Link) -> bool:
    before = len(problems.found)
    if target not in graph.nodes:
        text = f"an edge arrives at {target!r}, which is not a node{suggest(target, graph.nodes)}"
        problems.add("unknown_node", text)
    elif link.field not in graph.nodes[target].inputs():
        inputs = graph.nodes[target].inputs()
        text = f"{graph.nodes[target].type!r} has no input {link.field!r}{suggest(link.field, inputs)}"
        problems.add("unknown_field", text, target, link.field)
    if link.source not in graph.nodes:
        text = f"an edge comes from {link.source!r}, which is not a node{suggest(link.source, graph.nodes)}"
        problems.add("unknown_node", text, target, link.field)
    elif link.output not in graph.nodes[link.source].outputs():
        outputs = graph.nodes[link.source].outputs()
        text = f"{link.source!r} has no output {link.output!r}{suggest(link.output, outputs)}"
        problems.add("unknown_output", text, target, link.field)
    return len(problems.found) == before


def _check_inputs(graph: GraphLike, problems: Problems, node_id: str, links: list[Link]) -> None:
    """Find self loops, several edges into one input, and required inputs with neither a value nor an edge."""
    node = graph.nodes[node_id]
    node_type = known_type_of(type(node))
    seen: set[str] = set()
    for link in links:
        if link.source == node_id:
            problems.add("self_loop", "an edge leads from the node to itself; delete it", node_id, link.field)
        if link.field in seen and not node_type.inputs[link.field].many:
            problems.add("two_edges", "two edges arrive at this input; delete one of them", node_id, link.field)
        seen.add(link.field)
    for name in node_type.required:
        # a link among the values that is no edge of the graph was assigned later, and is no value either
        if name not in seen and ((value := vars(node)[name]) is REQUIRED or is_link(value)):
            wanted = type_name(node_type.inputs[name].annotation)
            text = f"{node.type!r} needs {name}: {wanted}; give it a value or an edge"
            problems.add("missing_input", text, node_id, name)
    for problem in node.arrival_problems(seen):
        problems.add("missing_input", problem, node_id)


def _check_type(graph: GraphLike, problems: Problems, target: str, link: Link, types: OutputTypes) -> bool:
    """Check the type that arrives over an edge; return whether it fits."""
    field, source, output = link.field, link.source, link.output
    varying = types.get(source) if types else None
    given = varying.get(output) if varying else None
    if given is None:
        given = graph.nodes[source].outputs()[output]
    wanted = graph.nodes[target].inputs()[field].annotation
    if given is wanted or assignable(given, wanted):
        return True
    outputs = {**graph.nodes[source].outputs(), **types.get(source, {})}
    fitting = [f"{source}.{name}" for name, annotation in outputs.items() if assignable(annotation, wanted)]
    remedy = f"; {' or '.join(fitting)} would fit" if fitting else ""
    text = f"takes {type_name(wanted)}, and {source}.{output} is {type_name(given)}{remedy}"
    problems.add("wrong_type", text, target, field)
    return False


def _add_output_types(
    graph: GraphLike, problems: Problems, node_id: str, links: Sequence[Link], types: OutputTypes
) -> None:
    """Add the types of the outputs of a node where they depend on what arrives."""
    node, nodes = graph.nodes[node_id], graph.nodes
    arriving: dict[str, list[Any]] = {}
    seen: set[LinkKind] = set()
    for link in links:
        source = nodes[link.source]
        kind = type(source), link.output, link.field
        known = types.get(link.source)
        if kind in seen and known is None:  # a type once, where a thousand edges bring the same
            continue
        seen.add(kind)
        annotation = (known or {}).get(link.output) or source.outputs()[link.output]
        arriving.setdefault(link.field, []).append(annotation)
    found, problem = node.output_types(arriving)
    types[node_id] = found
    if problem:
        problems.add("wrong_type", problem, node_id)


def _types_up_to(graph: GraphLike, node_id: str) -> OutputTypes:
    """Return the types of the varying outputs of a node and its ancestors."""
    if not graph.nodes[node_id].output_types_vary:
        return {}
    parents: dict[str, list[str]] = {}
    waiting = [node_id]
    while waiting:
        current = waiting.pop()
        if current in parents:
            continue
        varies = graph.nodes[current].output_types_vary
        parents[current] = [link.source for link in graph.links(current)] if varies else []
        waiting.extend(parents[current])
    return output_types(graph, topological_order(parents)[0])


def output_types(graph: GraphLike, order: Iterable[str]) -> OutputTypes:
    """Return the types of the outputs that take the type of what arrives; `order` is a topological order."""
    types: OutputTypes = {}
    for node_id in order:
        if graph.nodes[node_id].output_types_vary:
            _add_output_types(graph, Problems(), node_id, graph.links(node_id), types)
    return types


def stale_edges(nodes: Mapping[str, BaseInvocation], snapshot: Mapping[str, dict[str, NodeValue]]) -> Iterator[Problem]:
    """Yield a problem for each input at which an edge was assigned, or assigned over, after the graph was made.

    The graph does not have such an edge. `snapshot` has the values of each node when it came into the graph; assigning
    to a node gives it a new dictionary, so most nodes are passed by an identity test.
    """
    for node_id, node in nodes.items():
        before = snapshot.get(node_id)
        if before is None or vars(node) is before:
            continue
        for name, value in vars(node).items():
            if _edge_sources(value) != _edge_sources(before.get(name)):
                yield Problem("stale_edge", _stale_text(node_id, name, value), node_id, name)


def _edge_sources(value: NodeValue) -> list[tuple[BaseInvocation, str]]:
    return [(ref.node, ref.field) for ref in refs_in(value)]


def _stale_text(node_id: str, name: str, value: NodeValue) -> str:
    if is_link(value):
        what = "an edge was assigned after the graph was made, which does not have it"
    else:
        what = "a value was assigned in place of an edge after the graph was made, which still has the edge"
    return f"{what}; use graph.update_node({node_id!r}, {name}=...), or make the graph again with Graph.of"


def placeholder_problems(nodes: Mapping[str, BaseInvocation], layout: JsonObject) -> list[Problem]:
    """Return the inputs that take what a placeholder would give, a node of a type that is not installed."""
    unknown: dict[str, dict[str, Any]] = layout.get("unknown") or {}  # checked where it was read
    problems: list[Problem] = []
    if not unknown:
        return problems
    if not nodes:
        return [Problem("unknown_type", "holds nothing but nodes of types that are not installed, and cannot run")]
    for node_id, kept in unknown.items():
        kind = kept["data"].get("type")
        for one in kept.get("edges", ()):
            source, target = one["source"], one["destination"]
            if source["node_id"] == node_id and target["node_id"] in nodes:
                text = f"takes {node_id}.{source['field']}, and the type {kind!r} of that node is not installed; link"
                text += " another one to it, or delete the placeholder"
                problems.append(Problem("unknown_type", text, target["node_id"], target["field"]))
    return problems
