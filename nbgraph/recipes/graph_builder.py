"""Builds the values of a graph file node by node, with edges between outputs and inputs."""

import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from nbgraph.errors import GraphError
from nbgraph.recipes.opened import Report
from nbgraph.services.shared.graph.graph import Graph


class Out(NamedTuple):
    """An output of a node that was added."""

    node: str
    field: str


@dataclass
class GraphBuilder:
    """Collects nodes, edges and placeholders; `graph()` reads them as a file is read, so that all of it is checked."""

    report: Report
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    edges: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    unknown: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])

    def add(self, type_name: str, wanted_id: str = "", **inputs: Any) -> str:
        """Add a node; an `Out` among its inputs is an edge, a list of them several, None leaves the input out."""
        node_id = self._free(wanted_id or type_name)
        values: dict[str, Any] = {"id": node_id, "type": type_name}
        self.nodes[node_id] = values
        for name, value in inputs.items():
            listed = cast(list[Any], value) if type(value) is list else [value]
            outs = [each for each in listed if isinstance(each, Out)]
            if outs:
                self.edges += [edge(each, node_id, name) for each in outs]
            elif value is not None:
                values[name] = value
        return node_id

    def add_unknown(self, wanted_id: str, type_name: str, data: dict[str, Any], why: str) -> str:
        """Keep a node that nothing here corresponds to, as it is."""
        node_id = self._free(wanted_id)
        self.unknown[node_id] = {"data": {"id": node_id, "type": type_name, **data}, "edges": []}
        self.report.missing(f"node {wanted_id} ({type_name[:80]})", why)
        return node_id

    def graph(self) -> Graph:
        """Return the graph; `GraphError` names what is wrong with it."""
        graph = Graph.from_dict({"nodes": self.nodes, "edges": [each for each in self.edges if self._is_whole(each)]})
        for each in self.edges:
            for end in (each["source"]["node_id"], each["destination"]["node_id"]):
                if end in self.unknown:
                    self.unknown[end]["edges"].append(each)
                    break
        if self.unknown:
            graph.layout["unknown"] = self.unknown
        return graph

    def _is_whole(self, each: dict[str, Any]) -> bool:
        return each["source"]["node_id"] in self.nodes and each["destination"]["node_id"] in self.nodes

    def _free(self, wanted: str) -> str:
        base = re.sub(r"[^\w-]", "_", wanted)[:60] or "node"
        name, number = base, 2
        while name in self.nodes or name in self.unknown:
            name, number = f"{base}_{number}", number + 1
        return name


def edge(source: Out, target: str, name: str) -> dict[str, Any]:
    """Return an edge as a graph file has it."""
    return {
        "source": {"node_id": source.node, "field": source.field},
        "destination": {"node_id": target, "field": name},
    }


def problems_of(error: GraphError) -> str:
    """Return the problems of a graph as one line."""
    return "; ".join(str(problem) for problem in error.problems[:5])
