"""The cache driven at random against computing everything from scratch: it must never give a stale result."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from PIL import Image

from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput, InvocationContext, invocation
from nbgraph.invocations.fields import ImageField
from nbgraph.invocations.outputs import ImageOutput
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
    """Edits, runs, deletions, forgetting, switching off, damage and restarts, in any order. Notes what is wrong."""

    def __init__(self, folder: Path | None, findings: list[str]) -> None:
        super().__init__()
        self.folder, self.findings = folder, findings
        self.open()

    def must(self, holds: bool, finding: str) -> None:
        if not holds:
            self.findings.append(finding)
        assert holds, finding

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
        handle = self.invoker.invoke(session)
        self.must(handle.wait(20), "a run did not end")
        self.must(handle.status == "completed", f"a run failed: {handle.failures}")
        self.must(session.outputs_of("shade")[()].shade == self.chain.expected(), "a stale hit")
        last = f"lighten_{len(self.chain.steps) - 1}" if self.chain.steps else "paint"
        image = session.outputs_of(last)[()].image.image_name
        self.must(self.services.images.is_intact(image), "a hit names a damaged picture")
        self.must(self.services.images.get(image).getpixel((0, 0)) == self.chain.expected(), "a stale picture")

    @rule(number=st.integers(0, 20))
    def delete_a_picture(self, number):
        records = self.services.images.list(per_page=100).items
        if records:
            name = records[number % len(records)].image_name
            cache = self.services.invocation_cache
            naming = {row.key for row in cache.entries() if name in row.resources}
            before = {row.key for row in cache.entries()}
            self.services.images.delete(name)
            after = {row.key for row in cache.entries()}
            self.must(not after & naming, "what names a deleted picture stayed")
            self.must(before - after <= naming, "what names no deleted picture went")

    @rule(node=st.sampled_from(["paint", "lighten_0", "shade"]))
    def forget_a_node(self, node):
        cache = self.services.invocation_cache
        keys = [row.key for row in cache.entries(node)]
        cache.forget(node=node)
        self.must(not cache.entries(node), "what was forgotten is listed")
        self.must(not any(map(cache.peek, keys)), "what was forgotten is a hit")

    @rule()
    def switch_it_off_or_on(self):
        cache = self.services.invocation_cache
        cache.disable() if cache.enabled else cache.enable()

    @precondition(lambda self: self.folder is not None)
    @rule(number=st.integers(0, 2))
    def lose_files(self, number):
        for record in self.services.images.list(per_page=100).items[number:]:
            self.services.images.path(record.image_name).write_bytes(b"torn")

    @precondition(lambda self: self.folder is not None)
    @rule()
    def restart(self):
        self.invoker.stop()
        self.open()

    def teardown(self):
        self.invoker.stop()


def drive(kind: str, examples: int, steps: int, way: int | None = None) -> list[str]:
    """Drive containers of a kind at random, always the same way, or in that way; returns what was found wrong."""
    findings: list[str] = []
    with tempfile.TemporaryDirectory() as root:
        numbers = iter(range(10**6))

        def make() -> CachedStudio:
            return CachedStudio(None if kind == "memory" else Path(root) / str(next(numbers)), findings)

        chosen = settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            phases=(Phase.generate,),
            database=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        )
        try:
            run_state_machine_as_test(make if way is None else seed(way)(make), settings=chosen)
        except (AssertionError, BaseExceptionGroup):
            if not findings:
                raise
    return findings


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_the_cache_never_gives_what_computing_from_scratch_would_not(kind):
    assert drive(kind, 60 if kind == "memory" else 25, 40) == []
