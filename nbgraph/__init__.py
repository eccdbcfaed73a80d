"""nbgraph: build image-generation graphs in a notebook, run them in the kernel, look at pictures and figures.

The public names are loaded when first used, so that importing nbgraph loads neither torch nor pandas.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nbgraph.loading import load
from nbgraph.threads import wait_passively

__version__ = "0.2.0"

_HOMES = {
    "BaseInvocation": "nbgraph.invocations.base",
    "BaseInvocationOutput": "nbgraph.invocations.base",
    "Graph": "nbgraph.services.shared.graph.graph",
    "GraphError": "nbgraph.errors",
    "GraphExecutionState": "nbgraph.services.shared.graph.execution_state",
    "Image": "nbgraph.invocations.function",
    "Invoker": "nbgraph.services.invoker",
    "InvocationContext": "nbgraph.invocations.context",
    "InvocationServices": "nbgraph.services.invocation_services",
    "LibraryGraph": "nbgraph.services.shared.graph.library",
    "NbgraphError": "nbgraph.errors",
    "NodeError": "nbgraph.errors",
    "Ref": "nbgraph.invocations.base",
    "Run": "nbgraph.run",
    "Settings": "nbgraph.config",
    "Studio": "nbgraph.studio",
    "diff": "nbgraph.experiments.diff",
    "image_to_image": "nbgraph.templates",
    "invocation": "nbgraph.invocations.base",
    "node": "nbgraph.invocations.function",
    "open": "nbgraph.recipes.local",  # not in __all__: `from nbgraph import *` must not hide Python's own
    "paint": "nbgraph.painting",
    "registry": "nbgraph.invocations.node_registry",
    "replace": "nbgraph.experiments.axes",
    "text_to_image": "nbgraph.templates",
}
__all__ = [
    "BaseInvocation",
    "BaseInvocationOutput",
    "Graph",
    "GraphError",
    "GraphExecutionState",
    "Image",
    "InvocationContext",
    "InvocationServices",
    "Invoker",
    "LibraryGraph",
    "NbgraphError",
    "NodeError",
    "Ref",
    "Run",
    "Settings",
    "Studio",
    "diff",
    "image_to_image",
    "invocation",
    "node",
    "paint",
    "registry",
    "replace",
    "text_to_image",
]

wait_passively()  # before torch is imported, by nbgraph or by a later line of the person's

if TYPE_CHECKING:
    from nbgraph.config import Settings
    from nbgraph.errors import GraphError, NbgraphError, NodeError
    from nbgraph.experiments.axes import replace
    from nbgraph.experiments.diff import diff
    from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput, Ref, invocation
    from nbgraph.invocations.context import InvocationContext
    from nbgraph.invocations.function import Image, node
    from nbgraph.invocations.node_registry import registry
    from nbgraph.painting import paint
    from nbgraph.run import Run
    from nbgraph.services.invocation_services import InvocationServices
    from nbgraph.services.invoker import Invoker
    from nbgraph.services.shared.graph.execution_state import GraphExecutionState
    from nbgraph.services.shared.graph.graph import Graph
    from nbgraph.services.shared.graph.library import LibraryGraph
    from nbgraph.studio import Studio
    from nbgraph.templates import image_to_image, text_to_image


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        hint = import_module("nbgraph.errors").suggest(name, __all__)
        raise AttributeError(f"module 'nbgraph' has no attribute {name!r}{hint}; nodes are in nbgraph.invocations")
    value = getattr(load(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext nbgraph`: the magics `%nbgraph` and `%%nbgraph`, with completion."""
    import_module("nbgraph.cli.magics").register(shell)
