"""One run of a denoising loop: its steps, the callbacks after each, and the state that another run continues from.

diffusers' pipelines own their loop. `Loop` controls it in two places that every pipeline passes at each step: the
`interrupt` property of the pipeline, which is read once before a step and skips it when true, and the `step` of the
scheduler. So any pipeline can do steps `start` to `end` of `steps`, in pieces that give exactly the whole.

Three rules make the pieces exact: a run that does not begin at step 0 does not scale its latents as if they were noise;
its scheduler begins at that step whatever the pipeline sets; and its scheduler gets back the state it had changed.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from nbgraph.diffusion.scheduler_fixes import (
    choose_warm_up,
    end_warm_up,
    evaluations_before_steps,
    noise_arguments,
    set_noise_sampler,
    step_arguments,
)
from nbgraph.errors import CancelledError

AfterStep = Callable[[int, int, Callable[[], Tensor]], None]
"""Called as `(step, steps, predicted)`: steps done, steps in all, a function for the image predicted by now."""

_FIXED = frozenset({"timesteps", "sigmas", "_begin_index", "_internal_dict", "loop"})


@dataclass
class Loop:
    """Steps `start` to `end` of `steps`; `end` None is `steps`. A dry loop does none, only prepares the scheduler."""

    steps: int
    start: int = 0
    end: int | None = None
    resume: bool = False
    dry: bool = False
    solver: dict[str, Any] | None = None
    after_step: AfterStep | None = None
    change: Callable[[Tensor, Any, int], Tensor] | None = None
    """Called with the latents after a step, the scheduler and the evaluations done.

    Returns the latents to continue with.
    """
    check: Callable[[int, int, Tensor, Tensor], None] = lambda step, steps, predicted, after: None
    """Called after each evaluation as `(step, steps, predicted, after)`, to raise an error for wrong values."""
    cancelled: Callable[[], bool] = lambda: False
    generators: list[torch.Generator] = field(default_factory=list[torch.Generator])
    """One for each image, for all random numbers of the scheduler."""
    gather: Callable[[Tensor, bool], Tensor] | None = None
    """Called with a batch of several rows for an image and whether they are predictions; returns one row for each."""
    scatter: Callable[[Tensor], Tensor] | None = None
    """The inverse of `gather`, for latents."""
    latest: Tensor | None = None
    """The latents after the last evaluation, as the pipeline holds them; None before the first."""
    _at: list[int] = field(default_factory=list[int])
    """The evaluations before each step; empty until the scheduler is prepared."""
    _read: int = 0
    _done: int = 0
    _before: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def last(self) -> int:
        """The step at which the loop ends."""
        return self.steps if self.end is None else self.end

    @property
    def began(self) -> bool:
        """Whether a step was done: an error after that is not about the inputs."""
        return self._done > self.evaluation(self.start)

    def evaluation(self, step: int) -> int:
        """Return how many evaluations are before `step`: two for each of a second-order scheduler, warm-ups extra."""
        return self._at[step] if self._at else 0

    def skips_next(self) -> bool:
        """Whether the loop must pass over the evaluation that comes now; called once for each."""
        # pipelines read `interrupt` exactly once for each evaluation, so counting reads counts evaluations
        number, self._read = self._read, self._read + 1
        return self.dry or not self.evaluation(self.start) <= number < self.evaluation(self.last)

    def within(self, start: float, end: float) -> bool:
        """Whether the evaluation that runs now lies between two shares of the steps."""
        first, last = (self.evaluation(int(self.steps * share)) for share in (start, end))
        # `skips_next` has counted the evaluation that runs now
        return first <= self._read - 1 < last

    def prepared(self, scheduler: Any) -> None:
        """Put a scheduler whose timesteps are set to the step where this loop begins."""
        self._at, self._read = evaluations_before_steps(scheduler, self.steps), 0
        self._done = self.evaluation(self.start)
        # by its timestep alone a scheduler finds the wrong step where two have equal ones
        if self.start and hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(self._done)
        self._before = dict(cast(dict[str, Any], vars(scheduler)))
        for name, value in (self.solver or {}).items():
            setattr(scheduler, name, _copied(value, scheduler.timesteps.device))

    def stepped(self, scheduler: Any, predicted: Tensor, after: Tensor, prediction: Callable[[], Tensor]) -> Tensor:
        """Process the result of one evaluation: check it, call the callbacks, and return the latents to continue with.

        Raises
        ------
        CancelledError
            `cancelled` returned True.
        """
        self.check(self._steps_done() + 1, self.steps, predicted, after)
        self._done += 1
        if self.start and self.solver is None:
            end_warm_up(scheduler)
        if self.change is not None:
            after = self.change(after, scheduler, self._done)
        self.latest = after
        step = next((s for s in range(self.start + 1, self.last + 1) if self.evaluation(s) == self._done), None)
        if step is not None and self.after_step is not None:
            self.after_step(step, self.steps, prediction)
        if self.cancelled():
            raise CancelledError(f"cancelled after step {step or self._steps_done()} of {self.steps}")
        return after

    def _steps_done(self) -> int:
        return max(step for step in range(self.last + 1) if self.evaluation(step) <= self._done)

    def solver_state(self, scheduler: Any) -> dict[str, Any]:
        """Return what changed in the scheduler since it was prepared: numbers, tensors, lists of them, on the CPU."""
        changed: dict[str, Any] = {}
        for name, value in cast(dict[str, Any], vars(scheduler)).items():
            # schedulers change their lists in place, so the same list may hold other values
            same = value is self._before.get(name) and not isinstance(value, list)
            if name not in _FIXED and not same and _is_plain(value):
                changed[name] = _copied(value, torch.device("cpu"))
        return changed


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_plain(item) for item in cast(Sequence[Any], value))
    return value is None or isinstance(value, (bool, int, float, Tensor))


def _copied(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.detach().to(device, copy=True)
    if isinstance(value, (list, tuple)):
        return [_copied(item, device) for item in cast(Sequence[Any], value)]
    return value


def looped_scheduler(scheduler: Any, loop: Loop) -> Any:
    """Make `scheduler` report its steps to `loop`, and return it."""
    # a subclass, so that the scheduler still passes the `isinstance` checks of pipelines
    plain = cast(Any, type(scheduler))
    scheduler.__class__ = _looped_scheduler_class(plain, loop.resume)
    scheduler.loop = loop
    return scheduler


@functools.lru_cache(maxsize=128)
def _looped_scheduler_class(scheduler_class: Any, resume: bool) -> Any:
    @functools.wraps(scheduler_class.set_timesteps)
    def set_timesteps(self: Any, *args: Any, **kwargs: Any) -> None:
        if isinstance(kwargs.get("sigmas"), list):
            kwargs["sigmas"] = np.array(kwargs["sigmas"])  # UniPC and DPM++ calculate with them before they convert
        choose_warm_up(self, self.loop.steps, self.loop.start, self.loop.solver)
        scheduler_class.set_timesteps(self, *args, **kwargs)
        self.loop.prepared(self)

    def set_begin_index(self: Any, begin_index: int = 0) -> None:
        scheduler_class.set_begin_index(self, self.loop.evaluation(self.loop.start) or begin_index)

    @functools.wraps(scheduler_class.step)
    def step(self: Any, model_output: Tensor, timestep: Any, sample: Tensor, *args: Any, **kwargs: Any) -> Any:
        returns = kwargs.pop("return_dict", True)
        if self.loop.gather is not None:
            model_output, sample = self.loop.gather(model_output, True), self.loop.gather(sample, False)
            kwargs.pop("generator", None)  # of the rows; those of the images are the loop's
        sigma = _flow_sigma(self)
        set_noise_sampler(self, sample, self.loop.generators)
        kwargs = noise_arguments(self, kwargs, self.loop.generators) | step_arguments(self)
        output = scheduler_class.step(self, model_output, timestep, sample, *args, **kwargs, return_dict=False)

        def prediction() -> Tensor:
            return _predicted(self, output, model_output, sample, sigma)

        after = self.loop.stepped(self, model_output, output[0], prediction)
        if self.loop.scatter is not None:
            after = self.loop.scatter(after)
        if returns:
            raise NotImplementedError("a looped scheduler answers with tuples only")
        return (after, *output[1:])

    members: dict[str, Any] = {"set_timesteps": set_timesteps, "step": step}
    # pipelines call it with 0 before their loop, which would undo what `prepared` has set
    if hasattr(scheduler_class, "set_begin_index"):
        members["set_begin_index"] = set_begin_index
    if resume:
        # A property, since some schedulers set theirs as an attribute of the object.
        members["init_noise_sigma"] = property(lambda self: 1.0, lambda self, value: None)
    return type(scheduler_class.__name__, (scheduler_class,), members)


def _flow_sigma(scheduler: Any) -> Tensor | None:
    if not type(scheduler).__name__.startswith("FlowMatchEuler"):
        return None
    index = scheduler.step_index if scheduler.step_index is not None else (scheduler.begin_index or 0)
    return scheduler.sigmas[index]


def _predicted(scheduler: Any, output: Any, model_output: Tensor, sample: Tensor, sigma: Tensor | None) -> Tensor:
    """Return the denoised latents that the model predicts at this step; the latents themselves if that is not known."""
    if sigma is not None:
        return sample - sigma.to(sample.device) * model_output
    if len(output) > 1 and isinstance(output[1], Tensor) and output[1].shape == sample.shape:
        return output[1]
    history = getattr(scheduler, "model_outputs", None)
    predicts_clean = getattr(scheduler.config, "predict_x0", False) or "++" in scheduler.config.get(
        "algorithm_type", ""
    )
    if history and isinstance(history[-1], Tensor) and predicts_clean:
        return history[-1]
    return output[0]
