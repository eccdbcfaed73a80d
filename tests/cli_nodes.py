"""Nodes the command line tests need: every kind of input there is, one that fails when it runs, one that is slow."""

from pathlib import Path
from time import sleep
from typing import Annotated, Any, Literal

from pydantic import Field

from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.fields import ImageField, Seed
from nbgraph.invocations.inputs import Many
from nbgraph.invocations.outputs import IntegerOutput, StringOutput


@invocation("cli_inputs", category="test")
class Inputs(BaseInvocation):
    """One input of each kind."""

    text: str = ""
    maybe_text: str | None = "something"
    number: int = 0
    share: float = Field(0.5, ge=0, le=1)
    flag: bool = False
    maybe_flag: bool | None = None
    mode: Literal["box", "bicubic"] = "box"
    level: Literal[1, 2] = 1
    cfg_scale: float | list[float] = 7.5
    numbers: list[int] = []
    texts: list[str] = []
    number_or_text: int | str = 0
    table: dict[str, int] = {}
    rows: list[list[float]] = []
    anything: Any = None
    picture: ImageField | None = None
    path: Path | None = None
    many: Annotated[Any, Many()] = None

    def invoke(self, context: InvocationContext) -> StringOutput:
        return StringOutput(value=repr(self.model_dump(exclude={"id", "is_intermediate", "use_cache"}, mode="json")))


@invocation("cli_fails", category="test", use_cache=False)
class Fails(BaseInvocation):
    """Fails when it runs, not before."""

    value: int = 0

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        raise ValueError("this node always fails")


@invocation("cli_slow", category="test", use_cache=False)
class Slow(BaseInvocation):
    """Takes seconds, in steps."""

    value: int = 0
    seconds: float = 30.0

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        steps = int(self.seconds * 20)
        for step in range(steps):
            context.progress(step, steps)
            sleep(0.05)
        return IntegerOutput(value=self.value)


@invocation("cli_draws", category="test")
class Draws(BaseInvocation):
    """Gives the seed it drew."""

    seed: Seed = None

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        return IntegerOutput(value=self.seed or 0)
