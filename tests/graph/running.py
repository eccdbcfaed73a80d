"""The smallest runner: drives a session in this thread, without services, and notes what ran in which order."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput, InvocationContext
from nbgraph.services.shared.graph.execution_state import GraphExecutionState, Prepared
from nbgraph.services.shared.graph.graph import Graph


@dataclass
class Ran:
    """A session that was run, and the ids of its prepared nodes in the order they ran."""

    session: GraphExecutionState
    order: list[str] = field(default_factory=list)

    def value(self, node: str, output: str, path: tuple[int, ...] = ()) -> Any:
        """One output of a node at a path."""
        return getattr(self.session.outputs_of(node)[path], output)

    def values(self, node: str, output: str) -> list[Any]:
        """An output of a node at all its paths, in path order."""
        return [getattr(found, output) for found in self.session.outputs_of(node).values()]

    @property
    def nodes(self) -> list[str]:
        """The source ids of what ran, in order."""
        return [name.split("[")[0] for name in self.order]


def invoke(session: GraphExecutionState, prepared: Prepared) -> BaseInvocationOutput:
    """What a prepared node gives: its inputs assembled, then validated once, then the node invoked."""
    if prepared.planned.axis is not None:
        return session.iterate_output(prepared)
    cls = type(prepared.planned.node)
    node = cls.__new__(cls)
    cls.__pydantic_validator__.validate_python(session.inputs(prepared), self_instance=node)
    return node.invoke(cast(InvocationContext, None))


def step(ran: Ran) -> bool:
    """Run the next prepared node; False if there is none."""
    prepared = ran.session.next()
    if prepared is None:
        return False
    ran.order.append(prepared.id)
    try:
        output = invoke(ran.session, prepared)
    except Exception as error:
        ran.session.fail(prepared, f"{type(error).__name__}: {error}")
    else:
        ran.session.complete(prepared, output)
    return True


def run_session(session: GraphExecutionState, until: Callable[[Ran], bool] = lambda ran: False) -> Ran:
    """Run a session to its end, or until a condition holds."""
    ran = Ran(session)
    while not until(ran) and step(ran):
        pass
    return ran


def run(*targets: BaseInvocation | Graph, **options: Any) -> Ran:
    """Run a graph, or what some nodes need."""
    graph = targets[0] if isinstance(targets[0], Graph) else Graph.of(*cast(tuple[BaseInvocation, ...], targets))
    return run_session(GraphExecutionState(graph.validate(), **options))


def run_examined(graph: Graph, **options: Any) -> Ran:
    """Run a graph whose nodes are each examined before they run, as after a failure."""
    session = GraphExecutionState(graph.validate(), **options)
    session._dispatcher._slow_path = True
    return run_session(session)
