"""The invoker: owns the container, starts and stops the services, and accepts sessions."""

from contextlib import ExitStack

from nbgraph.errors import NbgraphError
from nbgraph.invocations.fields import ResourceField, resources_in
from nbgraph.loading import without_waiting
from nbgraph.services.images.images_base import ImageServiceBase
from nbgraph.services.invocation_processor.invocation_processor_base import SessionHandle
from nbgraph.services.invocation_processor.node_context import NodeContext
from nbgraph.services.invocation_processor.preflight import preflight
from nbgraph.services.invocation_queue.invocation_queue_common import ENDED
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.latents.latents_base import LatentsServiceBase
from nbgraph.services.shared.default_graphs import default_graphs
from nbgraph.services.shared.graph.execution_state import GraphExecutionState


class Invoker:
    """`with Invoker(InvocationServices.memory()) as invoker: invoker.invoke(session).wait()`"""

    def __init__(self, services: InvocationServices) -> None:
        self.services = services
        self.start()

    def start(self) -> None:
        """Start every service that is not started."""
        self.services.open()
        for service in self.services:
            service.start(self)
        self.services.graph_library.stock(default_graphs)

    def stop(self) -> None:
        """Stop every service, in reverse order."""
        # an ExitStack calls all callbacks, last added first, whatever one of them raises
        with ExitStack() as ending:
            ending.callback(self.services.close)
            for service in self.services:
                ending.callback(service.stop)

    def invoke(self, session: GraphExecutionState, *, prepend: bool = False) -> SessionHandle:
        """Check a session and queue it.

        Parameters
        ----------
        session
            The session to run.
        prepend
            Run it before all waiting sessions.

        Raises
        ------
        GraphError
            It cannot run; the error has every problem.
        """
        is_checked = self.check(session)
        return self.queue(session, prepend=prepend, is_checked=is_checked)

    def check(self, session: GraphExecutionState) -> bool:
        """Check a session as far as possible before it runs, without waiting for anything.

        Returns
        -------
        bool
            False if something can only be checked with torch, which is being loaded in the background then.

        Raises
        ------
        GraphError
            It cannot run; the error has every problem.
        """
        # a cell must not wait for the import of torch; the worker checks the rest before it runs
        with without_waiting():
            return preflight(session, NodeContext(self.services, session.id, lambda: False), self._resource_problem)

    def _resource_problem(self, field: ResourceField) -> str:
        store = self.services.images if field.kind == "image" else self.services.latents
        try:
            store.record(field.resource_name)
        except NbgraphError as error:
            return str(error)
        is_intact = store.is_intact(field.resource_name)
        return "" if is_intact else f"the file of {field.resource_name!r} is missing or damaged; choose another"

    def queue(
        self, session: GraphExecutionState, *, prepend: bool = False, is_checked: bool = True, group: object = None
    ) -> SessionHandle:
        """Queue a session; if not `is_checked`, the worker thread checks it before it runs.

        Sessions of one `group` may share calls of a model.
        """
        return self.services.processor.submit(session, prepend=prepend, is_checked=is_checked, group=group)

    def resume(self, session_id: str, *, prepend: bool = False) -> SessionHandle:
        """Continue a session that was interrupted, cancelled or failed. Nodes that have finished do not run again.

        Raises
        ------
        NotFoundError
            The session is not stored.
        NbgraphError
            It waits or runs already, here or in another kernel.
        """
        if self.services.queue.item(session_id).status not in ENDED:
            raise NbgraphError(f"session {session_id!r} waits or runs already; wait for it, or cancel it first")
        session = self.services.graph_execution_manager.get(session_id)
        self._forget_missing(session)
        session.resume()
        return self.invoke(session, prepend=prepend)

    def _forget_missing(self, session: GraphExecutionState) -> None:
        """Drop outputs whose images or tensors were deleted, so that their nodes run again."""
        session.outputs = {
            key: output
            for key, output in session.outputs.items()
            if all(self._store(field).exists(field.resource_name) for field in resources_in(output))
        }

    def _store(self, field: ResourceField) -> ImageServiceBase | LatentsServiceBase:
        return self.services.images if field.kind == "image" else self.services.latents

    def cancel(self, session_id: str) -> bool:
        """Cancel a session that waits or runs; return False if it does neither."""
        return self.services.processor.cancel(session_id)

    def __enter__(self) -> "Invoker":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
