"""A container of each kind, for the contract suites: what holds in memory holds in a folder; a studio for batches."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nbgraph.config import Settings
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.invoker import Invoker
from nbgraph.studio import Studio
from tests.services.batched_nodes import forget

KINDS = ("memory", "sqlite")
MakeServices = Callable[..., InvocationServices]


@pytest.fixture(params=KINDS)
def make_services(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeServices]:
    """Makes containers of one kind, started; those in a folder share it."""
    invokers: list[Invoker] = []

    def make(**settings: object) -> InvocationServices:
        chosen = Settings(**settings)  # type: ignore[arg-type]
        services = (
            InvocationServices.memory(chosen)
            if request.param == "memory"
            else InvocationServices.sqlite(tmp_path / "studio", chosen)
        )
        invokers.append(Invoker(services))
        return services

    yield make
    for invoker in invokers:
        invoker.stop()


@pytest.fixture
def services(make_services: MakeServices) -> InvocationServices:
    return make_services()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "studio"


@pytest.fixture
def open_folder(folder: Path) -> Iterator[Callable[..., Invoker]]:
    """Opens the same folder, as often as asked, each time as a kernel of its own."""
    invokers: list[Invoker] = []

    def open_it(**settings: object) -> Invoker:
        invokers.append(Invoker(InvocationServices.sqlite(folder, Settings(**settings))))  # type: ignore[arg-type]
        return invokers[-1]

    yield open_it
    for invoker in invokers:
        invoker.stop()


@pytest.fixture
def no_calls() -> Iterator[None]:
    """The node that can be batched notes no calls but those of this test."""
    forget()
    yield
    forget()


@pytest.fixture
def small() -> Iterator[Studio]:
    """A studio that runs at most four nodes in one call."""
    with Studio(settings=Settings(batch_size=4)) as studio:
        yield studio
