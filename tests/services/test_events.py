"""Events: who listens may keep them, and they keep nothing alive that is gone."""

import gc
import weakref
from typing import Any

import pytest

from nbgraph.config import Settings
from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput, InvocationContext, invocation
from nbgraph.services.events.events_common import Event
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.invoker import Invoker
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph


class Late(BaseInvocationOutput):
    """Something that is looked up only when it is asked for, and so holds on to the context of its node."""

    look_up: Any


@invocation("test_late_preview", category="test")
class LatePreview(BaseInvocation):
    """Reports a preview that is drawn when somebody wants to see it."""

    def invoke(self, context: InvocationContext) -> Late:
        context.progress(1, 1, preview=lambda: context)
        return Late(look_up=None)


@invocation("test_late_output", category="test")
class LateOutput(BaseInvocation):
    """Gives something that is looked up when somebody wants to have it."""

    def invoke(self, context: InvocationContext) -> Late:
        return Late(look_up=lambda: context)


@pytest.mark.parametrize("node", [LatePreview, LateOutput])
def test_services_that_are_gone_are_not_kept_by_what_was_told_or_cached(node: type[BaseInvocation]) -> None:
    def services_of_a_run() -> weakref.ref:
        services = InvocationServices.memory(Settings())
        told: list[Event] = []
        services.events.subscribe(told.append)
        invoker = Invoker(services)
        invoker.invoke(GraphExecutionState(Graph.of(node()))).wait()
        invoker.stop()
        assert told[-1].status == "completed"  # type: ignore[attr-defined]
        return weakref.ref(services)

    services = services_of_a_run()
    gc.collect()
    assert services() is None
