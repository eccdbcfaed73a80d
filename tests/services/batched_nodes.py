"""A node that can be batched, and notes which calls were made; and graphs in which it runs under iterations."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch

import nbgraph as nb
from nbgraph.errors import CancelledError
from nbgraph.invocations import Add, Iterate
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.outputs import IntegerOutput


@dataclass
class Record:
    """The numbers of each call, and what is asked before a call computes."""

    calls: list[list[int]] = field(default_factory=list)
    before: Callable[[list[int]], None] = lambda values: None


@cache
def record() -> Record:
    """The one record there is; what a cached function remembers is no part of the keys of nodes that call it."""
    return Record()


def forget() -> None:
    """No calls yet, and nothing happens before one."""
    record().calls, record().before = [], lambda values: None


@invocation("test_joined_square", category="test")
class Square(BaseInvocation):
    """The square of a number, which records its calls."""

    value: int
    kind: int = 0

    def batch_key(self, context: InvocationContext) -> Hashable:
        return self.kind

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        return self.invoke_batch([self], [context])[0]

    @staticmethod
    def invoke_batch(nodes: Sequence["Square"], contexts: Sequence[InvocationContext]) -> list[IntegerOutput]:
        values = [node.value for node in nodes]
        record().calls.append(values)
        record().before(values)
        contexts[0].progress(1, 1)
        return [IntegerOutput(value=value * value) for value in values]


def squares(values: Sequence[int], **inputs: Any) -> Square:
    """A square of each number, one more than it is added first."""
    inputs.setdefault("value", Add(id="more", a=Iterate(id="each", collection=list(values)), b=1))
    return Square(id="square", **inputs)


def values(run: nb.Run, node: str = "square") -> list[int]:
    """What a node of a run gave, in order."""
    return [output.value for output in run.outputs(node)]


def sizes() -> list[int]:
    """How many numbers each call had."""
    return [len(call) for call in record().calls]


def fail_at(value: int) -> Callable[[list[int]], None]:
    """What fails every call that has that number."""

    def check(values: list[int]) -> None:
        if value in values:
            raise ValueError(f"{value} has no square")

    return check


def run_out_above(size: int) -> Callable[[list[int]], None]:
    """What runs out of memory in calls of more than that many."""

    def check(values: list[int]) -> None:
        if len(values) > size:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has ...")

    return check


def cancel_at(value: int) -> Callable[[list[int]], None]:
    """What is cancelled in the call that has that number."""

    def check(values: list[int]) -> None:
        if value in values:
            raise CancelledError("cancelled at step 1 of 2")

    return check
