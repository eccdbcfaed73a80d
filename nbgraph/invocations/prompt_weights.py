"""Prompts with more than a text: weights on words, and the sizes that SDXL is conditioned on."""

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any

from pydantic import Field

from nbgraph import diffusion
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.fields import ClipField
from nbgraph.invocations.outputs import ConditioningOutput
from nbgraph.invocations.prompt import save_conditioning

PACKAGE = "compel"
MISSING = "weights need the package compel: pip install 'nbgraph[prompt]'"
LARGEST = 16384
LONGEST = 10_000


@invocation("compel", title="Weighted prompt", category="conditioning", version="1.0.0")
class WeightedPrompt(BaseInvocation):
    """Encodes a text whose words have weights: `apple++`, `(red)1.3`, `("a cat", "a dog").blend(0.7, 0.3)`.

    The syntax is that of the package compel; for Stable Diffusion 1.5, 2 and XL. A parenthesis that is meant is
    written with a backslash before it.
    """

    text: str = Field(
        "",
        max_length=LONGEST,
        title="Prompt",
        description="Prompt with weights: apple++ or (red)1.3 for more, apple-- or (red)0.7 for less",
    )
    clip: ClipField = Field(
        title="Text encoders",
        description="Part of a model that reads prompts, from a Model node or one that changes it, such as LoRA",
    )

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        # found without importing it, which would load torch
        if find_spec(PACKAGE) is None:
            yield "text", MISSING

    def invoke(self, context: InvocationContext) -> ConditioningOutput:
        with context.models.use(self.clip.model, "text") as components:
            encoded = diffusion.encode_weighted_prompt(components, self.text)
        return save_conditioning(context, encoded, [self.text], self.clip, weighted=True)


@invocation("sdxl_prompt", title="SDXL prompt", category="conditioning", version="1.0.0")
class SdxlPrompt(BaseInvocation):
    """Encodes a text with the sizes that SDXL is conditioned on: original size, crop position, target size.

    Sizes are in pixels; left out, they are the size that is drawn. `style` is the text for the second encoder, the same
    text if empty. `weighted` reads weights in both, as `compel` does. A negative prompt without sizes has those of the
    positive.
    """

    text: str = Field("", max_length=LONGEST, title="Prompt", description="What the image should show")
    style: str = Field(
        "", max_length=LONGEST, description="Prompt for the second text encoder; left empty, the same prompt"
    )
    clip: ClipField = Field(
        title="Text encoders",
        description="Part of a model that reads prompts, from a Model node or one that changes it, such as LoRA",
    )
    weighted: bool = Field(False, description="Read weights in both prompts, as in apple++ or (red)1.3")
    original_width: int | None = Field(
        None,
        gt=0,
        le=LARGEST,
        description="Width in pixels of the training image to imitate; left out, the size that is drawn",
    )
    original_height: int | None = Field(
        None,
        gt=0,
        le=LARGEST,
        description="Height in pixels of the training image to imitate; left out, the size that is drawn",
    )
    crop_left: int = Field(
        0,
        ge=0,
        le=LARGEST,
        description="Pixels cut off at the left of the training image to imitate; 0 keeps subjects whole",
    )
    crop_top: int = Field(
        0,
        ge=0,
        le=LARGEST,
        description="Pixels cut off at the top of the training image to imitate; 0 keeps subjects whole",
    )
    target_width: int | None = Field(
        None,
        gt=0,
        le=LARGEST,
        description="Width in pixels the model is told to draw for; left out, the size that is drawn",
    )
    target_height: int | None = Field(
        None,
        gt=0,
        le=LARGEST,
        description="Height in pixels the model is told to draw for; left out, the size that is drawn",
    )

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        for kind in ("original", "target"):
            names = (f"{kind}_width", f"{kind}_height")
            if known.keys() >= {*names} and (known[names[0]] is None) != (known[names[1]] is None):
                open_one = names[0] if known[names[0]] is None else names[1]
                yield open_one, f"is left out, and the other side of the {kind} size is given; give both or none"
        if known.get("weighted") and find_spec(PACKAGE) is None:
            yield "weighted", MISSING
        if "clip" in known:
            family = context.models.describe(known["clip"].model).need_family()
            if "original_size" not in family.parameters:
                yield "clip", f"is of a model of the family {family.key!r}, which takes no sizes; use Prompt"

    def invoke(self, context: InvocationContext) -> ConditioningOutput:
        size = diffusion.SizeConditioning(
            original=_pair(self.original_width, self.original_height),
            crop=(self.crop_left, self.crop_top),
            target=_pair(self.target_width, self.target_height),
        )
        encode = diffusion.encode_weighted_prompt if self.weighted else diffusion.encode_prompt
        with context.models.use(self.clip.model, "text") as components:
            encoded = encode(components, self.text, self.style or None, size)
        return save_conditioning(context, encoded, [self.text, self.style], self.clip, weighted=self.weighted)


def _pair(width: int | None, height: int | None) -> tuple[int, int] | None:
    return (width, height) if width and height else None
