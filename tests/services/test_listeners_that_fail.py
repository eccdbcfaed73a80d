"""A listener of a service that raises is told of once, and stays; nobody else notices."""

import logging
from collections.abc import Callable

import pytest
import torch
from PIL import Image

from nbgraph.errors import NbgraphWarning
from nbgraph.invocations import Add
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.shared.callbacks import Callbacks
from nbgraph.services.shared.default_graphs import text_to_image
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph

PICTURE = Image.new("L", (8, 8))


def delete_picture(services: InvocationServices) -> None:
    services.images.delete(services.images.save(PICTURE).image_name)


def delete_tensors(services: InvocationServices) -> None:
    services.latents.delete(services.latents.save({"one": torch.zeros(1)}).name)


def run(services: InvocationServices) -> None:
    processor = services.processor
    assert processor.submit(GraphExecutionState(Graph.of(Add(a=1, b=2)))).wait(20)


def save_graph(services: InvocationServices) -> None:
    services.graph_library.set(text_to_image())


LISTENED: dict[str, tuple[Callable, Callable]] = {
    "pictures": (lambda services: services.images.on_changed, delete_picture),
    "deleted pictures": (lambda services: services.images.on_deleted, delete_picture),
    "tensors": (lambda services: services.latents.on_changed, delete_tensors),
    "deleted tensors": (lambda services: services.latents.on_deleted, delete_tensors),
    "the queue": (lambda services: services.queue.on_changed, run),
    "library graphs": (lambda services: services.graph_library.on_changed, save_graph),
    "runs": (lambda services: services.events.subscribe, run),
}


@pytest.mark.parametrize("name", LISTENED)
@pytest.mark.filterwarnings("always::nbgraph.errors.NbgraphWarning")
def test_a_listener_that_raises_is_told_of_once_and_stays(services, name, caplog, recwarn):
    listen, act = LISTENED[name]
    heard: dict[str, list[object]] = {"failing": [], "other": []}

    def failing(value: object) -> None:
        heard["failing"].append(value)
        raise ValueError("cannot draw that")

    stop = listen(services)(failing)
    listen(services)(heard["other"].append)
    act(services)
    act(services)
    assert len(heard["failing"]) == len(heard["other"]) >= 2
    told = [str(each.message) for each in recwarn if issubclass(each.category, NbgraphWarning)]
    assert len(told) == 1
    assert "ValueError: cannot draw that" in told[0]
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.message for record in errors] == ["a listener failed"]
    assert errors[0].exc_info
    stop()
    act(services)
    assert len(heard["failing"]) < len(heard["other"])


def test_an_interrupt_of_a_listener_comes_through():
    callbacks: Callbacks[int] = Callbacks()

    def interrupted(value: int) -> None:
        raise KeyboardInterrupt

    callbacks.add(interrupted)
    with pytest.raises(KeyboardInterrupt):
        callbacks(1)


def test_a_warning_that_is_turned_into_an_error_stops_nobody():
    callbacks: Callbacks[int] = Callbacks("what counts failed at a {kind}")
    found: list[int] = []
    callbacks.add(lambda value: 1 / 0)  # type: ignore[arg-type, return-value]
    callbacks.add(found.append)
    callbacks(3)
    assert found == [3]
