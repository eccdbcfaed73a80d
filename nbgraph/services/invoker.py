"""The invoker: owns the container, starts and stops the services, takes sessions."""

from nbgraph.services.invocation_processor.invocation_processor_base import Ticket
from nbgraph.services.invocation_processor.node_context import NodeContext
from nbgraph.services.invocation_processor.preflight import preflight
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.shared.graph.execution_state import GraphExecutionState


class Invoker:
    """`with Invoker(InvocationServices.memory()) as invoker: invoker.invoke(session).wait()`"""

    def __init__(self, services: InvocationServices) -> None:
        self.services = services
        self.start()

    def start(self) -> None:
        """Start every service; those that are started stay so."""
        self.services.open()
        for service in self.services:
            service.start(self)

    def stop(self) -> None:
        """Stop every service, the last one first."""
        for service in reversed(list(self.services)):
            service.stop()
        self.services.close()

    def invoke(self, session: GraphExecutionState, *, prepend: bool = False) -> Ticket:
        """Check a session and queue it; `GraphError` with every problem if it cannot run."""
        preflight(session, NodeContext(self.services, session.id, lambda: False))
        return self.services.processor.submit(session, prepend=prepend)

    def cancel(self, session_id: str) -> bool:
        """Cancel a session that waits or runs."""
        return self.services.processor.cancel(session_id)

    def __enter__(self) -> "Invoker":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
