"""A studio for agents: a server of the Model Context Protocol, over stdio or on this machine alone.

The tools work on one studio. Where that is in a folder, a notebook on the same folder shows the agent's runs in its
queue and the images in its gallery while they are made.
"""

from collections.abc import Callable
from functools import wraps
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from os import PathLike
from typing import Any

from nbgraph.errors import GraphError, NbgraphError, Problem
from nbgraph.grammar.catalogue import Catalogue, limits
from nbgraph.image_modes import in_plain_mode
from nbgraph.invocations.fields import ImageField, resources_in
from nbgraph.invocations.inputs import InputSpec
from nbgraph.invocations.types import type_name
from nbgraph.recipes.versions import version
from nbgraph.run import Run
from nbgraph.services.images.images_common import ImageQuery
from nbgraph.services.invocation_cache.explanation import explain
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.studio import Studio

MISSING = "agents need the package mcp, which is not installed: pip install 'nbgraph[mcp]'"
LOOPBACK = "127.0.0.1"
MAX_SIDE = 1024
MAX_LISTED = 200
INSTRUCTIONS = """Tools to draw images with nbgraph: graphs of typed nodes over diffusion models.

A graph is JSON: {"nodes": {id: {"id": id, "type": type, input: value}}, "edges": [{"source": {"node_id", "field"},
"destination": {"node_id", "field"}}]}. `list_graphs` gives whole graphs to begin with, `list_nodes` and `describe_node`
the parts. `validate` names all problems at once; `run` runs a graph and names its images; `look` shows one."""


def serve(folder: str | PathLike[str] | None, port: int | None = None) -> None:
    """Serve a studio until the client leaves: over stdio, or with a port on this machine's own address alone."""
    # before the studio: a package that is missing is said at once
    need_mcp()
    with Studio(folder) as studio:
        server = make_server(studio)
        if port is None:
            server.run("stdio")
        else:
            server.run("streamable-http", host=LOOPBACK, port=port)


def need_mcp() -> None:
    """Raise `NbgraphError` with the line that installs the package mcp, if it is not installed."""
    if find_spec("mcp") is None:
        raise NbgraphError(MISSING)


def make_server(studio: Studio) -> Any:
    """Return the server over a studio; `run` serves it."""
    need_mcp()
    tools = StudioTools(studio)
    server = import_module("mcp.server.mcpserver").MCPServer(
        "nbgraph", instructions=INSTRUCTIONS, version=version(), log_level="WARNING"
    )
    for tool in (
        tools.list_nodes, tools.describe_node, tools.list_models, tools.list_graphs, tools.validate, tools.explain,
        tools.run, tools.list_runs, tools.cancel, tools.list_images, tools.read_stats,
    ):  # fmt: skip
        server.add_tool(_in_thread(tool))
    server.add_tool(_in_thread(tools.look), structured_output=False)
    return server


def _in_thread(function: Callable[..., Any]) -> Any:
    """The tool, run on a thread so that others are answered meanwhile; our own errors become messages for the agent."""
    to_thread = import_module("anyio.to_thread")
    tool_error: type[Exception] = import_module("mcp.server.mcpserver.exceptions").ToolError

    @wraps(function)
    async def tool(*args: Any, **kwargs: Any) -> Any:
        try:
            return await to_thread.run_sync(lambda: function(*args, **kwargs))
        except (NbgraphError, ValueError) as error:
            raise tool_error(str(error)) from None

    return tool


class StudioTools:
    """The tools, as methods over a studio; what they return is JSON, and their docstrings are what an agent reads."""

    def __init__(self, studio: Studio) -> None:
        self.studio, self.services = studio, studio.services
        self._catalogue = Catalogue()

    def list_nodes(self, search: str = "") -> list[dict[str, str]]:
        """List node types: type, category, what they do. `search` looks through all three."""
        rows: list[dict[str, str]] = []
        for name in self._catalogue.types():
            if (cls := self._catalogue.find(name)) is not None:
                about = " ".join((cls.__doc__ or "").split("\n\n")[0].split())
                rows.append({"type": name, "category": cls.category, "about": about})
        return [row for row in rows if search.casefold() in " ".join(row.values()).casefold()]

    def describe_node(self, type: str) -> dict[str, Any]:
        """Describe a node type: its inputs with types, defaults, limits and meaning, and its outputs with types."""
        cls = self._catalogue.find(type)
        if cls is None:
            raise NbgraphError(f"there is no node type {type[:80]!r}; list_nodes lists them")
        return {
            "type": type,
            "about": " ".join((cls.__doc__ or "").split()),
            "inputs": [_input(spec) for spec in cls.inputs().values()],
            "outputs": {name: type_name(kind) for name, kind in cls.outputs().items()},
        }

    def list_models(self) -> list[str]:
        """List the names of models that a model_loader takes."""
        return self.services.model_manager.names()

    def list_graphs(self) -> list[dict[str, Any]]:
        """List the graphs of the studio's library, whole, with the inputs that each exposes, to begin with."""
        found = self.services.graph_library.list(per_page=MAX_LISTED).items
        return [
            {
                "name": each.name,
                "about": each.description,
                "inputs": {one.alias: f"{one.node}.{one.field}" for one in each.inputs},
                "graph": each.graph.to_dict(),
            }
            for each in found
        ]

    def validate(self, graph: dict[str, Any], values: dict[str, Any] | None = None) -> dict[str, Any]:
        """Check a graph without running it; all problems at once, each with node, field and remedy.

        `values` are other inputs for this time, by address: {"noise.seed": 8}.
        """
        try:
            self.studio.invoker.check(self._session(graph, values))
        except GraphError as error:
            return {"valid": False, "problems": [_problem(each) for each in error.problems]}
        return {"valid": True, "problems": []}

    def explain(self, graph: dict[str, Any], values: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Say which nodes would run and why, and which results are kept already; nothing is run."""
        session = self._session(graph, values)
        session.graph.validate()
        reasons = explain(session, self.services)
        return [{"node": each.node, "runs": each.will_run, "because": each.because} for each in reasons]

    def run(self, graph: dict[str, Any], values: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run a graph and wait: status, what the nodes gave, the names of images, and errors if nodes failed.

        `values` are other inputs for this time, by address: {"noise.seed": 8}.
        """
        try:
            run = self.studio.run(Graph.from_dict(graph), values, progress=False, on_error="continue")
        except GraphError as error:
            return {"status": "refused", "problems": [_problem(each) for each in error.problems]}
        return _result(run)

    def list_runs(self) -> list[dict[str, Any]]:
        """List the runs that wait, run or have ended, the newest first."""
        rows = sorted(self.services.queue.rows(), key=lambda row: -row.number)[:MAX_LISTED]
        return [{"run": row.session_id, "status": row.status, "error": row.error} for row in rows]

    def cancel(self, run: str) -> bool:
        """Cancel a run that waits or runs, by its id; false if it has ended."""
        return self.studio.queue.cancel(run)

    def list_images(self, search: str = "", page: int = 0) -> list[dict[str, Any]]:
        """List images, the newest first: name, size, the node and run that made it. `search` looks through names."""
        found = self.services.images.list(ImageQuery(text=search), page, 50)
        return [
            {"name": each.image_name, "width": each.width, "height": each.height, "node": each.node_id,
             "run": each.session_id, "created": each.created.isoformat()}
            for each in found.items
        ]  # fmt: skip

    def look(self, image: str, largest_side: int = 512) -> Any:
        """Show an image by its name, made smaller to `largest_side` pixels at most."""
        picture = in_plain_mode(self.services.images.get(image)).copy()
        side = max(16, min(largest_side, MAX_SIDE))
        picture.thumbnail((side, side))
        target = BytesIO()
        picture.save(target, "PNG")
        return import_module("mcp.server.mcpserver").Image(data=target.getvalue(), format="png")

    def read_stats(self, run: str) -> list[dict[str, Any]]:
        """Read what the nodes of a run took: seconds, peak of memory in MB, whether the result was kept already."""
        return [
            {"node": row.node, "type": row.type, "status": row.status, "cached": row.cached,
             "seconds": round(row.seconds, 4), "ram_peak_mb": row.ram_peak // 2**20, "seed": row.seed}
            for row in self.services.performance_statistics.rows(run)
        ]  # fmt: skip

    def _session(self, graph: dict[str, Any], values: dict[str, Any] | None) -> GraphExecutionState:
        found = Graph.from_dict(graph)
        found = found.with_values(values) if values else found
        return GraphExecutionState(found, max_iterations=self.studio.settings.max_iterations)


def _input(spec: InputSpec) -> dict[str, Any]:
    """An input as JSON; a default that is no plain value is written as its text."""
    default = spec.default if isinstance(spec.default, str | int | float | bool | None) else str(spec.default)
    return {
        "name": spec.name,
        "type": type_name(spec.annotation),
        "required": spec.required,
        **({} if spec.required else {"default": default}),
        **({"limits": found} if (found := limits(spec)) else {}),
        "about": spec.about,
    }


def _problem(problem: Problem) -> dict[str, str]:
    return {
        "kind": problem.kind,
        "node": problem.node or "",
        "field": problem.field or "",
        "message": problem.message,
    }


def _result(run: Run) -> dict[str, Any]:
    """What a run gave: outputs of the nodes that nothing else needs, as JSON, and its images by node."""
    outputs: dict[str, Any] = {}
    images: dict[str, list[str]] = {}
    graph = run.graph
    used = {link.source for node_id in graph.nodes for link in graph.links(node_id)}
    for node_id in graph.nodes:
        found = list(run.session.outputs_of(node_id).values())[:MAX_LISTED]
        names = [field.image_name for field in resources_in(found) if isinstance(field, ImageField)]
        if names:
            images[node_id] = names
        elif found and node_id not in used:
            outputs[node_id] = [each.model_dump(mode="json") for each in found]
    errors = [{"node": error.node, "error": error.message} for error in run.errors]
    return {"run": run.id, "status": run.status, "images": images, "outputs": outputs, "errors": errors}
