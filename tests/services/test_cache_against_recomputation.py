"""The cache driven at random against computing everything from scratch: it must never give a stale result."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from PIL import Image

from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput, InvocationContext, invocation
from nbgraph.invocations.fields import ImageField
from nbgraph.invocations.outputs import ImageOutput
from nbgraph.services.invocation_cache import invocation_cache_common
from nbgraph.services.invocation_cache.invocation_cache_base import InvocationCacheBase
from nbgraph.services.invocation_cache.invocation_cache_sqlite import InvocationCacheSqlite
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.invoker import Invoker
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph


class ShadeOutput(BaseInvocationOutput):
    """A shade, and a text that may look like a name."""

    shade: int
    text: str


@invocation("test_paint", title="Paint", category="test")
class Paint(BaseInvocation):
    """A picture of one shade."""

    shade: int

    def invoke(self, context: InvocationContext) -> ImageOutput:
        return context.images.output(Image.new("L", (4, 4), self.shade % 256))


@invocation("test_lighten", title="Lighten", category="test")
class Lighten(BaseInvocation):
    """A picture made lighter."""

    image: ImageField
    by: int = 1

    def invoke(self, context: InvocationContext) -> ImageOutput:
        picture = context.images.get(self.image)
        return context.images.output(picture.point(lambda value: (value + self.by) % 256))


@invocation("test_shade", title="Shade", category="test")
class Shade(BaseInvocation):
    """The shade of a picture; its text holds the picture's name, and names no resource."""

    image: ImageField

    def invoke(self, context: InvocationContext) -> ShadeOutput:
        return ShadeOutput(shade=context.images.get(self.image).getpixel((0, 0)), text=self.image.image_name)


@dataclass
class Chain:
    """What a person edits: a shade, and how much it is made lighter, step by step."""

    shade: int
    steps: list[int]

    def graph(self) -> Graph:
        node: BaseInvocation = Paint(id="paint", shade=self.shade)
        for number, by in enumerate(self.steps):
            node = Lighten(id=f"lighten_{number}", image=node, by=by)
        return Graph.of(Shade(id="shade", image=node))

    def expected(self) -> int:
        return (self.shade + sum(self.steps)) % 256


class CachedStudio(RuleBasedStateMachine):
    """Edits, runs, deletions, forgetting, switching off, damage and restarts, in any order."""

    def __init__(self, folder: Path | None) -> None:
        super().__init__()
        self.folder = folder
        self.open()

    def open(self) -> None:
        services = InvocationServices.memory() if self.folder is None else InvocationServices.sqlite(self.folder)
        self.invoker = Invoker(services)
        self.services = services

    @initialize(shade=st.integers(0, 3), steps=st.lists(st.integers(0, 2), max_size=3))
    def begin(self, shade, steps):
        self.chain = Chain(shade, steps)

    @rule(shade=st.integers(0, 3))
    def edit_the_shade(self, shade):
        self.chain.shade = shade

    @rule(number=st.integers(0, 2), by=st.integers(0, 2))
    def edit_a_step(self, number, by):
        if number < len(self.chain.steps):
            self.chain.steps[number] = by

    @rule(by=st.integers(0, 2))
    def add_a_step(self, by):
        if len(self.chain.steps) < 4:
            self.chain.steps.append(by)

    @rule()
    def take_a_step_away(self):
        if self.chain.steps:
            self.chain.steps.pop()

    @rule()
    def run_it(self):
        session = GraphExecutionState(self.chain.graph())
        ticket = self.invoker.invoke(session)
        assert ticket.wait(20)
        assert ticket.status == "completed", ticket.failures
        assert session.outputs_of("shade")[()].shade == self.chain.expected()
        last = f"lighten_{len(self.chain.steps) - 1}" if self.chain.steps else "paint"
        image = session.outputs_of(last)[()].image.image_name
        assert self.services.images.get(image).getpixel((0, 0)) == self.chain.expected()

    @rule(number=st.integers(0, 20))
    def delete_a_picture(self, number):
        records = self.services.images.list(per_page=100).items
        if records:
            name = records[number % len(records)].image_name
            naming = [row.key for row in self.services.invocation_cache.entries() if name in row.resources]
            before = {row.key for row in self.services.invocation_cache.entries()}
            self.services.images.delete(name)
            assert {row.key for row in self.services.invocation_cache.entries()} == before - set(naming)

    @rule(node=st.sampled_from(["paint", "lighten_0", "shade"]))
    def forget_a_node(self, node):
        self.services.invocation_cache.forget(node=node)
        assert node not in {row.node for row in self.services.invocation_cache.entries()}

    @rule()
    def switch_it_off_or_on(self):
        cache = self.services.invocation_cache
        cache.disable() if cache.enabled else cache.enable()

    @precondition(lambda self: self.folder is not None)
    @rule(number=st.integers(0, 2))
    def lose_files(self, number):
        for file in sorted(self.folder.glob("images/*/*.png"))[number:]:
            file.write_bytes(b"torn")

    @precondition(lambda self: self.folder is not None)
    @rule()
    def restart(self):
        self.invoker.stop()
        self.open()

    def teardown(self):
        self.invoker.stop()


def drive(kind: str, examples: int, steps: int = 25) -> None:
    with tempfile.TemporaryDirectory() as root:
        numbers = iter(range(10**6))

        def make() -> CachedStudio:
            return CachedStudio(None if kind == "memory" else Path(root) / str(next(numbers)))

        run_state_machine_as_test(
            make,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                derandomize=True,
                phases=(Phase.generate,),
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_the_cache_never_gives_what_computing_from_scratch_would_not(kind):
    drive(kind, 60 if kind == "memory" else 25, 40)


def _without_an_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = invocation_cache_common.KeyTemplate.__init__

    def forgetful(self, *given) -> None:
        whole(self, *given)
        kept = tuple(name for name in self.fields if name != "image")
        if kept != self.fields:
            self.fields, self._text = kept, self._text.replace('"image": %s, ', "").replace('"image": %s', "")

    monkeypatch.setattr(invocation_cache_common.KeyTemplate, "__init__", forgetful)


def _by_substring(monkeypatch: pytest.MonkeyPatch) -> None:
    def naming(self, resource: str) -> list[bytes]:
        return [row.key for row in self.entries() if resource in row.text]

    monkeypatch.setattr(InvocationCacheSqlite, "_naming", naming)


def _without_checking_hits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(InvocationCacheBase, "_is_good", lambda self, entry: True)


@pytest.mark.parametrize("fault", [_without_an_edge, _by_substring, _without_checking_hits])
def test_a_planted_fault_is_found(fault, monkeypatch):
    fault(monkeypatch)
    with pytest.raises(BaseException):  # noqa: B017, PT011 - hypothesis may group what it found
        drive("sqlite", 150, steps=40)
