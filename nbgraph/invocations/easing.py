"""Numbers along a curve, one for each step: a cfg_scale that falls, a weight that rises."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.outputs import FloatCollectionOutput

Easing = Literal[
    "Linear", "QuadIn", "QuadOut", "QuadInOut", "CubicIn", "CubicOut", "CubicInOut", "QuarticIn", "QuarticOut",
    "QuarticInOut", "QuinticIn", "QuinticOut", "QuinticInOut", "SineIn", "SineOut", "SineInOut", "CircularIn",
    "CircularOut", "CircularInOut", "ExponentialIn", "ExponentialOut", "ExponentialInOut", "ElasticIn", "ElasticOut",
    "ElasticInOut", "BackIn", "BackOut", "BackInOut", "BounceIn", "BounceOut", "BounceInOut",
]  # fmt: skip


def _bounce(t: float) -> float:
    """Return the height of a thrown ball: the four parabolas of Robert Penner's easing functions, in reverse."""
    time = (1 - t) * 2.75
    for end, middle, height in ((1.0, 0.0, 0.0), (2.0, 1.5, 0.75), (2.5, 2.25, 0.9375)):
        if time < end:
            return 1 - (time - middle) ** 2 - height
    return 1 - (time - 2.625) ** 2 - 0.984375


CURVES: dict[str, Callable[[float], float]] = {
    "Linear": lambda t: t,
    "Quad": lambda t: t**2,
    "Cubic": lambda t: t**3,
    "Quartic": lambda t: t**4,
    "Quintic": lambda t: t**5,
    "Sine": lambda t: 1 - math.cos(t * math.pi / 2),
    "Circular": lambda t: 1 - math.sqrt(1 - t * t),
    "Exponential": lambda t: 0.0 if t == 0 else 2 ** (10 * (t - 1)),
    "Elastic": lambda t: math.sin(13 * math.pi / 2 * t) * 2 ** (10 * (t - 1)),
    "Back": lambda t: t**3 - t * math.sin(t * math.pi),
    "Bounce": _bounce,
}


def ease(easing: str, t: float) -> float:
    """Return the value, 0 to 1, of a curve at t, 0 to 1: `In` starts slowly, `Out` ends slowly, `InOut` does both."""
    name = easing.removesuffix("Out").removesuffix("In")
    curve = CURVES[name]
    # two mirrored halves of the curve, each at half the size
    if easing.endswith("InOut"):
        return curve(2 * t) / 2 if t < 0.5 else 1 - curve(2 - 2 * t) / 2
    return 1 - curve(1 - t) if easing.endswith("Out") else curve(t)


@invocation("step_param_easing", title="Easing", category="collections", version="1.0.0", static=True)
class StepEasing(BaseInvocation):
    """A number for each step, along a curve from one value to another between two steps; `mirror` returns to the first.

    The number is `pre_start_value` before `start_step_percent` (a share from 0 to 1) and `post_end_value` after the
    end; left out, they are the numbers at the start and the end of the curve.
    """

    easing: Easing = Field(
        "Linear", description="Shape of the curve: In starts slowly, Out ends slowly, InOut does both"
    )
    num_steps: int = Field(20, ge=1, le=10_000, title="Steps", description="How many numbers")
    start_value: float = Field(0.0, description="Number at the start of the curve")
    end_value: float = Field(1.0, description="Number at the end of the curve")
    start_step_percent: float = Field(
        0.0, ge=0, le=1, title="Start", description="Share of the steps, 0 to 1, at which the curve starts"
    )
    end_step_percent: float = Field(
        1.0, ge=0, le=1, title="End", description="Share of the steps, 0 to 1, at which the curve ends"
    )
    pre_start_value: float | None = Field(
        None, title="Value before", description="Number before the curve; left out, the start value"
    )
    post_end_value: float | None = Field(
        None, title="Value after", description="Number after the curve; left out, the number the curve ends at"
    )
    mirror: bool = Field(False, description="Return to the start value in the second half of the curve")

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        start, end = known.get("start_step_percent", 0.0), known.get("end_step_percent", 1.0)
        if start > end:
            yield "end_step_percent", f"is {end}, and must not be less than start_step_percent, which is {start}"

    def invoke(self, context: InvocationContext) -> FloatCollectionOutput:
        first = round((self.num_steps - 1) * self.start_step_percent)
        last = max(first, round((self.num_steps - 1) * self.end_step_percent))
        count = last - first + 1
        before = self.start_value if self.pre_start_value is None else self.pre_start_value
        returned = self.start_value if self.mirror else self.end_value
        after = returned if self.post_end_value is None else self.post_end_value
        width = self.end_value - self.start_value
        curve = [self.start_value + width * ease(self.easing, self._share(place, count)) for place in range(count)]
        return FloatCollectionOutput(collection=[before] * first + curve + [after] * (self.num_steps - 1 - last))

    def _share(self, place: int, count: int) -> float:
        """Return how far along the curve a step is, from 0 to 1."""
        if self.mirror:
            place, count = min(place, count - 1 - place), (count + 1) // 2
        return place / (count - 1) if count > 1 else 0.0
